"""Conformance of a tracker, and of any other watcher: it hears whatever a run may tell.

    from pipeline.testing import trackers

    def test_tracker(tmp_path):
        trackers.check_tracker(MyTracker, tmp_path)

Runs are told that did not take place, with real records: one that finishes, one that is interrupted
and gone on with, one that fails, and events in an order that a tracker should not rely on.
"""

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import ProgramError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.decisions import Decision
from pipeline.records.entries.reports import EpochReport, Report
from pipeline.records.entries.trials import TrialFacts, TrialRecord, as_plain
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import find_best, summary_of, write_summary
from pipeline.records.outputs.tables import write_tables
from pipeline.records.settings import write_experiment
from pipeline.records.tracker_state import TrackerState
from pipeline.space.specs import Float
from pipeline.watch import Conclusion, SearchPlan, Watcher

OBJECTIVE = Objective("val_accuracy", "max")
RATE = Float(name="rate", min_value=0.001, max_value=0.1, sampling="log")

Make = Callable[[Experiment, TrackerState], Watcher]


def check_tracker(make: Make, folder: Path) -> None:
    """Check a tracker's class, or a function that makes one; `folder` is empty.

    Each part is told to a tracker of its own, as each process makes its own.
    """
    check_finished(make, folder / "finished")
    check_resumed(make, folder / "resumed")
    check_failed(make, folder / "failed")
    check_any_order(make, folder / "any-order")


def check_watcher(make: Callable[[], Watcher], folder: Path) -> None:
    """Check a watcher that keeps nothing, such as the console."""
    check_tracker(lambda experiment, state: make(), folder)


def check_finished(make: Make, folder: Path) -> dict[str, Any]:
    """Check that a tracker raises at no event of a whole run, and changes no record.

    Returns:
        What it kept.
    """
    run = PastRun(folder)
    with run.opened():
        watcher = make(run.experiment, run.state)
        run.begin(watcher)
        with watcher.searching():
            run.train(watcher, ["t0000", "t0001", "t0002"])
        run.conclude(watcher)
    return run.state.read()


def check_resumed(make: Make, folder: Path) -> dict[str, Any]:
    """Check that a tracker gets back what it kept before an interruption, and keeps that.

    Returns:
        What it kept in the end.
    """
    run = PastRun(folder)
    with run.opened():
        first = make(run.experiment, run.state)
        run.begin(first)
        with first.searching():
            run.train(first, ["t0000"], interrupted=True)
        run.conclude(first, interrupted=True)
    kept = run.state.read()
    json.dumps(kept, allow_nan=False)
    with run.opened():
        second = make(run.experiment, run.state)
        run.begin(second)
        with second.searching():
            run.train(second, ["t0000", "t0001"])
        run.conclude(second)
    lost = kept.keys() - run.state.read().keys()
    assert not lost, f"a resume must keep what was kept before it; {sorted(lost)} is gone"
    return run.state.read()


def check_failed(make: Make, folder: Path) -> None:
    """Check that a tracker hears of a failed search, and of one whose storage failed at once."""
    run = PastRun(folder)
    with run.opened():
        watcher = make(run.experiment, run.state)
        run.begin(watcher)
        with watcher.searching():
            run.fail(watcher, "t0000")
        error = ProgramError("3 trials in a row failed in the same way: no", "their traceback")
        run.conclude(watcher, error=error)
        early = make(run.experiment, run.state)
        early.preparing("loading data, checking the search space")
        early.directory(run.layout.place)
        early.concluded(Conclusion(run.layout.place, None, error=OSError("no space is left")))


def check_any_order(make: Make, folder: Path) -> None:
    """Check that a tracker asks for no order of events: it may be told of what it never met."""
    run = PastRun(folder)
    with run.opened():
        earlier = Watcher()
        run.begin(earlier)
        run.train(earlier, ["t0000"])
        run.conclude(earlier)
        watcher = make(run.experiment, run.state)
        watcher.remembered(list(run.ledger.trials.values()), run.ledger.reports)
        record, report = run.ledger.trials["t0000"], run.ledger.reports[0]
        watcher.waits(record)
        watcher.ended(record)
        watcher.directory(run.layout.place)
        watcher.planned(run.plan)
        watcher.reported(report)
        watcher.decided(Decision("t0007", 1, "stop"))
        watcher.started(record)
        watcher.tick()
        stranger = TrialRecord("t0009", {}, status="duplicate", error="the same configuration")
        watcher.ended(stranger)
        watcher.concluded(Conclusion(run.layout.place, None, interrupted=True))


