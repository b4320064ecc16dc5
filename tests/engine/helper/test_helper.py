"""The process that follows `build` beside the trials: frozen, or caught in code without an end."""

import os
import signal
import time
from pathlib import Path

import pytest
import ray

from pipeline.engine.helper import actor as helper_actor
from pipeline.engine.helper.actor import HelperClient
from pipeline.errors import KerasweepError

SPACES = Path(__file__).parents[2] / "spaces"
pytestmark = pytest.mark.ray

# What `build` is for the third trial's configuration, in the process that follows it before the
# trial is started.
SPACE = """
import os
import signal
from pathlib import Path

import tiny

def build(hp, data):
    if hp.Choice("number", [0, 1, 2]) == 2:
        hung = Path(__file__).with_name("hung")
        if not hung.exists():
            hung.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
    return tiny.build(hp, data)
"""


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=3)
class Follower:
    """As the helper is made, with methods that hang as often as they are told to."""

    def rest(self, seconds):
        time.sleep(seconds)
        return seconds

    def hang(self, file, times, frozen):
        with file.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        if len(file.read_text().split()) > times:
            return "an answer"
        if frozen:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(1000)


@pytest.fixture
def follower(ray_cluster, monkeypatch):
    monkeypatch.setattr(helper_actor, "HELPER_EVERY_S", 0.5)
    monkeypatch.setattr(helper_actor, "FOLLOW_S", 6.0)
    actor = Follower.remote()
    ray.get(actor.rest.remote(0))
    yield actor
    ray.kill(actor)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "without an end"])
def test_what_hangs_once_is_started_anew_and_asked_again(follower, tmp_path, frozen):
    assert HelperClient(follower).follow(follower.hang, tmp_path / "file", 1, frozen) == "an answer"
    first, second = (tmp_path / "file").read_text().split()
    assert first != second


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (True, "must not be stopped; it was, twice."),
        (False, "must answer within 6 s; it did not, twice."),
    ],
)
def test_what_hangs_twice_is_said(follower, tmp_path, frozen, message):
    with pytest.raises(KerasweepError) as error:
        HelperClient(follower).follow(follower.hang, tmp_path / "file", 2, frozen)
    assert (
        str(error.value)
        == f"The process that loads the data and follows the search space {message}"
    )


def test_what_does_not_follow_build_may_take_as_long_as_it_takes(follower):
    assert HelperClient(follower)(follower.rest, 4) == 4  # to load data, to measure the best model


@pytest.mark.slow
def test_a_search_goes_on_though_the_process_was_frozen(search, tmp_path):
    space = tmp_path / "freezing.py"
    space.write_text(SPACE)
    (tmp_path / "tiny.py").write_text((SPACES / "tiny.py").read_text())
    run = search(
        search_space=str(space), searcher="random", scheduler="none", trials=5, max_epochs=1
    )
    assert (tmp_path / "hung").exists()
    assert list(run.trials["status"]) == ["finished"] * 5
