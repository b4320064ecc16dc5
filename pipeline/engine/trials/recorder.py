"""What comes back from the trials goes into the ledger, to the searcher and to the watcher."""

from dataclasses import replace
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from pipeline.engine.faults.blame import Blame
from pipeline.engine.faults.hangs import Hangs
from pipeline.engine.internals.tune_trials import forget_results, forgive_losses, worker_of
from pipeline.engine.messages import EPOCH, OBJECTIVE, TrialMessage, WorkerMemory, message_of
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.errors import KerasweepError, RequestError
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import COUNTED, TrialFacts
from pipeline.records.ledger import Ledger
from pipeline.records.retention import Retention
from pipeline.search.searcher import Searcher
from pipeline.watch import Watcher
from pipeline.worker.faults import NO_OBJECTIVE, Failure

# trials that a node could not train, and none that it did between: it would take one after the
# other
UNFIT_TIMES = 2


class Recorder(Callback):
    """Tune's callback: records what trials tell, and tells the searcher and the watcher.

    When a report comes here, the scheduler has decided on it already (Tune 2.60). What holds is
    that the report is recorded before the decision is carried out: a driver that is killed between
    the two comes to the same decision from its records.

    Args:
        ledger: where it is recorded.
        searcher: learns from it.
        supervisor: the scheduler's proxy; knows why workers were lost.
        retention: decides which checkpoints stay.
        watcher: is told.
        hangs: looks for trials that report nothing.
        blame: says when the program is at fault, and the search is to end.
        max_epochs: how many epochs a trial trains at most.
    """

    def __init__(
        self,
        ledger: Ledger,
        searcher: Searcher,
        supervisor: Supervisor,
        retention: Retention,
        watcher: Watcher,
        hangs: Hangs,
        blame: Blame,
        max_epochs: int,
    ) -> None:
        self._ledger, self._searcher, self._supervisor = ledger, searcher, supervisor
        self._retention, self._watcher = retention, watcher
        self._hangs, self._blame, self._max_epochs = hangs, blame, max_epochs
        # that trials told, until an epoch carried out so is recorded
        self._fit_plans: dict[str, str] = {}
        self._memory: dict[str, WorkerMemory] = {}  # of a trial's worker at its last report
        self._failures: dict[str, Failure] = {}
        self._done: set[str] = set()
        self._actors: dict[str, Any] = {}
        self.fatal: KerasweepError | None = None
        self.halted = False

    def halt(self) -> None:
        """End the workers now and not after their epoch: their checkpoints are recent enough."""
        self.halted = True

    def refuse(self, error: KerasweepError) -> None:
        """End the search: what is asked of it cannot be had."""
        self.fatal = self.fatal or error

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Before Tune asks for trials."""
        self._supervisor.before_step()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """After each turn of Tune's loop."""
        if self.halted:
            while self._actors:
                ray.kill(self._actors.popitem()[1])
        elif self._supervisor.controller is not None:
            self._hangs.end_silent(self._supervisor.controller)
        for node, reasons in self._supervisor.unfit.items():
            if len(reasons) >= UNFIT_TIMES:
                self.refuse(
                    RequestError(reasons[-1] + f" (On {node}.)" * (not node.startswith("127.")))
                )
        self._record_decisions()
        self._watcher.tick()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial got its worker."""
        self._actors[trial.trial_id] = worker_of(trial)
        self._watcher.started(self._ledger.trials[trial.trial_id])

    def _record_decisions(self) -> None:
        """Record what the scheduler decided since, after the reports that it follows from."""
        for decision in self._supervisor.take_decisions():
            if self._ledger.decide(decision):
                self._watcher.decided(decision)

    def original_of(self, name: str, result: dict[str, Any]) -> str | None:
        """The earlier trial that has the same configuration, as a trial's first report shows.

        Asking changes nothing. Tune's stopper asks, and where there is one Tune calls
        `on_trial_result` next and not the scheduler, which so never hears of a duplicate.
        """
        facts = message_of(result).facts
        if facts is None or not facts.requested:
            return None
        return self._searcher.equal_of(name, facts.asked)

    def _end_duplicate(self, name: str, facts: TrialFacts, original: str) -> None:
        # In one write: a trial that has told what it requests and is not over is none.
        self._ledger.end(name, "duplicate", f"the same configuration as {original}", facts=facts)
        self._searcher.tell_duplicate(name, facts.asked, facts.asked_by_build)
        self._supervisor.discount(name)

    def _note(self, name: str, message: TrialMessage, new: bool) -> None:
        """Record what a trial tells with its first report, and again if it has changed."""
        facts = message.facts or TrialFacts()
        if facts.fit_plan:
            self._fit_plans[name] = facts.fit_plan
        plan = None
        if new and message.report and name in self._fit_plans:
            plan = self._ledger.trials[name].with_fit_plan(
                self._fit_plans.pop(name), message.report.epoch
            )
        self._ledger.note(name, replace(facts, fit_plan=plan))
        # else a space without hyperparameters, or a trial that failed before it asked for any
        if facts.requested:
            self._searcher.tell_requested(name, facts.asked, facts.asked_by_build)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A report came."""
        name, message = trial.trial_id, message_of(result)
        record = self._ledger.trials[name]
        original = self.original_of(name, result)
        if original is not None and message.facts is not None:
            self._end_duplicate(name, message.facts, original)
        self._supervisor.unfit.pop((message.facts or record).node or "", None)
        if record.status == "duplicate":
            return
        # and not trained again after a restart
        new = result[EPOCH] > self._ledger.last_epoch(name)
        self._note(name, message, new)
        self._hangs.reported(name, new=new)
        if message.memory is not None:
            self._memory[name] = message.memory
        if message.warning:
            self._watcher.warned(f"{name}: {message.warning}.")
        if message.failure is not None:
            self._failures[name] = message.failure
        if message.ended:
            self._done.add(name)
        if new and message.report is not None:
            report = Report.of(name, message.report, result["timestamp"])
            self._ledger.report(report)
            self._retention.reported(report)
            forgive_losses(trial)  # deaths count from one epoch to the next
            self._searcher.tell_report(name, report.epoch, result[OBJECTIVE], report.final)
            self._watcher.reported(report)
        self._record_decisions()
        if self._supervisor.pauses(name):
            self._watcher.waits(record)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial is over: it came to its end, failed, or the scheduler stopped it."""
        self._record_decisions()
        name = trial.trial_id
        failure = self._failures.get(name)
        if self._ledger.trials[name].status == "duplicate":
            self._over(name)
        elif failure is not None:
            self._end_failed(name, failure)
        elif name in self._done or self._ledger.last_epoch(name) >= self._max_epochs:
            self._end(name, "finished")
        else:
            self._end(name, "stopped")
        forget_results(trial)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial's worker died or hung more often than is tolerated."""
        if self._ledger.trials[trial.trial_id].status == "duplicate":
            self._over(trial.trial_id)
        else:
            reason = self._hangs.reasons.get(trial.trial_id) or self._loss(trial.trial_id)
            self._end_failed(trial.trial_id, Failure("configuration", reason))
        forget_results(trial)

    def _loss(self, name: str) -> str:
        """Why a trial's workers were lost, as far as is known.

        To be out of memory is the usual cause.
        """
        reason = self._supervisor.losses.get(name, "its worker was lost")
        if name not in self._memory:
            return reason
        held = f"{self._memory[name].held_gib:.2f} GiB of its node's"
        return f"{reason} (at its last report it held {held} {self._memory[name].node_gib:.1f})"

    def _end_failed(self, name: str, failure: Failure) -> None:
        at = failure.where if failure.blames == "program" else None
        self._ledger.end(name, "failed", failure.reason, failure.traceback or None, fault=at)
        self._after(name, failed=True)
        others_report = failure.where == NO_OBJECTIVE and self._ledger.reports
        if failure.blames == "request" and not others_report:
            self.refuse(RequestError(failure.reason))
        self.fatal = self._blame.failed(failure) or self.fatal

    def _end(self, name: str, status: Any) -> None:
        self._ledger.end(name, status)
        self._blame.trained()
        self._after(name, failed=False)

    def _after(self, name: str, *, failed: bool) -> None:
        self._searcher.tell_end(name, failed=failed)
        self._over(name)

    def _over(self, name: str) -> None:
        self._actors.pop(name, None)
        self._retention.ended(name)
        self._watcher.ended(self._ledger.trials[name])


def tell_past(ledger: Ledger, searcher: Searcher, objective: Objective) -> None:
    """Tell a fresh searcher what an earlier process recorded, in the order of its asking."""
    for name, record in ledger.trials.items():
        searcher.tell_asked(name, record.configuration)
        if record.requested is not None:
            tell = (
                searcher.tell_duplicate if record.status == "duplicate" else searcher.tell_requested
            )
            tell(name, record.asked, record.asked_by_build)
    for report in ledger.reports:
        value = objective.worst if report.objective is None else report.objective
        searcher.tell_report(report.trial, report.epoch, value, report.final)
    for name, record in ledger.trials.items():
        if record.status in COUNTED:
            searcher.tell_end(name, failed=record.status == "failed")
