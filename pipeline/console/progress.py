"""How far a search is, counted from what a watcher hears."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.console.words import duration
from pipeline.experiment import UNBOUNDED
from pipeline.records.entries.reports import BestReports, Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.watch import SearchPlan, Watcher


class SearchProgress:
    """The trials of a search with their best and latest reports.

    Nothing is required of the order of the events: before the plan is known there is no objective,
    and reports are ranked once there is.
    """

    def __init__(self) -> None:
        self.records: dict[str, TrialRecord] = {}
        self.begun = False  # whether this process has started a trial
        self.over = False  # whether it will start no more
        self._plan: SearchPlan | None = None
        self._began = time.monotonic()
        self._unranked: list[Report] = []
        self._best: BestReports | None = None
        self._last: dict[str, Report] = {}
        self._waiting: set[str] = set()
        self._ended = self._epochs = self._tried_before = 0

    # What is heard.

    def planned(self, plan: SearchPlan) -> None:
        """Take the plan's objective and budget; time counts from here."""
        self._plan = plan
        self._began = time.monotonic()
        unranked, self._unranked = self._unranked, []
        self._best = BestReports(plan.objective, unranked)

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """Count what an earlier process did."""
        for record in trials:
            self.records[record.trial] = record
        for report in reports:
            self.reported(report)
        for record in trials:
            if record.status != "running":
                self.ended(record)
        self._tried_before = self._tried

    def started(self, record: TrialRecord) -> None:
        """Note that a trial runs."""
        self.records[record.trial] = record
        self._waiting.discard(record.trial)
        self.begun = True

    def waits(self, record: TrialRecord) -> None:
        """Note that a trial is paused."""
        self.records[record.trial] = record
        self._waiting.add(record.trial)
        if not self.begun:
            self._tried_before += 1

    def reported(self, report: Report) -> None:
        """Count an epoch."""
        self.records.setdefault(report.trial, TrialRecord(report.trial, {}))
        self._last[report.trial] = report
        self._epochs += 1
        if self._best is None:
            self._unranked.append(report)
        else:
            self._best.add(report)

    def ended(self, record: TrialRecord) -> None:
        """Count a trial that is over."""
        self.records[record.trial] = record
        self._waiting.discard(record.trial)
        self._ended += record.status != "duplicate"

    # What follows.

    @property
    def objective(self) -> str:
        """The objective's name; empty before the plan is known."""
        return self._plan.objective.name if self._plan is not None else ""

    def status(self, trial: str) -> str:
        """A trial's status; `waiting` while it is paused."""
        return "waiting" if trial in self._waiting else self.records[trial].status

    def epoch(self, trial: str) -> int:
        """A trial's latest epoch; 0 before its first."""
        return self._last[trial].epoch if trial in self._last else 0

    def value(self, trial: str) -> float | None:
        """A trial's best objective."""
        return self._best.value(trial) if self._best is not None else None

    def ranked(self) -> list[TrialRecord]:
        """The trials that run, in the order of their numbers, then the others, the best first."""
        running = [r for r in self.records.values() if self.status(r.trial) == "running"]
        others = [r for r in self.records.values() if self.status(r.trial) != "running"]
        if self._plan is not None:
            loss = self._plan.objective.loss
            others.sort(key=lambda record: loss(self.value(record.trial)))
        return [*running, *others]

    def line(self, trial: str) -> str:
        """How one trial does."""
        value, error = self.value(trial), self.records[trial].error
        best = "none" if value is None else f"{value:.5g}"
        reason = f" ({error})" if error else ""
        status = f"{trial} {self.status(trial):<8} epoch {self.epoch(trial):>2}"
        return f"{status}  best {self.objective} {best}{reason}"

    def summary(self) -> str:
        """How the search does: trials, epochs, the best, time passed and left."""
        passed_s = time.monotonic() - self._began
        total = self._trials
        parts = [
            f"{self._tried}{'' if total is None else f'/{total}'} trials",
            f"{self._epochs} epochs",
        ]
        leader = self._leader()
        if leader is not None:
            parts.append(f"best {self.objective} {leader.objective:.5g} ({leader.trial})")
        parts.append(f"{duration(passed_s)} passed")
        left_s = self._left_s(passed_s)
        if left_s is not None:
            parts.append(f"about {duration(left_s)} left")
        return " · ".join(parts)

    @property
    def _trials(self) -> int | None:
        """How many trials there are to be; None if that is not known."""
        if self._plan is None or self._plan.experiment.trials >= UNBOUNDED:
            return None
        return self._plan.experiment.trials

    @property
    def _tried(self) -> int:
        """Trials that have ended, and those that wait, as they may not go on."""
        return self._ended + len(self._waiting)

    def _leader(self) -> Report | None:
        if self._plan is None or self._best is None:
            return None
        loss = self._plan.objective.loss
        return min(self._best, key=lambda report: loss(report.objective), default=None)

    def _left_s(self, passed_s: float) -> float | None:
        if self.over:
            return None
        done, total = self._tried - self._tried_before, self._trials
        budget_s = self._plan.experiment.time_budget_s if self._plan is not None else None
        bounds = []
        if done and total is not None:
            bounds.append(passed_s / done * (total - self._tried))
        if budget_s:
            bounds.append(budget_s - passed_s)
        return max(0.0, min(bounds)) if bounds else None


class Counting(Watcher):
    """Counts what it hears in its `progress`; how that is shown is up to a subclass."""

    def __init__(self) -> None:
        self.progress = SearchProgress()

    def planned(self, plan: SearchPlan) -> None:
        """Take the plan's objective and budget."""
        self.progress.planned(plan)

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """Count what was done before."""
        self.progress.remembered(trials, reports)

    def started(self, record: TrialRecord) -> None:
        """Count a trial that runs."""
        self.progress.started(record)

    def waits(self, record: TrialRecord) -> None:
        """Count a trial that is paused."""
        self.progress.waits(record)

    def reported(self, report: Report) -> None:
        """Count an epoch."""
        self.progress.reported(report)

    def ended(self, record: TrialRecord) -> None:
        """Count a trial that is over."""
        self.progress.ended(record)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Count until the last trial is over."""
        try:
            yield
        finally:
            self.progress.over = True
