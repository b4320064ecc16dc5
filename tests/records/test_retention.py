"""Which checkpoints are there: while a search goes on, when it is over, and when it is gone on
with."""

import errno
import os

import pytest

from pipeline.objective import Objective
from pipeline.records import retention
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.layout import Layout
from pipeline.records.retention import Retention

ACCURACY, LOSS = Objective("val_accuracy", "max"), Objective("val_loss", "min")


def report(trial, epoch, objective):
    return Report(epoch, objective, {}, 1.0, trial=trial, time=0.0)


class Search:
    """A run of trials that write files and are forgotten."""

    def __init__(self, root, keep, objective=ACCURACY):
        self.layout, self.keep, self.objective = Layout(root), keep, objective
        self.records, self.reports = {}, []
        self.retention = Retention(self.layout, objective, keep)

    def write(self, trial, *names):
        for name in names or ("last.npz", "best.npz"):
            path = self.layout.trial(trial) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"weights")

    def start(self, trial, *values):
        self.records[trial] = TrialRecord(trial, {})
        self.write(trial, "trial.json")
        self.write(trial)
        for epoch, value in enumerate(values, start=1):
            self.reports.append(report(trial, epoch, value))
            self.retention.reported(self.reports[-1])

    def end(self, trial, status="finished"):
        self.records[trial].status = status
        self.retention.ended(trial)

    def train(self, trial, *values, status="finished"):
        self.start(trial, *values)
        self.end(trial, status)

    def again(self, keep=None):
        """As another process finds it."""
        self.retention = Retention(self.layout, self.objective, keep or self.keep)
        self.retention.remember(self.records.values(), self.reports)

    def conclude(self):
        self.retention.conclude(self.records.values())

    def files(self, name):
        return {
            path.relative_to(self.layout.trials).parts[0] for path in self.layout.trials.rglob(name)
        }

    def other_files(self):
        return {p.name for p in self.layout.trials.rglob("*") if p.is_file()} - {
            "trial.json",
            "best.npz",
            "last.npz",
        }


@pytest.fixture
def search(tmp_path):
    return Search(tmp_path, keep=2)


