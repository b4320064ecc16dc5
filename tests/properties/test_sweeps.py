"""A sweep's file, and the record of a sitting: whatever stands there, it is read or refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.experiment import Experiment
from pipeline.sweeps.request import KEYS, Sweep, read_sweep
from pipeline.sweeps.sitting import Sitting, Sittings
from tests.properties.inputs import (
    carried_out_or_refused,
    changed,
    json_values,
    outcome,
    texts,
    tried,
    unchanged,
)
from tests.properties.test_files import BOMB, MERGED

pytestmark = pytest.mark.slow

SWEEP = """\
name: nightly
time_budget: 8h
parallel: 2
defaults: {trials: 5, scheduler: asha}
matrix:
  dataset: [digits, mnist]
  search_space: [mlp, cnn]
  objective: [val_accuracy, val_loss]
experiments:
- {dataset: diabetes, objective: val_loss, name: small}
"""
FIELDS = st.sampled_from(sorted(Experiment.model_fields))


def planned_or_refused(here: Path, text: str) -> None:
    (here / "sweep.yaml").write_bytes(text.encode(errors="surrogatepass"))
    with unchanged(here):
        carried_out_or_refused("sweep.yaml", "--dry-run")


def test_the_sweep_that_is_changed_is_one(here: Path) -> None:
    (here / "sweep.yaml").write_text(SWEEP)
    assert carried_out_or_refused("sweep.yaml", "--dry-run") == ""


@given(changed(SWEEP))
@example(f"{BOMB}matrix: {{dataset: *h}}\n")
@example(f"{BOMB}matrix: *h\n")
@example(f"{BOMB}experiments: *h\n")
@example(f"{MERGED}experiments: [*h]\n")
@example("matrix: {" + ", ".join(f"k{number}: [1, 2]" for number in range(5000)) + "}")
@example(
    "matrix: {"
    + ", ".join(f"k{number}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]" for number in range(5000))
    + "}"
)
@example("matrix: {seed: [" + ", ".join(map(str, range(1000))) + "], dataset: digits}")
@example("matrix: {dataset: " + "[" * 3000 + "]" * 3000 + "}")
@example("matrix: {dataset: digits}\nparallel: " + "9" * 5000)
@example("matrix: {dataset: digits}\ntime_budget: " + "9" * 4000 + "d")
@example("matrix: {dataset: digits, trials: [" + "9" * 5000 + "]}")
@tried
def test_a_changed_sweep_is_planned_or_refused(here: Path, text: str) -> None:
    planned_or_refused(here, text)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "matrix": st.dictionaries(
                FIELDS | texts, st.lists(json_values, max_size=3) | json_values, max_size=3
            ),
            "experiments": st.lists(
                st.dictionaries(FIELDS | texts, json_values, max_size=3), max_size=3
            )
            | json_values,
            "defaults": st.dictionaries(FIELDS, json_values, max_size=3) | json_values,
        },
    ),
    st.dictionaries(st.sampled_from(KEYS) | texts, json_values, max_size=2),
)
@tried
def test_any_yaml_is_a_sweep_or_refused(
    here: Path, parts: dict[str, Any], others: dict[str, Any]
) -> None:
    try:
        text = yaml.safe_dump({"defaults": {"dataset": "digits"}} | others | parts)
    except ValueError:  # an integer of too many digits
        return
    sweep = outcome(lambda: read_sweep(text, "sweep.yaml", {}))
    if isinstance(sweep, Sweep):
        assert (
            sweep.experiments
            and sweep.asked() == outcome(lambda: read_sweep(text, "sweep.yaml", {})).asked()
        )


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a sitting of it recorded."""
    sweep = read_sweep(f"storage: {tmp_path_factory.mktemp('sweep')}\n{SWEEP}", "sweep.yaml", {})
    assert sweep is not None
    return (Sittings(sweep.directory).begin(sweep).root / "sweep.json").read_text()


@given(st.data())
@tried
def test_a_changed_record_of_a_sitting_is_read_or_refused(
    here: Path, record: str, data: st.DataObject
) -> None:
    (here / "sweep.json").write_bytes(data.draw(changed(record)).encode(errors="surrogatepass"))
    outcome(lambda: Sitting.read(here))
