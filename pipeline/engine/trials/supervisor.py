"""Stands between Tune and the scheduler.

Concurrency, restarts and the past are settled here, decisions are not.

A scheduler sees each epoch of each trial once, in the order of the records, whatever died in
between.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.faults.idle_workers import IdleWorkers
from pipeline.engine.faults.lost_workers import WorkerFailures
from pipeline.engine.internals.tune_controller import Controller
from pipeline.engine.internals.tune_schedulers import UnbufferedScheduler, go_on_deciding
from pipeline.engine.messages import EPOCH, MESSAGE, OBJECTIVE, TrialMessage, message_of
from pipeline.engine.schedulers.asha import WENT_ON
from pipeline.engine.schedulers.hyperband import WholeBrackets
from pipeline.engine.schedulers.scheduler import Pausing
from pipeline.engine.trials.gpu_shares import Shares
from pipeline.records.reports import EpochReport
from pipeline.worker.faults import Failure

UNBOUNDED = 10**6


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


class Supervisor(UnbufferedScheduler):
    """A scheduler that asks `inner` for its decisions.

    Args:
        inner: one of Ray's.
        slots: for how many trials there is a place, as of now.
        compared: is told of a trial that stands compared with the others, though it has not ended.
        shares: what trials are given of a GPU.
        most: how many may run at once, however much they take; None for as many as there is a place
            for.
    """

    def __init__(
        self,
        inner: TrialScheduler,
        slots: Callable[[], int],
        compared: Callable[[str], None] = lambda trial: None,
        shares: Shares | None = None,
        most: int | None = None,
    ) -> None:
        self.inner = inner
        self._compared, self._shares = compared, shares
        self._slots, self._most = slots, most or UNBOUNDED
        self._live: dict[str, Trial] = {}
        self._known: set[str] = set()
        self._seen: dict[str, int] = {}
        self._pausing: set[str] = set()  # the last decision on them was to pause
        self._discounted: set[str] = set()
        self._grown: set[str] = set()  # whose workers hold too much memory to be kept
        self.losses: dict[str, str] = {}  # trial -> why its worker was lost, the last time
        # node -> why it cannot train, as often as it was tried in vain
        self.unfit: dict[str, list[str]] = {}
        self.controller: Controller | None = None  # once Tune runs

    def wanted(self) -> bool:
        """Whether another trial can be used now. Paused trials hold no slot."""
        if isinstance(self.inner, WholeBrackets) and self.inner.unfilled:
            return True
        if self._waiting_for_a_gpu():
            return False
        free = self._free_beside(
            [t for t in self._live.values() if t.status in (Trial.PENDING, Trial.RUNNING)]
        )
        if isinstance(self.inner, Pausing):  # who waited goes before who is new
            free -= self.inner.ready()
        return not self._live or free > 0

    def _waiting_for_a_gpu(self) -> list[Trial]:
        """Trials that are to have a whole GPU and do not run yet."""
        if self._shares is None:
            return []
        return [
            t
            for t in self._live.values()
            if t.status == Trial.PENDING and self._shares.has_whole_gpu(t.trial_id)
        ]

    def _free_beside(self, trials: Collection[Trial]) -> int:
        """How many more trials may run at once."""
        taken = sum(1 if self._shares is None else self._shares.slots(t.trial_id) for t in trials)
        return min(self._slots() - taken, self._most - len(trials))

    def paused(self) -> bool:
        """Whether any trial waits to go on, or is about to."""
        return any(
            t.status == Trial.PAUSED or name in self._pausing for name, t in self._live.items()
        )

    def pauses(self, trial: str) -> bool:
        """Whether the last decision on a trial was to pause it."""
        return trial in self._pausing

    def all_wait(self) -> bool:
        """Whether no trial goes on before there are no more to come."""
        return isinstance(self.inner, Pausing) and self.inner.all_wait()

    def discount(self, trial: str) -> None:
        """The trial is about to end, and nothing of it is to be held against the others."""
        self._discounted.add(trial)

    # What Tune calls.

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new trial; one that is only queued again after its worker was lost keeps its place."""
        self._live[trial.trial_id] = trial
        if trial.trial_id not in self._known:
            self._known.add(trial.trial_id)
            self.inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial is lost for good.

        When Tune queues one again it says the same, then with status ERROR.
        """
        if trial.status != Trial.ERROR:
            self._live.pop(trial.trial_id, None)
            self.inner.on_trial_error(tune_controller, trial)
            if isinstance(self.inner, Pausing):
                self.inner.failed(trial)
            return
        if self._shares is not None and self._shares.has_whole_gpu(trial.trial_id):
            self._shares.give_task(trial)
        if isinstance(self.inner, WholeBrackets) and trial.trial_id in self._pausing:
            # Lost before it was saved: it comes to its rung once more, and the bracket is to wait
            # for it there.
            self._seen[trial.trial_id] -= 1
            self.inner.forget(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """The decision on a new epoch.

        Epochs trained again after a restart were decided on already.
        """
        if self._shares is not None:
            self._shares.reported(trial.trial_id, result[EPOCH])
        report = message_of(result).report
        if report is not None and report.final:  # no epoch: nothing to decide on
            return TrialScheduler.CONTINUE
        if result[EPOCH] <= self._seen.get(trial.trial_id, 0):
            if not isinstance(self.inner, Pausing):
                return TrialScheduler.CONTINUE
            return self._noted(trial, self.inner.repeated(trial, result[EPOCH]))
        self._seen[trial.trial_id] = result[EPOCH]
        self._note_memory(trial, result)
        decision = self._noted(
            trial, str(self.inner.on_trial_result(tune_controller, trial, result))
        )
        comparable = decision == TrialScheduler.PAUSE
        if isinstance(self.inner, Pausing):
            comparable = self.inner.compared(trial.trial_id)
        if comparable:
            self._compared(trial.trial_id)
        return decision

    def _noted(self, trial: Trial, decision: str) -> str:
        (self._pausing.add if decision == TrialScheduler.PAUSE else self._pausing.discard)(
            trial.trial_id
        )
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial ended."""
        self._live.pop(trial.trial_id, None)
        self._note_memory(trial, result)
        # its last epoch may have come with its end alone
        failed = message_of(result).failure is not None
        if self._shares is not None and not failed:
            self._shares.reported(trial.trial_id, result.get(EPOCH, 0))
        told = result.get(EPOCH, 0) <= self._seen.get(trial.trial_id, 0)
        # its end says nothing more, or it is a duplicate's
        if told or trial.trial_id in self._discounted:
            self.inner.on_trial_remove(tune_controller, trial)
        else:
            self.inner.on_trial_complete(tune_controller, trial, result)
        if failed and isinstance(self.inner, Pausing):
            self.inner.failed(trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A paused or waiting trial was ended."""
        self._live.pop(trial.trial_id, None)
        self.inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """What runs next, if another may run.

        Tune's own limit counts paused trials, which starves HyperBand of its brackets
        (ray-project/ray#37605), so the number of actors is limited here.
        """
        if self.controller is None or not self.controller.is_behind(tune_controller):
            self.controller = self._take_over(Controller(tune_controller))
        controller, known = self.controller, self.controller.trials()
        # were others started, their shares would never leave a GPU free
        if alone := self._waiting_for_a_gpu():
            controller.may_start(0)
            return next((t for t in alone if t in known and not controller.has_worker(t)), None)
        free = self._free_beside(controller.with_workers())
        # Tune counts the trials that wait for a process, and not those that take an idle worker:
        # with those it would start one too many.
        controller.may_start(0 if controller.idle_workers() else max(free, 0))
        chosen = self.inner.choose_trial_to_run(tune_controller) if free > 0 else None
        if chosen is not None and controller.has_worker(chosen):
            # Its worker is being started. Were it to take over one that came free, Tune would give
            # up the other and start one anew for the next trial: where trials are shorter than that
            # takes, all would share one worker.
            without = (
                t
                for t in self._live.values()
                if t.status == Trial.PENDING and not controller.has_worker(t)
            )
            chosen = next(without, chosen)
        # `inner` knows a resumed run's trials from the replay; Tune takes them up one after the
        # other.
        return chosen if chosen in known else None

    def _take_over(self, controller: Controller) -> Controller:
        """Have Tune ask us which workers are kept, and which failures count."""
        controller.keep_workers(
            IdleWorkers(lambda: self._free_beside(controller.with_workers())),
            lambda trial: trial not in self._grown,
        )
        too_little = self._shares.too_little if self._shares is not None else lambda trial: False
        failures = WorkerFailures(self.losses, too_little, self._refused)
        controller.judge_failures(failures.counts)
        return controller

    def _refused(self, node: str, reason: str) -> None:
        self.unfit.setdefault(node, []).append(reason)

    def _note_memory(self, trial: Trial, result: dict[str, Any]) -> None:
        memory = message_of(result).memory
        (self._grown.add if memory and memory.grown else self._grown.discard)(trial.trial_id)

    def before_step(self) -> None:
        """Let Tune ask for as many trials as `wanted` allows."""
        if self.controller is not None:
            self.controller.may_start(UNBOUNDED)
            self.controller.save_no_trials()

    def debug_string(self) -> str:
        """What `inner` says of itself."""
        return str(self.inner.debug_string())

    # The past.

    def replay(
        self,
        trials: Iterable[Trial],
        ended: set[str],
        reports: Iterable[PastReport],
        before: Mapping[str, int] = MappingProxyType({}),
    ) -> set[str]:
        """Rebuild the scheduler's state from what was recorded.

        Args:
            trials: all of the past, in the order in which they were added; their status is set to
                what it is now.
            ended: those that are over.
            reports: every epoch, in the order in which they came.
            before: how many epochs had come when a trial was added; none, of one that is not named.

        Returns:
            Trials that the scheduler had stopped, though this was not recorded any more.
        """
        by_id = {t.trial_id: t for t in trials}
        past = _Past(self)
        stopped = set()
        reports = list(reports)
        latest = {report.trial: report.epoch for report in reports}
        to_add = deque(by_id.values())
        for number, report in enumerate([*reports, None]):
            added = []
            while to_add and (
                report is None
                or before.get(to_add[0].trial_id, 0) <= number
                # reports before it are lost: cut off, and no copy of them
                or report.trial not in past.trials
            ):
                added.append(to_add.popleft())
                past.trials[added[-1].trial_id] = added[-1]
                self.on_trial_add(past, added[-1])
            # once all are there: a bracket is halved as soon as none is left to wait for
            for trial in added:
                if trial.trial_id in ended and trial.trial_id not in latest:
                    past.end(trial, None)
            if report is None:
                break
            trial = by_id[report.trial]
            if trial.status == Trial.TERMINATED:
                continue
            trial.set_status(Trial.RUNNING)
            if report.diverged:  # no scheduler decides on that
                if report.last:
                    past.end(trial, report.to_result(failed=True))
                continue
            result = report.to_result()
            # Under fewer trials than there were to be, the decision might be another now.
            result[WENT_ON] = report.epoch < latest[report.trial]
            decision = self.on_trial_result(past, trial, result)
            if decision == TrialScheduler.STOP and result[WENT_ON]:
                go_on_deciding(self.inner, trial)
            if report.last or (decision == TrialScheduler.STOP and not result[WENT_ON]):
                past.end(trial, result | report.to_result(failed=report.failed))
                if report.trial not in ended:
                    stopped.add(report.trial)
            elif decision == TrialScheduler.PAUSE:
                trial.set_status(Trial.PAUSED)
        for trial in by_id.values():
            if trial.trial_id in ended and trial.status != Trial.TERMINATED:
                past.end(trial, None)
            elif trial.status == Trial.TERMINATED and trial.trial_id not in ended:
                stopped.add(trial.trial_id)
            elif trial.status == Trial.RUNNING:
                trial.set_status(Trial.PENDING)
        return stopped


class _Past:
    """The part of Tune's controller that a scheduler uses, over trials that ran before."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.trials: dict[str, Trial] = {}

    def get_trials(self) -> list[Trial]:
        return list(self.trials.values())

    def get_live_trials(self) -> set[Trial]:
        return {t for t in self.trials.values() if t.status != Trial.TERMINATED}

    def stop_trial(self, trial: Trial) -> None:
        self.end(trial, None)

    def end(self, trial: Trial, result: dict[str, Any] | None) -> None:
        if trial.status == Trial.TERMINATED:
            return
        if result is None:
            self._supervisor.on_trial_remove(self, trial)
        else:
            self._supervisor.on_trial_complete(self, trial, result)
        trial.set_status(Trial.TERMINATED)
