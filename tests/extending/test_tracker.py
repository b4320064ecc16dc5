"""A tracker is added by one file, and by one line or an installed package: the rest follows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.components import OURS, Listed, listed
from pipeline.errors import RequestError, UserCodeError
from pipeline.experiment import Experiment
from pipeline.records.layout import Layout
from pipeline.testing.trackers import check_resumed, check_tracker
from pipeline.tracking import TRACKERS
from pipeline.tracking.trackers import make_trackers
from pipeline.watch import Interruption, Watcher

FILE = Path(__file__).parents[1] / "trackers" / "lines.py"
LINES, FAILING = f"{FILE}:Lines", f"{FILE}:Failing"
SETTINGS = {"scheduler": "none", "searcher": "random", "max_epochs": 2, "max_concurrent": 1}


WARNED = """
from pathlib import Path
from pipeline.watch import Watcher

class Warned(Watcher):
    def __init__(self, experiment, state):
        self.file = Path(experiment.storage) / "warned.txt"

    def warned(self, text):
        with self.file.open("a") as file:
            print(text, file=file)
"""


class Hearing(Watcher):
    """Keeps the warnings, but for that of a model no better than the simplest; ends the search
    after so many reports."""

    def __init__(self, reports: int = 0, interruption: Interruption | None = None) -> None:
        self.left, self.interruption = reports, interruption
        self.warnings: list[str] = []

    def reported(self, report: Any) -> None:
        self.left -= 1
        if self.left == 0 and self.interruption is not None:
            self.interruption.signal = 15

    def warned(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def package(component_package: Any) -> Any:
    """A package that adds the tracker `lines`."""
    return component_package("lines", FILE.read_text(), trackers="Lines")


def written(folder: Path) -> list[dict[str, Any]]:
    """What the tracker wrote of the runs in a folder."""
    return [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]


def test_it_passes_the_conformance_test(tmp_path: Path) -> None:
    from pipeline.components import load

    tracker = load("tracker", LINES, Watcher)
    check_tracker(tracker, tmp_path / "all")
    assert check_resumed(tracker, tmp_path / "once") == {"id": "run-1", "processes": 2}


@pytest.mark.slow
@pytest.mark.ray
def test_it_hears_a_search_and_its_resume_under_one_id_with_one_that_raises_beside_it(
    search: Any, tmp_path: Path
) -> None:
    interruption = Interruption()
    hearing = Hearing(3, interruption)
    run = search(
        **SETTINGS,
        trials=3,
        name="mine",
        track=[LINES, FAILING],
        watchers=[hearing],
        interruption=interruption,
    )
    state = run.layout.root / "tracking" / "lines.Lines.json"
    settings = yaml.safe_load((run.directory / "experiment.yaml").read_text())

    assert run.summary["interrupted"] and settings["track"] == [LINES, FAILING]
    assert hearing.warnings == [
        "The watcher Failing raised 'ConnectionError: no route to the tracking server' when it was "
        "told 'reported'. The search goes on; this watcher hears nothing more but the end."
    ]
    assert json.loads(state.read_text())["id"] == "run-1"

    state.unlink()  # there is a copy
    hearing = Hearing()
    more = search(
        **SETTINGS, trials=4, name="mine", track=LINES, watchers=[hearing], resume=run.directory
    )
    assert hearing.warnings == [f"{state} was missing; its copy took its place."]
    told = [(line.pop("event"), line) for line in written(tmp_path / "runs")]
    assert {facts["id"] for _, facts in told} == {"run-1"}
    assert [facts["processes"] for event, facts in told if event == "directory"] == [1, 2]
    remembered = [facts for event, facts in told if event == "remembered"]
    assert [facts["reports"] for facts in remembered] == [0, 3]
    assert [(f["trial"], f["epoch"]) for event, f in told if event == "reported"] == [
        (row["trial"], row["epoch"]) for _, row in more.history.iterrows()
    ]
    ends = [(f["best"], f["interrupted"]) for event, f in told if event == "concluded"]
    assert ends == [(run.best.trial, True), (more.best.trial, False)]
    assert len(more.trials) == 4


@pytest.mark.slow
@pytest.mark.ray
def test_it_is_warned_of_what_was_damaged_though_that_is_put_right_before_it_is_made(
    search: Any, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(WARNED)
    run = search(**SETTINGS, trials=1, name="mine")
    run.layout.experiment.unlink()
    run.layout.history.write_bytes(b"")
    tracker = f"{tmp_path / 'mine.py'}:Warned"

    search(**SETTINGS, trials=2, name="mine", track=tracker, resume=run.directory)

    assert (tmp_path / "runs" / "warned.txt").read_text().splitlines() == [
        f"{run.layout.experiment} was missing; its copy took its place.",
        f"{run.layout.history} was damaged; 2 of its 2 lines, from line 1 on, are from its copy.",
    ]


@pytest.mark.slow
@pytest.mark.ray
def test_a_packages_tracker_is_named_on_the_command_line_and_a_resume_may_do_without(
    cli: Any, package: Any, tmp_path: Path
) -> None:
    code, _, errors = cli(
        *("digits", "--trials", "1", "--max-epochs", "1", "--scheduler", "none"),
        *("--track", "lines", "--name", "mine"),
        cwd=tmp_path,
        PYTHONPATH=package.path,
    )
    assert code == 0, errors
    told = [line["event"] for line in written(tmp_path / "runs")]
    assert told == ["directory", "planned", "remembered", "reported", "ended", "concluded"]
    assert (tmp_path / "runs" / "mine" / "tracking" / "lines.json").is_file()

    code, _, errors = cli(
        *("--resume", "runs/mine", "--trials", "2", "--track", ""),
        cwd=tmp_path,
        PYTHONPATH=package.path,
    )
    assert code == 0, errors
    assert len(written(tmp_path / "runs")) == len(told)


def test_a_packages_tracker_is_listed_with_the_package(cli: Any, package: Any) -> None:
    code, output, _ = cli("--list", PYTHONPATH=package.path)
    text = " ".join(output.split())

    assert code == 0 and "trackers lines Writes each event into `lines.jsonl`" in text
    assert "[kerasweep-lines]" in text


def test_there_is_none_of_ours_yet(cli: Any, tmp_path: Path) -> None:
    code, output, _ = cli("--list")
    assert code == 0
    assert (
        "trackers\n  none here: name a class, package.module:MyClass or my_file.py:MyClass\n"
        in output
    )
    code, _, errors = cli("digits", "--track", "mine", cwd=tmp_path)
    assert code == 2 and "Unknown tracker 'mine'. Known: none." in errors
    assert list(tmp_path.iterdir()) == []


def test_one_file_and_one_line_make_a_tracker_of_ours(component_of_ours: Any) -> None:
    component_of_ours("lines", FILE.read_text(), TRACKERS, "Lines")

    line = "Writes each event into `lines.jsonl` beside the run's directory, under the run's id."
    assert listed("tracker", installed=False) == [Listed("lines", line, OURS)]
    assert Experiment(dataset="digits", track="lines").track == ("lines",)
    with pytest.raises(RequestError, match="Unknown tracker 'line'. Known: lines. Did you mean"):
        Experiment(dataset="digits", track=["line"])


def test_trackers_that_cannot_be_are_refused(tmp_path: Path) -> None:
    def made(*names: str) -> list[Watcher]:
        experiment = Experiment(dataset="digits", track=names)
        return make_trackers(experiment, lambda: Layout(tmp_path / "run"), lambda text: None)

    with pytest.raises(RequestError, match="track must name each tracker once; got '.*' twice."):
        made(LINES, LINES)
    with pytest.raises(RequestError, match="track must be names of trackers; got 3."):
        Experiment(dataset="digits", track=3)
    with pytest.raises(UserCodeError) as raised:
        made(f"{FILE}:Unmakeable")
    assert str(raised.value) == (
        f"The tracker '{FILE}:Unmakeable' must be made from an experiment and a state; it raised "
        "ImportError: no module named 'theirs'"
    )
    assert "lines.py" in raised.value.user_traceback
    (tmp_path / "lines.py").write_text(FILE.read_text())
    with pytest.raises(RequestError) as refused:
        made(LINES, f"{tmp_path / 'lines.py'}:Lines")
    assert str(refused.value) == (
        "Each tracker must have a name of its own; two are called 'lines.Lines'."
    )
    (tmp_path / "none.py").write_text("class Other: ...\n")
    with pytest.raises(RequestError, match="A tracker must be a class made from pipeline.watch."):
        made(f"{tmp_path / 'none.py'}:Other")
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["lines.py", "none.py"],
        ["__pycache__", "lines.py", "none.py"],
    )
