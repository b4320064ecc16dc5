"""A run whose files are damaged, and one whose disk is full: gone on with or refused, and nothing
is lost."""

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from pipeline import Experiment, tune
from pipeline.engine.past import Past
from pipeline.engine.same_search import resumed
from pipeline.errors import RequestError, StorageError
from pipeline.records import layout as layouts
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.watch import Interruption
from tests.engine.hearing import Hearing
from tests.reopened import mend

SPACES = Path(__file__).parents[1] / "spaces"
pytestmark = [pytest.mark.ray, pytest.mark.slow]

SETTINGS = {
    "dataset": str(SPACES / "few.py"),
    "search_space": str(SPACES / "tiny.py"),
    "searcher": "random",
    "scheduler": "none",
    "trials": 3,
    "max_epochs": 3,
    "max_concurrent": 1,
}


class Following(Hearing):
    """Does something once after so many reports, and keeps what is said."""

    def __init__(self, count=None, action=None):
        super().__init__()
        self.left, self.action = count, action

    def reported(self, report):
        if self.left:
            self.left -= 1
            if self.left == 0:
                self.action()


@pytest.fixture(scope="module")
def whole(ray_cluster, tmp_path_factory):
    """A search that nothing befell."""
    return tune(Experiment(**SETTINGS, storage=str(tmp_path_factory.mktemp("whole")), name="mine"))


@pytest.fixture(scope="module")
def cut(whole, tmp_path_factory):
    """The same, stopped in the second of its trials, with a list of configurations to start
    from."""
    folder, interruption = tmp_path_factory.mktemp("cut"), Interruption()
    watcher = Following(5, lambda: setattr(interruption, "signal", 15))
    experiment = Experiment(**SETTINGS, storage=str(folder), name="mine")
    run = tune(experiment, watchers=[watcher], interruption=interruption)
    assert [r.trial for r in read_history(run.layout)] == ["t0000"] * 3 + ["t0001"] * 2
    assert (run.layout.trial("t0001") / "last.npz").is_file()
    return run.layout


@pytest.fixture
def copied(cut, tmp_path):
    """A copy of it that may be damaged."""
    shutil.copytree(cut.root, tmp_path / "mine")
    return Layout(tmp_path / "mine")


def gone_on_with(layout):
    """Resume it; what is said."""
    watcher = Following()
    run = tune(resumed(layout.root), resume=layout.root, watchers=[watcher])
    assert run.summary["trials"]["unfinished"] == 0
    return watcher.said


def assert_same(layout, whole):
    """All that the undisturbed search recorded, and nothing else."""
    for name in ("history.csv", "trials.csv"):
        mine, other = (
            pd.read_csv(folder / name).drop(columns="seconds")
            for folder in (layout.root, whole.directory)
        )
        pd.testing.assert_frame_equal(mine, other, rtol=1e-5)
    epochs = [(r.trial, r.epoch) for r in read_history(layout)]
    assert len(epochs) == len(set(epochs)) == 9


def test_damaged_in_every_file_at_once_a_run_is_gone_on_with_to_the_same_end(copied, whole):
    running = copied.trial("t0001")
    for path, size in (
        (copied.experiment, 100),
        (copied.history, 700),
        (running / "last.npz", 2000),
    ):
        path.write_bytes(path.read_bytes()[:size])
    copied.trial_record("t0000").unlink()
    copied.trial_record("t0001").write_bytes(b"\0" * 400)
    copied.summary.unlink()
    copied.summary.mkdir()

    said = gone_on_with(copied)

    assert_same(copied, whole)
    for path in (
        copied.experiment,
        copied.history,
        copied.trial_record("t0000"),
        copied.trial_record("t0001"),
    ):
        assert sum(str(path) in line for line in said) == 1, said
    assert f"t0001: {running / 'last.npz'} is damaged; trained again from the start." in said
    assert len(said) == 6


def test_a_running_trial_whose_reports_are_lost_does_not_go_on_from_behind_them(copied, whole):
    for path in (copied.history, copied.copy(copied.history)):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))

    said = gone_on_with(copied)

    assert_same(copied, whole)
    assert said == [
        f"{copied.history} has lost reports of t0001; it is trained again from the start."
    ]


