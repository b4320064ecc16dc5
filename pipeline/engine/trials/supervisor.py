"""Stands between Tune and the scheduler.

Concurrency, restarts and the past are settled here, decisions are not.

A scheduler sees each epoch of each trial once, in the order of the records, whatever died in
between.
"""

from collections.abc import Callable, Collection
from typing import Any

from ray.tune.experiment import Trial

from pipeline.engine.faults.idle_workers import IdleWorkers
from pipeline.engine.faults.lost_workers import WorkerFailures
from pipeline.engine.internals.tune_controller import Controller
from pipeline.engine.internals.tune_schedulers import UnbufferedScheduler
from pipeline.engine.internals.tune_seats import Seating
from pipeline.engine.internals.tune_trials import set_task
from pipeline.engine.messages import EPOCH, OBJECTIVE, message_of
from pipeline.engine.schedulers.words import ACTION, OurTrial
from pipeline.engine.trials.gpu_shares import NOT_SHARED, NoShares
from pipeline.experiment import UNBOUNDED
from pipeline.schedulers.scheduler import Decision, Scheduler

WENT_ON = "went_on"  # in a report of the past: whether the trial reported more


class Supervisor(UnbufferedScheduler):
    """Tune's scheduler, which asks one of ours for its decisions.

    Args:
        scheduler: decides.
        slots: for how many trials there is a place, as of now.
        compared: is told of a trial that stands compared with the others, though it has not ended.
        shares: what trials are given of a GPU.
        most: how many may run at once, however much they take; None for as many as there is a place
            for.
        seating: how trials share processes; None where each has its own.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        slots: Callable[[], int],
        compared: Callable[[str], None] = lambda trial: None,
        shares: NoShares = NOT_SHARED,
        most: int | None = None,
        seating: Seating | None = None,
    ) -> None:
        self.scheduler = scheduler
        self._seating = seating
        self._compared, self._shares = compared, shares
        self._slots, self._most = slots, most or UNBOUNDED
        self._live: dict[str, Trial] = {}
        self._known: set[str] = set()
        self._seen: dict[str, int] = {}
        self._pausing: set[str] = set()  # the last decision on them was to pause
        self._discounted: set[str] = set()
        self._to_stop: set[str] = set()  # trials that wait, and are to be stopped
        self._decisions: list[Decision] = []  # those that are not recorded yet
        self._grown: set[str] = set()  # whose workers hold too much memory to be kept
        self.losses: dict[str, str] = {}  # trial -> why its worker was lost, the last time
        # node -> why it cannot train, as often as it was tried in vain
        self.unfit: dict[str, list[str]] = {}
        self.controller: Controller | None = None  # once Tune runs

    def wanted(self) -> bool:
        """Whether another trial can be used now. Paused trials hold no slot."""
        if self.scheduler.unfilled:
            return True
        if self._waiting_apart():
            return False
        free = self._free_beside(
            [t for t in self._live.values() if t.status in (Trial.PENDING, Trial.RUNNING)]
        )
        # trials that waited go before new ones
        return not self._live or free - self.scheduler.ready() > 0

    def _waiting_apart(self) -> list[Trial]:
        """Trials that are to have a GPU or a process for themselves, and do not run yet."""
        return [
            t
            for t in self._live.values()
            if t.status == Trial.PENDING and self._shares.is_apart(t.trial_id)
        ]

    def _free_beside(self, trials: Collection[Trial]) -> int:
        """How many more trials may run at once."""
        taken = sum(self._shares.slots(t.trial_id) for t in trials)
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
        return self.scheduler.all_wait()

    def take_decisions(self) -> list[Decision]:
        """The decisions that were made since this was last asked."""
        taken, self._decisions = self._decisions, []
        return taken

    def give_task(self, trial: str, task: dict[str, Any]) -> None:
        """Let a trial that waits go on with another task."""
        set_task(self._live[trial], task)

    def discount(self, trial: str) -> None:
        """The trial is about to end, and nothing of it is to be held against the others."""
        self._discounted.add(trial)

    # What Tune calls.

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new trial; one that is only queued again after its worker was lost keeps its place."""
        self._live[trial.trial_id] = trial
        if trial.trial_id not in self._known:
            self._known.add(trial.trial_id)
            self.scheduler.added(OurTrial(trial))

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A trial is lost for good.

        When Tune queues one again it says the same, then with status ERROR.
        """
        if trial.status != Trial.ERROR:
            self._over(tune_controller, trial, failed=True)
            return
        if self._shares.is_apart(trial.trial_id):
            self._shares.give_task(trial)
        if trial.trial_id in self._pausing:
            self.scheduler.restarted(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """The decision on a new epoch.

        Epochs trained again after a restart were decided on already.
        """
        self._shares.reported(trial.trial_id, result[EPOCH])
        report = message_of(result).report
        if report is not None and report.final:  # no epoch: nothing to decide on
            return ACTION["continue"]
        name, epoch = trial.trial_id, result[EPOCH]
        if epoch <= self._seen.get(name, 0):
            decision = self.scheduler.repeated(name, epoch)
        else:
            self._seen[name] = epoch
            self._note_memory(trial, result)
            decision = self._decided(name, result)
            if self.scheduler.compared(decision):
                self._compared(name)
        if decision.verdict == "pause":
            self._pausing.add(name)
        else:
            self._pausing.discard(name)
        self._carry_out(tune_controller)
        self._decisions.append(decision)
        return ACTION[decision.verdict]

    def _decided(self, trial: str, result: dict[str, Any]) -> Decision:
        """The decision on a trial that reported, or had reported so far when it was recorded."""
        epoch, objective = result[EPOCH], result[OBJECTIVE]
        if WENT_ON in result:
            return self.scheduler.recalled(trial, epoch, objective, went_on=result[WENT_ON])
        return self.scheduler.reported(trial, epoch, objective)

    def _carry_out(self, tune_controller: Any) -> None:
        """Note what was decided on trials that wait, and stop those that are to be stopped.

        Tune takes up the trials of a resumed run one after the other: one that it does not know yet
        is stopped later.
        """
        decisions = self.scheduler.take_decisions()
        self._decisions += decisions
        self._to_stop.update(d.trial for d in decisions if d.verdict == "stop")
        if not self._to_stop:
            return
        for trial in tune_controller.get_trials():
            name = trial.trial_id
            if name in self._to_stop and (trial.status == Trial.PAUSED or trial.is_saving):
                self._to_stop.discard(name)
                tune_controller.stop_trial(trial)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial ended."""
        name, epoch = trial.trial_id, result.get(EPOCH, 0)
        failed = message_of(result).failure is not None
        self._note_memory(trial, result)
        # its last epoch may have come with its end alone
        if not failed:
            self._shares.reported(name, epoch)
        # its end says nothing more, or it is a duplicate's
        told = epoch <= self._seen.get(name, 0) or name in self._discounted
        last = None if told else (epoch, result[OBJECTIVE])
        self._over(tune_controller, trial, last, failed=failed)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A paused or waiting trial was ended."""
        self._over(tune_controller, trial)

    def _over(
        self,
        tune_controller: Any,
        trial: Trial,
        last: tuple[int, float] | None = None,
        *,
        failed: bool = False,
    ) -> None:
        if self._live.pop(trial.trial_id, None) is not None:
            self.scheduler.ended(trial.trial_id, last, failed=failed)
            self._carry_out(tune_controller)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """What runs next, if another may run.

        Tune's own limit counts paused trials, which starves HyperBand of its brackets
        (ray-project/ray#37605), so the number of actors is limited here.
        """
        if self.controller is None or not self.controller.is_behind(tune_controller):
            self.controller = self._take_over(Controller(tune_controller))
        controller, known = self.controller, self.controller.trials()
        # were others started, their shares would never leave a GPU free
        if alone := self._waiting_apart():
            controller.may_start(0)
            return next((t for t in alone if t in known and not controller.has_worker(t)), None)
        free = self._free_beside(controller.with_workers())
        # Tune counts the trials that wait for a process, and not those that take an idle worker:
        # with those it would start one too many.
        controller.may_start(0 if controller.idle_workers() else max(free, 0))
        chosen = self.chosen(tune_controller) if free > 0 else None
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
        # The scheduler knows a resumed run's trials from the replay; Tune takes them up one after
        # the other.
        return chosen if chosen in known else None

    def chosen(self, tune_controller: Any) -> Trial | None:
        """The trial that the scheduler lets run next."""
        name = self.scheduler.next_to_run()
        self._carry_out(tune_controller)
        if name is None:
            return None
        trial = self._live[name]
        if trial.status == Trial.PAUSED and self._shares.seat_again(name):
            self._shares.give_task(trial)
        return trial

    def _take_over(self, controller: Controller) -> Controller:
        """Have Tune ask us which workers are kept, and which failures count; seat the trials."""
        if self._seating is not None:
            controller.seat_trials(self._seating)
        controller.keep_workers(
            IdleWorkers(lambda: self._free_beside(controller.with_workers())),
            lambda trial: trial not in self._grown,
        )
        failures = WorkerFailures(
            self.losses, self._shares.too_little, self._refused, self._shares.lost
        )
        controller.judge_failures(failures.counts)
        return controller

    def _refused(self, node: str, reason: str) -> None:
        self.unfit.setdefault(node, []).append(reason)

    def _note_memory(self, trial: Trial, result: dict[str, Any]) -> None:
        memory = message_of(result).memory
        if memory is not None and memory.grown:
            self._grown.add(trial.trial_id)
        else:
            self._grown.discard(trial.trial_id)

    def before_step(self) -> None:
        """Let Tune ask for as many trials as `wanted` allows."""
        if self.controller is not None:
            self.controller.may_start(UNBOUNDED)
            self.controller.save_no_trials()

    def debug_string(self) -> str:
        """The name of what decides."""
        return type(self.scheduler).__name__
