"""What a tracker keeps in a run's directory."""

import json

import pytest

from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.records.layout import Layout
from pipeline.records.settings import write_experiment
from pipeline.records.tracker_state import TrackerState


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path / "run")
    write_experiment(made, Experiment(dataset="digits").to_yaml())
    return made


def test_facts_are_kept_beside_those_of_before_and_read_by_the_next_process(layout):
    state = TrackerState("lines", lambda: layout)
    assert state.read() == {}
    state.keep(id="run-1", step=3)
    state.keep(step=4)
    assert TrackerState("lines", lambda: layout).read() == {"id": "run-1", "step": 4}
    assert TrackerState("others", lambda: layout).read() == {}
    assert json.loads((layout.root / "tracking" / "lines.json").read_text())["id"] == "run-1"


def test_a_damaged_state_is_read_from_its_copy_with_a_warning(layout):
    warnings = []
    state = TrackerState("lines", lambda: layout, warnings.append)
    state.keep(id="run-1")
    path = layout.tracker_state("lines")
    path.write_text(path.read_text().replace("run-1", "run-2"))
    assert state.read() == {"id": "run-1"}
    assert warnings == [f"{path} was damaged; its copy took its place."]
    assert "run-1" in path.read_text()


def test_a_state_that_is_damaged_twice_is_refused(layout):
    state = TrackerState("lines", lambda: layout)
    state.keep(id="run-1")
    path = layout.tracker_state("lines")
    for file in (path, layout.copy(path)):
        file.write_text("{")
    with pytest.raises(RequestError) as refused:
        state.read()
    assert str(refused.value).startswith(
        f"{path} must hold what the tracker 'lines' kept; it is damaged: "
    )


def test_nothing_is_kept_before_the_run_has_a_directory(tmp_path):
    with pytest.raises(RequestError) as refused:
        TrackerState("lines", lambda: Layout(tmp_path / "run")).keep(id="run-1")
    assert str(refused.value) == (
        "A tracker must wait for the run's directory before it keeps something in it: from "
        f"`directory` on; {tmp_path / 'run'} is not there yet."
    )
    assert list(tmp_path.iterdir()) == []


def test_before_the_run_is_known_nothing_was_kept_and_nothing_can_be() -> None:
    state = TrackerState("mine", lambda: None)
    assert state.read() == {}
    line = "from `directory` on; it is not there yet."
    with pytest.raises(RequestError, match=line):
        state.keep(id=7)