def test_a_run_whose_summary_is_damaged_twice_is_ended_anew(whole, tmp_path):
    shutil.copytree(whole.directory, tmp_path / "mine")
    layout = Layout(tmp_path / "mine")
    for path in (layout.summary, layout.copy(layout.summary)):
        path.write_text("{")

    said = gone_on_with(layout)

    assert said == [
        f"{layout.summary} is damaged, and so is its copy; it is written anew at the end."
    ]
    assert_same(layout, whole)


def emptied(path):
    path.write_bytes(b"")
    return "damaged: it is empty."


def shortened(path):
    path.write_bytes(path.read_bytes()[:-30])
    return "damaged: "


def flipped(path):
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    return "damaged: it is not what was written: its checksum is another."


def gone(path):
    path.unlink()
    return "missing."


def a_folder(path):
    path.unlink()
    path.mkdir()
    return "damaged: "


@pytest.mark.parametrize(
    "damage",
    [
        {"trials.csv": emptied, "history.csv": shortened, "best/model.keras": shortened},
        {"history.csv": flipped, "best/model.keras": gone, "best/metrics.json": shortened},
        {
            **{"trials.csv": gone, "history.csv": a_folder},
            **{"best/model.keras": a_folder, "best/hyperparameters.json": gone},
        },
    ],
)
def test_where_what_a_finished_run_handed_back_is_damaged_its_end_is_carried_out_anew(
    whole, tmp_path, damage
):
    shutil.copytree(whole.directory, tmp_path / "mine")
    layout = Layout(tmp_path / "mine")
    expected = [(layout.root / name, do(layout.root / name)) for name, do in damage.items()]
    # Of the time budget nothing may be left: to train there is nothing.
    experiment = resumed(layout.root, time_budget_s=0.1)
    watcher = Following()

    run = tune(experiment, resume=layout.root, watchers=[watcher])

    assert len(watcher.said) == len(expected)
    for line, (path, fault) in zip(watcher.said, expected, strict=True):
        assert line.startswith(f"{path} must ") and f"; it is {fault}" in line and "\n" not in line
        assert line.endswith(". It is written anew at the end.")
    assert_same(layout, whole)
    for key in ("best", "test", "validation", "trials", "epochs", "exhausted"):
        assert run.summary[key] == whole.summary[key]
    again, model = (each.best_model().get_weights() for each in (run, whole))
    assert all((a == b).all() for a, b in zip(again, model, strict=True))
    state = {path: path.stat().st_mtime_ns for path in layout.root.rglob("*")}
    assert gone_on_with(layout) == []
    assert {
        path: path.stat().st_mtime_ns for path in layout.root.rglob("*") if path != layout.lock
    } == {path: time for path, time in state.items() if path != layout.lock}


def test_whichever_file_of_a_finished_run_is_damaged_it_is_put_right_or_named(whole, tmp_path):
    """At random places: cut off there, one bit changed there, or the file gone."""
    random = Random(0)
    root = tmp_path / "mine"
    shutil.copytree(whole.directory, root)
    layout, experiment = Layout(root), resumed(whole.directory)
    # Checkpoints are looked at where they are used; a lock holds nothing.
    kept = (".yaml", ".json", ".jsonl", ".csv", ".md", ".py")
    files = [p for p in root.rglob("*") if p.suffix in kept and p.stat().st_size]
    files.append(layout.best_model)
    assert {p.name for p in files} >= {"metrics.json", "history.csv", "checksums.json"}
    outcomes = []
    for path in files * 4:
        data = path.read_bytes()
        place, bit = random.randrange(len(data) - 1), 1 << random.randrange(8)
        changed = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
        for damaged in (data[:place], changed, None):
            if damaged is None:
                path.unlink()
            else:
                path.write_bytes(damaged)
            said = []
            with Past(layout, said.append) as past:
                past.read()
                done = past.is_complete(experiment)
            if path.is_file() and path.read_bytes() == data:
                outcomes.append("put right")
                assert done
            else:
                outcomes.append("named")
                (line,) = said
                assert not done and line.startswith(f"{path} must ") and "\n" not in line
                assert line.endswith(" It is written anew at the end.")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    # Two tables, the model and the six files beside it have no copy.
    assert outcomes.count("named") == 9 * 4 * 3 < len(outcomes)


def lines_of_an_ended_trial(layout):
    for path in (layout.history, layout.copy(layout.history)):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    return f"{layout.history} must hold each report; of t0000 epochs 3 to 3 are missing."


def a_trials_record(layout):
    for path in (layout.trial("t0000"), layout.copy(layout.trial("t0000"))):
        shutil.rmtree(path)
    return f"{layout.trial_record('t0000')} must hold one trial's record; it is missing."


