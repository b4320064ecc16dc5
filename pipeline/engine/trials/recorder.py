"""What comes back from the trials: into the ledger, to the searcher, to whoever watches."""

import sys
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from pipeline.engine import messages as keys
from pipeline.engine.faults.hangs import Hangs
from pipeline.engine.internals.tune_trials import forget_results, forgive_losses, worker_of
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.errors import KerasweepError, ProgramError, RequestError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.ledger import COUNTED, Ledger, Report, as_plain
from pipeline.records.retention import Retention
from pipeline.search.searcher import Searcher
from pipeline.space.hyperparameters import Requested
from pipeline.watch import Watcher
from pipeline.worker.faults import OBJECTIVE, Failure

# trials that a node could not train, and none that it did between: it would take one after the
# other
UNFIT_TIMES = 2


class Recorder(Callback):
    """Tune's callback. Every fact is recorded once, before anything follows from it."""

    def __init__(
        self,
        ledger: Ledger,
        searcher: Searcher,
        objective: Objective,
        experiment: Experiment,
        supervisor: Supervisor,
        retention: Retention,
        watcher: Watcher,
    ) -> None:
        self._ledger, self._searcher, self._objective = ledger, searcher, objective
        self._experiment, self._supervisor, self._watcher = experiment, supervisor, watcher
        self._retention = retention
        longest_s = max((report.seconds for report in ledger.reports), default=0.0)
        self._hangs = Hangs.of(experiment, longest_s, watcher.warned)
        # that trials told, until an epoch carried out so is recorded
        self._fit_plans: dict[str, str] = {}
        # by a trial's worker at its last report, of its node's
        self._held_gib: dict[str, tuple[float, float]] = {}
        self._failures: dict[str, Failure] = {}
        self._done: set[str] = set()
        self._same_fault: list[Failure] = []
        self._actors: dict[str, Any] = {}
        self.fatal: KerasweepError | None = None
        self.halted = False
        self._remember_faults()

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
            self._hangs.look(self._supervisor.controller)
        for node, reasons in self._supervisor.unfit.items():
            if len(reasons) >= UNFIT_TIMES:
                self.refuse(
                    RequestError(reasons[-1] + f" (On {node}.)" * (not node.startswith("127.")))
                )
        self._watcher.tick()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial got its worker."""
        self._actors[trial.trial_id] = worker_of(trial)
        self._watcher.started(self._ledger.trials[trial.trial_id])

    def ends_duplicate(self, name: str, result: dict[str, Any]) -> bool:
        """Whether a trial's first report shows that another has its configuration.

        It is then recorded as over.

        The stopper asks, so that the scheduler sees nothing of it.
        """
        requested: Requested = result.get(keys.REQUESTED) or []
        other = self._searcher.equal_of(name, requested) if requested else None
        if other is None:
            return False
        # In one write: a trial that has told what it requests and is not over is none.
        self._ledger.end(
            name,
            "duplicate",
            f"the same configuration as {other}",
            requested=as_plain(requested, result[keys.ASKED_BY_BUILD]),
            **result[keys.PLACE],
        )
        self._searcher.tell_duplicate(name, requested, result[keys.ASKED_BY_BUILD])
        self._supervisor.discount(name)
        return True

    def _note(self, name: str, result: dict[str, Any], new: bool) -> None:
        """Record what a trial tells with its first report, and again if it has changed."""
        requested: Requested | None = result.get(keys.REQUESTED)
        facts: dict[str, Any] = {}
        if requested is not None:
            facts = dict(result[keys.PLACE])
            if plan := facts.pop("fit_plan", ""):
                self._fit_plans[name] = plan
        # else a space without hyperparameters, or a trial that failed before it asked for any
        if requested:
            facts["requested"] = as_plain(requested, result[keys.ASKED_BY_BUILD])
        if new and name in self._fit_plans:
            facts["fit_plan"] = self._ledger.trials[name].with_fit_plan(
                self._fit_plans.pop(name), result[keys.EPOCH]
            )
        self._ledger.note(name, **facts)
        if requested:
            self._searcher.tell_requested(name, requested, result[keys.ASKED_BY_BUILD])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A report came."""
        name = trial.trial_id
        self._supervisor.unfit.pop(result.get(keys.PLACE, {}).get("node"), None)
        if self._ledger.trials[name].status == "duplicate":
            return
        # and not trained again after a restart
        new = result[keys.EPOCH] > self._ledger.last_epoch(name)
        self._note(name, result, new)
        self._hangs.reported(name, new=new)
        if keys.HELD in result:
            self._held_gib[name] = result[keys.HELD]
        if result.get(keys.WARNING):
            self._watcher.warned(f"{name}: {result[keys.WARNING]}.")
        failure = result.get(keys.FAILURE)
        if failure is not None:
            self._failures[name] = failure
        if result.get(keys.ENDED):
            self._done.add(name)
        if new:
            report = Report(
                name,
                result[keys.EPOCH],
                result[keys.REPORTED],
                # A worker's message brings the names anew: kept apart, they would be a third of
                # what a report holds.
                {sys.intern(metric): value for metric, value in result[keys.METRICS].items()},
                round(result[keys.SECONDS], 4),
                round(result["timestamp"], 3),
                result[keys.FINAL],
            )
            self._ledger.report(report)
            self._retention.reported(report)
            forgive_losses(trial)  # deaths count from one epoch to the next
            self._searcher.tell_report(name, report.epoch, result[keys.OBJECTIVE], report.final)
            self._watcher.reported(report)
        if self._supervisor.pauses(name):
            self._watcher.waits(self._ledger.trials[name])

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial is over: it came to its end, failed, or the scheduler stopped it."""
        name = trial.trial_id
        failure = self._failures.get(name)
        if self._ledger.trials[name].status == "duplicate":
            self._over(name)
        elif failure is not None:
            self._end_failed(name, failure)
        elif name in self._done or self._ledger.last_epoch(name) >= self._experiment.max_epochs:
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
        if name not in self._held_gib:
            return reason
        held, total = self._held_gib[name]
        return f"{reason} (at its last report it held {held:.2f} GiB of its node's {total:.1f})"

    def _end_failed(self, name: str, failure: Failure) -> None:
        at = failure.where if failure.blames == "program" else None
        self._ledger.end(name, "failed", failure.reason, failure.traceback or None, fault=at)
        self._after(name, failed=True)
        others_report = failure.where == OBJECTIVE and self._ledger.reports
        if failure.blames == "request" and not others_report:
            self.refuse(RequestError(failure.reason))
        if failure.blames != "program":
            return
        self._blame(failure)
        # In so many trials, and none that trained between, it is the program's fault and not a
        # configuration's.
        if len(self._same_fault) >= self._experiment.max_consecutive_failed_trials:
            self.fatal = ProgramError(
                f"{len(self._same_fault)} trials in a row failed in the same way: {failure.reason}",
                failure.traceback,
            )

    def _blame(self, failure: Failure) -> None:
        if self._same_fault and self._same_fault[-1].where != failure.where:
            self._same_fault.clear()
        self._same_fault.append(failure)

    def _remember_faults(self) -> None:
        """Count on where an earlier process was killed.

        Where it had ended for them, they are likely mended.
        """
        ended = [record for record in self._ledger.trials.values() if record.ended is not None]
        for record in sorted(ended, key=lambda record: record.ended or 0.0):
            if record.status in ("finished", "stopped"):
                self._same_fault.clear()
            elif record.fault is not None:
                self._blame(
                    Failure("program", record.error or "", record.traceback or "", record.fault)
                )
        if len(self._same_fault) >= self._experiment.max_consecutive_failed_trials:
            self._same_fault.clear()

    def _end(self, name: str, status: Any) -> None:
        self._ledger.end(name, status)
        self._same_fault.clear()
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
