"""Asynchronous successive halving that promotes.

Trials wait at a rung, and of those the best are let on.

Ray's `ASHAScheduler` decides once, when a trial comes to a rung: it goes on if it is among the best
of those that came before. So the first always goes on, and where a searcher learns, and each trial
is better than the last, so does nearly everyone: of 20 trials of the example in `benchmarks/` ten
trained to the end, 122 epochs in all. Here a trial that is not let on waits, with its state saved,
and goes on if its turn comes: 46 to 55 epochs.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), algorithm
2. That one lets on whoever is among the best of a rung, which again may be nearly everyone; here no
more are let on than one in so many of those that came, and at the end the best of each rung.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.messages import EPOCH, OBJECTIVE
from pipeline.engine.schedulers.scheduler import Pausing
from pipeline.objective import WORST, Objective

WENT_ON = "went_on"  # in a report of the past: whether the trial reported more

# So many wait at a rung at most, the best of those that were not let on: each keeps a checkpoint on
# disk.
MOST_WAITING = 50


def rungs_of(max_epochs: int, grace_epochs: int, reduction_factor: float) -> list[int]:
    """The epochs at which trials are compared.

    `grace_epochs`, and each time `reduction_factor` as many.

    There is none where fewer epochs are left than a trial has had: little is saved there.
    """
    rungs: list[int] = []
    epoch = float(grace_epochs)
    while 2 * int(epoch) <= max_epochs:
        if not rungs or int(epoch) > rungs[-1]:
            rungs.append(int(epoch))
        epoch *= reduction_factor
    return rungs


class Rung:
    """Who came to one epoch, how good they were there, and who was let on."""

    def __init__(self, epoch: int, most: int, reduction_factor: float) -> None:
        self.epoch = epoch
        # trial -> with the report of which epoch: one may report every third only
        self.came: dict[str, int] = {}
        self.let_on: set[str] = set()
        self._most, self._factor = most, reduction_factor  # so many can come
        self._places: dict[str, tuple[float, int]] = {}  # of equal ones the first is the better
        self._sorted: list[tuple[float, int]] = []

    def put(self, trial: str, epoch: int, loss: float) -> None:
        """A trial came."""
        self.came[trial] = epoch
        self._places[trial] = (loss, len(self._places))
        insort(self._sorted, self._places[trial])

    def lose(self, trial: str) -> None:
        """A trial that came is lost: it is the worst of all, and another may go on in its place."""
        self.let_on.discard(trial)
        self._sorted.remove(self._places[trial])
        self._places[trial] = (WORST, self._places[trial][1])
        insort(self._sorted, self._places[trial])

    def rank(self, trial: str) -> int:
        """How many are better."""
        return bisect_left(self._sorted, self._places[trial])

    def best(self) -> int:
        """How many may go on, of those that came so far.

        At least one, if these are all that can come.
        """
        return max(int(len(self.came) / self._factor), int(len(self.came) >= self._most))

    def most_best(self) -> int:
        """How many can ever go on."""
        return max(int(self._most / self._factor), 1)


class Promoting(Pausing):
    """Lets one trial in `reduction_factor` go on from each rung, the best.

    Args:
        objective: what trials are compared by.
        max_epochs: where a trial ends by itself.
        grace_epochs: the first rung.
        reduction_factor: one in so many goes on.
        trials: how many there may be. Who cannot be among the best any more, whatever comes, is
            stopped and not kept, but for one in case that one of the best fails later.
        complete: whether no more trials will be added.
    """

    def __init__(
        self,
        objective: Objective,
        max_epochs: int,
        grace_epochs: int,
        reduction_factor: float,
        trials: int,
        complete: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._objective, self._complete = objective, complete
        self._epochs: dict[str, int] = {}
        self._rungs: list[Rung] = []
        for epoch in rungs_of(max_epochs, grace_epochs, reduction_factor):
            most = self._rungs[-1].most_best() if self._rungs else trials
            self._rungs.append(Rung(epoch, most, reduction_factor))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """At a rung: go on, wait, or stop."""
        name = trial.trial_id
        here = self._come(name, result)
        if here is None or result.get(WENT_ON):
            return TrialScheduler.CONTINUE
        waiting = sorted([*self._waiting(here), trial], key=lambda t: here.rank(t.trial_id))
        # Of the past it is known who went on; who else was to is decided by `choose_trial_to_run`,
        # as it was then.
        if WENT_ON not in result and trial in self._next(here, waiting):
            here.let_on.add(name)
            return TrialScheduler.CONTINUE
        return (
            TrialScheduler.STOP if trial in self._outranked(here, waiting) else TrialScheduler.PAUSE
        )

    def _come(self, name: str, result: dict[str, Any]) -> Rung | None:
        """Take up a report; the highest rung that the trial came to with it."""
        new = None
        for rung in self._rungs:
            if name not in rung.came and rung.epoch <= result[EPOCH]:
                rung.put(name, result[EPOCH], self._objective.loss(result[OBJECTIVE]))
                new = rung
            # whoever is past it was let on
            elif rung.came.get(name, result[EPOCH]) < result[EPOCH]:
                rung.let_on.add(name)
        self._epochs[name] = max(result[EPOCH], self._epochs.get(name, 0))
        return new

    def repeated(self, trial: Trial, epoch: int) -> str:
        """Wait where it waited before."""
        waits = any(
            rung.came.get(trial.trial_id) == epoch and trial.trial_id not in rung.let_on
            for rung in self._rungs
        )
        return TrialScheduler.PAUSE if waits else TrialScheduler.CONTINUE

    def compared(self, trial: str) -> bool:
        """Whether it came to a rung."""
        return bool(self._rungs) and trial in self._rungs[0].came

    def failed(self, trial: Trial) -> None:
        """Another may go on in its place."""
        for rung in self._rungs:
            if trial.trial_id in rung.came:
                rung.lose(trial.trial_id)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial ended.

        Who did so at a rung, by diverging there, is one of those that came to it.
        """
        super().on_trial_complete(tune_controller, trial, result)
        self._come(trial.trial_id, result)
        self._used(trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A trial ended while it waited, or before it reported more."""
        super().on_trial_remove(tune_controller, trial)
        self._used(trial)

    def ready(self) -> int:
        """How many wait and may go on."""
        return len(self._promotable())

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The best of the highest rung that may go on. New trials are started by Tune itself."""
        chosen = next(iter(self._promotable() or self._left_at_the_end(tune_controller)), None)
        if chosen is not None:  # and stays so, should it not be started at once
            self._rung_of(chosen).let_on.add(chosen.trial_id)
            return chosen
        for rung in self._rungs:
            self._stop(tune_controller, self._outranked(rung, self._waiting(rung)))
        return None

    def debug_string(self) -> str:
        """How many came to each rung."""
        return ", ".join(f"{len(rung.came)} at epoch {rung.epoch}" for rung in self._rungs)

    def _rung_of(self, trial: Trial) -> Rung:
        """Where a paused trial stands: the last that it came to."""
        return next(rung for rung in reversed(self._rungs) if trial.trial_id in rung.came)

    def _waiting(self, rung: Rung) -> list[Trial]:
        """Who waits at a rung to be let on, the best first."""
        waiting = [
            t for t in self.paused() if self._rung_of(t) is rung and t.trial_id not in rung.let_on
        ]
        return sorted(waiting, key=lambda t: rung.rank(t.trial_id))

    def _next(self, rung: Rung, waiting: list[Trial]) -> list[Trial]:
        """Those of the waiting that may go on."""
        best = rung.best()
        return [
            t for t in waiting[: max(best - len(rung.let_on), 0)] if rung.rank(t.trial_id) < best
        ]

    def _outranked(self, rung: Rung, waiting: list[Trial]) -> list[Trial]:
        """Those of the waiting that will never go on, or are too many to be kept."""
        return [
            t
            for place, t in enumerate(waiting)
            # one in reserve
            if place >= MOST_WAITING or rung.rank(t.trial_id) > max(rung.best(), rung.most_best())
        ]

    def _promotable(self) -> list[Trial]:
        """Those that may go on, of the highest rung first, the best of it first."""
        chosen = [t for t in self.paused() if t.trial_id in self._rung_of(t).let_on]
        return chosen + [
            t for rung in reversed(self._rungs) for t in self._next(rung, self._waiting(rung))
        ]

    def _left_at_the_end(self, tune_controller: Any) -> list[Trial]:
        """Once nothing runs and nothing comes: the best of each rung goes on whatever the count.

        Then it is over.
        """
        waiting = self.paused()
        if not waiting or len(waiting) < len(self._members) or not self._complete():
            return []
        for rung in reversed(self._rungs):
            best = self._waiting(rung)[:1]
            if best and (rung.rank(best[0].trial_id) == 0 or not rung.let_on):
                return best
        self._stop(tune_controller, waiting)
        return []

    def _used(self, trial: Trial) -> None:
        """A promoted trial that had nothing left to train frees its place."""
        last = next((rung for rung in reversed(self._rungs) if trial.trial_id in rung.came), None)
        if last is not None and self._epochs[trial.trial_id] <= last.came[trial.trial_id]:
            last.let_on.discard(trial.trial_id)

    def _stop(self, tune_controller: Any, trials: list[Trial]) -> None:
        """Tune may not have taken up all of a resumed run's trials yet."""
        known = set(tune_controller.get_trials()) if trials else set()
        for trial in known.intersection(trials):
            tune_controller.stop_trial(trial)
