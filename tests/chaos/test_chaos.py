"""The short form of `make chaos`; and what is looked for in a search is found where it is."""

import json
import shutil

import pytest

from tests.chaos import checks
from tests.chaos.faults import WAYS, draw
from tests.chaos.run import Sitting

# Alike in all but their faults, which are of every kind: one search that is left alone serves both.
SEEDS = (2243, 2593)
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def sitting(tmp_path_factory):
    return Sitting(tmp_path_factory.mktemp("chaos"))


def test_the_faults_are_of_every_kind_and_one_search_without_them_is_enough():
    searches = [draw(seed) for seed in SEEDS]
    assert {fault.kind for search in searches for fault in search.faults} == set(WAYS)
    assert len({search.settings for search in searches}) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_dies_the_search_ends_with_the_same_answer(sitting, seed):
    search = draw(seed)
    outcome = sitting.carry_out(search)
    assert outcome.problems == [], f"{search}\n{outcome.folder}"
    assert outcome.befell


def test_a_lost_epoch_a_changed_loss_and_a_trial_let_on_without_reason_are_found(sitting, tmp_path):
    search = draw(SEEDS[0])
    assert search.scheduler == "asha"
    alone = sitting.undisturbed(search)
    assert checks.problems(alone, search, alone) == []
    lines = [json.loads(line) for line in (alone / "history.jsonl").read_text().splitlines()]
    longest = next(line["trial"] for line in lines if line["epoch"] == checks.MAX_EPOCHS)

    def found(changed):
        run = tmp_path / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(alone, run)
        (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed))
        return "\n".join(checks.problems(run, search, alone))

    first = next(line for line in lines if line["trial"] == longest)
    assert f"{longest} has the epochs [2, 3, 4]" in found(
        [line for line in lines if line is not first]
    )
    assert f"{longest} has epoch 1 2 times" in found([first, *lines])
    other = first | {
        "metrics": first["metrics"] | {"val_loss": first["metrics"]["val_loss"] * 1.0001}
    }
    assert f"{longest}, epoch 1: " in found([other if line is first else line for line in lines])
    worst = first | {"objective": 99.0}
    assert f"{longest} was let on at epoch 1, and was at no time" in found(
        [worst if line is first else line for line in lines]
    )