class PastRun:
    """A run in `folder` with real records, told to watchers as a search tells it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.layout = Layout(folder / "run")
        self.experiment = Experiment(
            dataset="digits", trials=3, max_epochs=2, storage=str(folder), name="run"
        )
        self.state = TrackerState("tested", lambda: self.layout)
        self.plan = SearchPlan(
            self.experiment,
            OBJECTIVE,
            {
                "name": "digits",
                "shape": [8, 8, 1],
                "dtype": "float32",
                "range": [0.0, 1.0],
                "classes": 10,
                "task": "classification",
                "counts": {"train": 1078, "val": 359, "test": 360},
            },
            [(RATE, 0.01)],
            650,
            2,
            ("a warning",),
            self.layout.place,
        )
        write_experiment(self.layout, self.experiment.to_yaml())

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the run, as one process does."""
        with closing(Ledger(self.layout)) as self.ledger:
            yield

    def begin(self, watcher: Watcher) -> None:
        """Tell all that comes before the first trial."""
        self._tell(watcher, "preparing", "loading data, checking the search space")
        self._tell(watcher, "directory", self.layout.place)
        self._tell(watcher, "planned", self.plan)
        self._tell(watcher, "remembered", list(self.ledger.trials.values()), self.ledger.reports)

    def train(self, watcher: Watcher, trials: Sequence[str], *, interrupted: bool = False) -> None:
        """Train each trial for two epochs with a pause between them.

        With `interrupted` each ends after its first epoch and is not over.
        """
        for number, trial in enumerate(trials):
            if trial not in self.ledger.trials:
                self.ledger.start(trial, {"rate": 0.01 * (number + 1)})
            self._tell(watcher, "started", self.ledger.trials[trial])
            requested = as_plain([(RATE, 0.01 * (number + 1))], asked_by_build=1)
            self.ledger.note(trial, TrialFacts(requested=requested, node="127.0.0.1"))
            for epoch in range(self.ledger.last_epoch(trial) + 1, 3):
                self._report(watcher, trial, epoch)
                if interrupted:
                    return
                if epoch == 1:
                    place = number + 1
                    decision = Decision(trial, 1, "pause", 1, place, place, 0, "It waits.")
                    self._tell(watcher, "decided", decision)
                    self._tell(watcher, "waits", self.ledger.trials[trial])
                    self._tell(watcher, "started", self.ledger.trials[trial])
            self.ledger.end(trial, "finished")
            self._tell(watcher, "ended", self.ledger.trials[trial])
        self._tell(watcher, "warned", "a node is slow")

    def fail(self, watcher: Watcher, trial: str) -> None:
        """Let a trial fail after an epoch whose objective was not finite."""
        self.ledger.start(trial, {"rate": 0.1})
        self._tell(watcher, "started", self.ledger.trials[trial])
        self._report(watcher, trial, 1, objective=None)
        self.ledger.end(trial, "failed", "ValueError: no", "their traceback", fault="my.py:3")
        self._tell(watcher, "ended", self.ledger.trials[trial])

    def conclude(
        self, watcher: Watcher, *, interrupted: bool = False, error: BaseException | None = None
    ) -> None:
        """Write what a search writes at its end, and tell of it."""
        trials, reports = self.ledger.trials, self.ledger.reports
        write_tables(self.layout, OBJECTIVE, self.ledger)
        self._tell(watcher, "preparing", "measuring the best model")
        write_summary(
            self.layout,
            summary_of(
                self.layout,
                best=find_best(trials, reports, OBJECTIVE),
                test=None,
                trials=trials,
                epochs=len(reports),
                objective=str(OBJECTIVE),
                interrupted=interrupted,
                wall_clock_s=1.0,
            ),
        )
        place, results = self.layout.place, Results(self.layout.root)
        watcher.concluded(Conclusion(place, results, interrupted, error))

    def _report(
        self, watcher: Watcher, trial: str, epoch: int, objective: float | None = 0.5
    ) -> None:
        told = EpochReport(epoch, objective, {"loss": 1.5, "val_accuracy": objective}, seconds=0.25)
        report = Report.of(trial, told, time.time())
        self.ledger.report(report)
        self._tell(watcher, "reported", report)
        self._tell(watcher, "tick")

    @staticmethod
    def _tell(watcher: Watcher, event: str, *facts: Any) -> None:
        before = copy.deepcopy(facts)
        getattr(watcher, event)(*facts)
        assert facts == before, f"a watcher must not change what it is told; {event!r} did"