def the_last_trials_record(layout):
    for path in (layout.trial("t0001"), layout.copy(layout.trial("t0001"))):
        shutil.rmtree(path)
    return f"{layout.trial_record('t0001')} must hold one trial's record; it is missing."


def the_settings(layout):
    for path in (layout.experiment, layout.copy(layout.experiment)):
        path.write_bytes(path.read_bytes()[:-1])
    return f"{layout.experiment} must hold the run's settings; it is damaged: "


def the_lock(layout):
    layout.lock.unlink()
    layout.lock.mkdir()
    return f"{layout.lock} must be a file that can be locked: Is a directory."


@pytest.mark.parametrize(
    "lose",
    [lines_of_an_ended_trial, a_trials_record, the_last_trials_record, the_settings, the_lock],
)
def test_what_is_lost_for_good_is_refused_and_no_search_is_begun(lose, copied):
    message = lose(copied)
    before = {path: path.read_bytes() for path in copied.root.rglob("*") if path.is_file()}

    with pytest.raises(RequestError) as refused:
        tune(resumed(copied.root), resume=copied.root)

    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)
    assert {path: path.read_bytes() for path in copied.root.rglob("*") if path.is_file()} == before


def test_wherever_a_byte_is_changed_or_the_rest_cut_off_it_is_put_right_or_refused_by_name(copied):
    """Of each file that a resume reads; in it and in its copy alike, so that there is none to put
    it right from."""
    history, trials = read_history(copied), read_trials(copied)
    outcomes = []
    for path in (
        copied.experiment,
        copied.history,
        copied.trial_record("t0000"),
        copied.trial_record("t0001"),
    ):
        data = path.read_bytes()
        for place in range(0, len(data) - 1, 29):  # without its last line feed a file is whole
            for damaged in (
                data[:place],
                data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :],
            ):
                for places in ((path,), (path, copied.copy(path))):
                    for each in places:
                        each.write_bytes(damaged)
                    said = []
                    try:
                        experiment = resumed(copied.root)
                        mend(copied, said.append)
                    except RequestError as error:
                        assert str(path) in str(error) and "\n" not in str(error)
                        assert len(places) == 2, error
                        outcomes.append("refused")
                    else:
                        assert experiment.trials == 3 and read_trials(copied) == trials
                        assert len(places) == 1 or path == copied.history
                        assert read_history(copied) == history[: len(read_history(copied))]
                        outcomes.append("put right")
                    for each in (path, copied.copy(path)):
                        each.write_bytes(data)
    assert 0.3 < outcomes.count("refused") / len(outcomes) < 0.6


# A full disk.


@pytest.fixture
def disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"a file system may not be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
    """Leave not a byte."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


def test_on_a_full_disk_a_search_ends_with_all_that_was_recorded_and_is_gone_on_with(
    disk, whole, monkeypatch
):
    monkeypatch.setattr(layouts, "PAUSES_S", (0.1, 0.2, 0.4))
    experiment = Experiment(**SETTINGS, storage=str(disk), name="mine")

    with pytest.raises(StorageError) as raised:
        tune(experiment, watchers=[Following(4, lambda: fill(disk))])

    layout = Layout(disk / "mine")
    assert "\n" not in str(raised.value)
    assert (
        "could not be written for 1 s: No space left on device. What was recorded before is whole."
        in str(raised.value)
    )
    assert str(raised.value).endswith(f"go on: --resume {layout.root}")
    recorded = [(r.trial, r.epoch) for r in read_history(layout)]
    assert recorded[:4] == [("t0000", 1), ("t0000", 2), ("t0000", 3), ("t0001", 1)]
    (disk / "ballast").unlink()
    gone_on_with(layout)
    assert_same(layout, whole)
    assert [(r.trial, r.epoch) for r in read_history(layout)][: len(recorded)] == recorded


def test_a_disk_that_is_full_for_a_while_ends_nothing(disk, whole):
    def fill_for_a_while():
        fill(disk)
        threading.Timer(3, (disk / "ballast").unlink).start()

    began = time.monotonic()
    run = tune(
        Experiment(**SETTINGS, storage=str(disk), name="mine"),
        watchers=[Following(4, fill_for_a_while)],
    )

    assert time.monotonic() - began > 3
    assert_same(run.layout, whole)
    assert not [
        name
        for _, _, names in os.walk(run.directory)
        for name in names
        if name.endswith(".writing")
    ]
