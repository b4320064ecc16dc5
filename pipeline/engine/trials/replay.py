"""The past of a resumed run, put back.

Tune's trials, the scheduler's state, and which trials go first.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.messages import EPOCH, MESSAGE, OBJECTIVE, TrialMessage
from pipeline.engine.trials.ask_tell import AskTell
from pipeline.engine.trials.supervisor import WENT_ON, Supervisor
from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import ENDED
from pipeline.records.ledger import Ledger
from pipeline.records.retention import Retention
from pipeline.search.searcher import Searcher
from pipeline.watch import Watcher
from pipeline.worker.faults import Failure


@dataclass(frozen=True)
class PastReport:
    """One recorded epoch, with what the scheduler is to make of it.

    `last` if its trial ended with it, or `failed`; `diverged` if it was about to end with it.
    """

    trial: str
    epoch: int
    objective: float
    last: bool
    final: bool = False
    failed: bool = False
    diverged: bool = False

    def to_result(self, *, failed: bool = False) -> dict[str, Any]:
        """As Tune would have it: it came, or its trial failed with it."""
        told = EpochReport(self.epoch, self.objective, {}, 0.0, self.final)
        failure = Failure("configuration", "it failed before") if failed else None
        return {
            EPOCH: self.epoch,
            OBJECTIVE: self.objective,
            MESSAGE: TrialMessage(told, failure=failure),
        }


def replay(
    ledger: Ledger,
    adapter: AskTell,
    supervisor: Supervisor,
    searcher: Searcher,
    objective: Objective,
    create: Callable[..., Trial],
    retention: Retention,
    watcher: Watcher,
) -> list[Trial]:
    """Replay the ledger's reports through the scheduler.

    Args:
        create: makes one of Tune's trials from its id and task.
        retention: is told of trials that turn out to be over.
        watcher: is told who waits.

    Returns:
        The unfinished trials, in order, as Tune is to take them up.
    """
    trials = {
        name: create(name, adapter.task(name, record.hyperparameters or record.configuration))
        for name, record in ledger.trials.items()
    }
    ended = {name for name, record in ledger.trials.items() if record.status in ENDED}
    last = {report.trial: report.epoch for report in ledger.reports}
    reports = [
        PastReport(
            report.trial,
            report.epoch,
            objective.worst if report.objective is None else report.objective,
            last=report.trial in ended and report.epoch == last[report.trial],
            final=report.final,
            failed=ledger.trials[report.trial].status == "failed",
            diverged=report.objective is None,
        )
        for report in ledger.reports
    ]
    # A driver killed between a decision and its record: the decision follows from the reports, so
    # it is made again.
    before = {name: record.after for name, record in ledger.trials.items()}
    stopped = rebuild(supervisor, trials.values(), ended, reports, before)
    _record_decisions(supervisor, ledger, ended, watcher)
    for name in stopped:
        ledger.end(name, "finished" if last.get(name, 0) >= adapter.max_epochs else "stopped")
        searcher.tell_end(name)
        retention.ended(name)
    unfinished = [trials[name] for name in ledger.unfinished()]
    for trial in unfinished:
        if trial.status == Trial.PAUSED:
            watcher.waits(ledger.trials[trial.trial_id])
    return unfinished


def _record_decisions(
    supervisor: Supervisor, ledger: Ledger, ended: set[str], watcher: Watcher
) -> None:
    """Record the decisions that stand and are not recorded.

    A driver may have been killed between a report and the decision on it.
    """
    standing = {decision.trial: decision for decision in supervisor.take_decisions()}
    for decision in standing.values():
        lost = decision.trial not in ended and decision.epoch == ledger.last_epoch(decision.trial)
        if lost and ledger.decide(decision):
            watcher.decided(decision)


def rebuild(
    supervisor: Supervisor,
    trials: Iterable[Trial],
    ended: set[str],
    reports: Iterable[PastReport],
    before: Mapping[str, int] = MappingProxyType({}),
) -> set[str]:
    """Rebuild the scheduler's state from what was recorded.

    Args:
        supervisor: tells the scheduler.
        trials: all of the past, in the order in which they were added; their status is set to
            what it is now.
        ended: those that are over.
        reports: every epoch, in the order in which they came.
        before: how many epochs had come when a trial was added; none, of one that is not named.

    Returns:
        Trials that the scheduler had stopped, though this was not recorded any more.
    """
    past = _Past(supervisor, trials, ended)
    reports = list(reports)
    latest = {report.trial: report.epoch for report in reports}
    to_add = deque(past.all.values())
    for number, report in enumerate([*reports, None]):
        added = []
        while to_add and (
            report is None
            or before.get(to_add[0].trial_id, 0) <= number
            # reports before it are lost: cut off, and no copy of them
            or report.trial not in past.trials
        ):
            added.append(to_add.popleft())
            past.add(added[-1])
        # once all are there: a bracket is halved as soon as none is left to wait for
        for trial in added:
            if trial.trial_id in ended and trial.trial_id not in latest:
                past.end(trial, None)
        if report is not None:
            # Under fewer trials than there were to be, the decision might be another now.
            past.report(report, went_on=report.epoch < latest[report.trial])
    return past.settled()


class _Past:
    """The part of Tune's controller that the supervisor uses, over trials that ran before.

    `trials` are those that were added so far.
    """

    def __init__(self, supervisor: Supervisor, trials: Iterable[Trial], ended: set[str]) -> None:
        self._supervisor, self._ended = supervisor, ended
        self._stopped: set[str] = set()
        self.all = {trial.trial_id: trial for trial in trials}
        self.trials: dict[str, Trial] = {}

    def get_trials(self) -> list[Trial]:
        return list(self.trials.values())

    def stop_trial(self, trial: Trial) -> None:
        self.end(trial, None)

    def add(self, trial: Trial) -> None:
        self.trials[trial.trial_id] = trial
        self._supervisor.on_trial_add(self, trial)

    def report(self, report: PastReport, *, went_on: bool) -> None:
        trial = self.trials[report.trial]
        if trial.status == Trial.TERMINATED:
            return
        trial.set_status(Trial.RUNNING)
        if report.diverged:  # no scheduler decides on that
            if report.last:
                self.end(trial, report.to_result(failed=True))
            return
        result = report.to_result() | {WENT_ON: went_on}
        decision = self._supervisor.on_trial_result(self, trial, result)
        if report.last or (decision == TrialScheduler.STOP and not went_on):
            self.end(trial, report.to_result(failed=report.failed))
            if report.trial not in self._ended:
                self._stopped.add(report.trial)
        elif decision == TrialScheduler.PAUSE:
            trial.set_status(Trial.PAUSED)

    def end(self, trial: Trial, result: dict[str, Any] | None) -> None:
        if trial.status == Trial.TERMINATED:
            return
        if result is None:
            self._supervisor.on_trial_remove(self, trial)
        else:
            self._supervisor.on_trial_complete(self, trial, result)
        trial.set_status(Trial.TERMINATED)

    def settled(self) -> set[str]:
        """End what was over, queue what ran; the trials that are over and not recorded so."""
        for trial in self.all.values():
            if trial.trial_id in self._ended and trial.status != Trial.TERMINATED:
                self.end(trial, None)
            elif trial.status == Trial.TERMINATED and trial.trial_id not in self._ended:
                self._stopped.add(trial.trial_id)
            elif trial.status == Trial.RUNNING:
                trial.set_status(Trial.PENDING)
        return self._stopped