@pytest.mark.parametrize(("objective", "kept"), [(ACCURACY, {"b", "d"}), (LOSS, {"a", "c"})])
def test_the_best_weights_of_the_best_trials_stay(tmp_path, objective, kept):
    search = Search(tmp_path, 2, objective)
    for trial, value in {"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.5}.items():
        search.train(trial, value)
    assert search.files("best.npz") == kept
    search.conclude()
    assert search.files("best.npz") == kept and search.files("last.npz") == set()
    assert search.files("trial.json") == {"a", "b", "c", "d"}


def test_what_user_code_wrote_stays_whatever_it_is_called(search):
    search.train("a", 0.1)
    search.write("a/own", "best.npz", "last.npz")
    for trial, value in {"b": 0.9, "c": 0.8}.items():
        search.train(trial, value)
    search.conclude()
    left = {str(p.relative_to(search.layout.trials)) for p in search.layout.trials.rglob("*.npz")}
    assert left == {"a/own/best.npz", "a/own/last.npz", "b/best.npz", "c/best.npz"}


def test_a_trial_counts_by_its_best_epoch_and_not_by_its_last(search):
    search.train("a", 0.5, 0.9, 0.1)
    search.train("b", 0.6, 0.6, 0.6)
    search.train("c", 0.7, 0.7, 0.7)
    assert search.files("best.npz") == {"a", "c"}


def test_a_stopped_or_a_failed_trial_can_be_among_the_best_and_a_duplicate_is_not(search):
    search.train("a", 0.9, status="stopped")
    search.train("b", 0.8, None, status="failed")
    search.train("c", 0.1)
    search.train("d", status="duplicate")
    search.conclude()
    assert search.files("best.npz") == {"a", "b"}


def test_of_a_trial_without_a_finite_objective_nothing_stays(search):
    search.train("a", None, status="failed")
    search.train("b", status="failed")
    assert search.files("*.npz") == set()


def test_of_equals_the_earlier_stays(search):
    for trial in ("a", "b", "c"):
        search.train(trial, 0.5)
    assert search.files("best.npz") == {"a", "b"}


def test_a_trial_that_goes_on_keeps_its_state(search):
    search.train("a", 0.9)
    search.train("b", 0.8)
    search.start("c", 0.1)
    search.train("d", 0.2)
    search.conclude()
    assert search.files("last.npz") == {"c"} and search.files("best.npz") == {"a", "b", "c"}


def test_disk_stays_bounded_while_a_search_goes_on_though_stopped_workers_write_late(search):
    for number in range(300):
        trial = f"t{number:04d}"
        search.train(trial, number % 7 / 10, status="stopped")
        search.write(trial)  # the worker's last save comes when the trial is over
    assert len(search.files("best.npz")) < 2 + 66
    search.conclude()
    assert search.files("best.npz") == {"t0006", "t0013"} and search.files("last.npz") == set()


def test_of_each_execution_the_same_stays(search):
    for trial, value in {"a": 0.1, "b": 0.9, "c": 0.5}.items():
        search.start(trial, value)
        for execution in range(2):
            search.write(
                trial, f"execution-{execution}/last.npz", f"execution-{execution}/best.npz"
            )
        search.end(trial)
    search.conclude()
    assert search.files("last.npz") == set()
    assert {
        str(p.relative_to(search.layout.trials))
        for p in search.layout.trials.rglob("execution-*/best.npz")
    } == {f"{trial}/execution-{execution}/best.npz" for trial in "bc" for execution in range(2)}


def test_what_killed_workers_were_writing_is_gone_in_the_end(search):
    search.train("a", 0.9)
    search.start("b", 0.5)
    for trial in ("a", "b"):
        search.write(
            trial,
            ".last.npz.x7_k2.writing",
            ".best.npz.q0.writing",
            "execution-0/.last.npz.u.writing",
        )
    search.layout.best.mkdir()
    (search.layout.best / ".writing-12.keras").touch()
    search.conclude()
    assert search.other_files() == set() and list(search.layout.best.iterdir()) == []
    assert search.files("last.npz") == {"b"}


def test_another_process_goes_on_where_the_first_was(search):
    search.train("a", 0.9)
    search.train("b", 0.5)
    search.start("c", 0.7)
    search.again()
    assert search.files("best.npz") == {"a", "b", "c"} and "c" in search.files("last.npz")
    search.end("c")
    assert search.files("best.npz") == {"a", "c"}
    search.train("d", 0.8)
    search.again()
    search.conclude()
    assert search.files("best.npz") == {"a", "d"}


def test_a_resumed_run_may_keep_fewer(search):
    search.train("a", 0.9)
    search.train("b", 0.5)
    search.again(keep=1)
    search.conclude()
    assert search.files("best.npz") == {"a"}


def test_a_trial_without_a_folder_does_no_harm(search):
    search.records["a"] = TrialRecord("a", {}, "failed")
    search.retention.ended("a")
    search.conclude()
    assert search.files("*") == set()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("call", ["unlink", "scandir"])
def test_where_storage_fails_the_search_goes_on_and_what_stayed_is_removed_in_the_end(
    search, monkeypatch, call, number
):
    def fail(path, **_):
        raise OSError(number, os.strerror(number), path)

    search.train("a", 0.9)
    search.train("b", 0.8)
    with monkeypatch.context() as storage:
        storage.setattr(retention.os, call, fail)
        search.train("c", 0.1)
        search.train("d", status="duplicate")
        search.conclude()
    assert search.files("best.npz") == {"a", "b", "c", "d"}
    search.again()
    search.conclude()
    assert search.files("best.npz") == {"a", "b"} and search.files("last.npz") == set()
