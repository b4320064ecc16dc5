"""Asynchronous successive halving that promotes.

Trials wait at a rung, and of those the best are let on.

Ray's `ASHAScheduler` decides once, when a trial comes to a rung: it goes on if it is among the best
of those that came before. So the first always goes on, and where a searcher learns, and each trial
is better than the last, so do nearly all: of 20 trials of the example in `benchmarks/` ten trained
to the end, 122 epochs in all. Here a trial that is not let on waits, with its state saved, and goes
on if its turn comes: 46 to 55 epochs.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), algorithm
2. That one lets on each trial that is among the best of a rung, which again may be nearly all; here
no more are let on than one in so many of those that came, and at the end the best of each rung.
"""

from pipeline.schedulers.rung import Rung
from pipeline.schedulers.scheduler import Context, Decision, Scheduler, Settings

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


class PromotingRung(Rung):
    """A rung to which at most `most` trials can come, and from which one in `factor` goes on."""

    def __init__(self, epoch: int, most: int, factor: float) -> None:
        super().__init__(epoch)
        self._most, self._factor = most, factor

    def best(self) -> int:
        """How many may go on, of those that came so far.

        At least one, if these are all that can come.
        """
        return max(int(len(self.came) / self._factor), int(len(self.came) >= self._most))

    def most_best(self) -> int:
        """How many can ever go on."""
        return max(int(self._most / self._factor), 1)


class PromotingHalving(Scheduler):
    """Asynchronous successive halving: the best of each rung go on, the others wait.

    From each rung one trial in `reduction_factor` goes on. A trial that cannot be among the best
    any more, whatever comes, is stopped and not kept, but for one in case that one of the best
    fails later.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        asked = context.experiment
        self._epochs: dict[str, int] = {}
        self._rungs: list[PromotingRung] = []
        for epoch in rungs_of(asked.max_epochs, asked.grace_epochs, asked.reduction_factor):
            most = self._rungs[-1].most_best() if self._rungs else asked.trials
            self._rungs.append(PromotingRung(epoch, most, asked.reduction_factor))

    @classmethod
    def rungs(cls, experiment: Settings) -> tuple[int, ...]:
        """The rungs before the last epoch."""
        return tuple(
            epoch
            for epoch in rungs_of(
                experiment.max_epochs, experiment.grace_epochs, experiment.reduction_factor
            )
            if epoch < experiment.max_epochs
        )

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """At a rung: go on, wait, or stop."""
        rung = self._arrive(trial, epoch, objective)
        if rung is None:
            return Decision(trial, epoch, "continue")
        waiting = self._waiting_with(rung, trial)
        if trial in self._next(rung, waiting):
            rung.let_on.add(trial)
            return rung.decision(trial, "continue", f"It is among the best {rung.best()}.")
        return self._kept_back(rung, trial, waiting)

    def recalled(self, trial: str, epoch: int, objective: float, *, went_on: bool) -> Decision:
        """Of the past it is known which trials went on.

        Which others were to go on is decided by `next_to_run`, as it was then.
        """
        rung = self._arrive(trial, epoch, objective)
        if rung is None or went_on:
            return Decision(trial, epoch, "continue")
        return self._kept_back(rung, trial, self._waiting_with(rung, trial))

    def repeated(self, trial: str, epoch: int) -> Decision:
        """Wait where it waited before."""
        for rung in self._rungs:
            if rung.came.get(trial) == epoch and trial not in rung.let_on:
                return rung.decision(trial, "pause", "It waits for its turn.")
        return Decision(trial, epoch, "continue")

    def ended(
        self, trial: str, last: tuple[int, float] | None = None, *, failed: bool = False
    ) -> None:
        """A trial is over.

        One that ended at a rung, by diverging there, is one of those that came to it; one that
        failed leaves its place to another.
        """
        super().ended(trial, last, failed=failed)
        if last is not None:
            self._arrive(trial, *last)
        self._free_place(trial)
        for rung in self._rungs:
            if failed and trial in rung.came:
                rung.lose(trial)

    def next_to_run(self) -> str | None:
        """The best of the highest rung that may go on. New trials are started as they come."""
        chosen = next(iter(self._promotable() or self._left_at_the_end()), None)
        if chosen is not None:
            self._promote(chosen)
            return chosen
        for rung in self._rungs:
            self._stop(self._outranked(rung, self._waiting(rung)))
        return None

    def ready(self) -> int:
        """How many wait and may go on."""
        return len(self._promotable())

    def all_wait(self) -> bool:
        """Whether all wait for their turn, and none may go on."""
        return self.all_paused() and not self.ready()

    def compared(self, decision: Decision) -> bool:
        """Whether the trial came to a rung."""
        return bool(self._rungs) and decision.trial in self._rungs[0].came

    def _arrive(self, trial: str, epoch: int, objective: float) -> PromotingRung | None:
        """Take up a report; the highest rung that the trial came to with it."""
        new = None
        for rung in self._rungs:
            if trial not in rung.came and rung.epoch <= epoch:
                rung.arrive(trial, epoch, self.context.objective.loss(objective))
                new = rung
            # a trial that is past it was let on
            elif rung.came.get(trial, epoch) < epoch:
                rung.let_on.add(trial)
        self._epochs[trial] = max(epoch, self._epochs.get(trial, 0))
        return new

    def _kept_back(self, rung: PromotingRung, trial: str, waiting: list[str]) -> Decision:
        """The decision on a trial that is not let on as it comes to a rung."""
        if trial in self._outranked(rung, waiting):
            return rung.decision(trial, "stop", self._why_outranked(rung, trial))
        return rung.decision(trial, "pause", "It waits for its turn.")

    def _promote(self, trial: str) -> None:
        """Let a trial on; so it stays, should it not be started at once."""
        rung = self._rung_of(trial)
        if trial in rung.let_on:
            return
        rung.let_on.add(trial)
        why = "It is the best that is left, and no more trials come."
        if rung.better_than(trial) < rung.best():
            why = f"It is among the best {rung.best()}."
        self.decide(rung.decision(trial, "continue", why))

    def _rung_of(self, trial: str) -> PromotingRung:
        """Where a paused trial stands: the last that it came to."""
        return next(rung for rung in reversed(self._rungs) if trial in rung.came)

    def _waiting(self, rung: PromotingRung) -> list[str]:
        """The trials that wait at a rung to be let on, the best first."""
        waiting = [
            trial
            for trial in self.paused()
            if self._rung_of(trial) is rung and trial not in rung.let_on
        ]
        return sorted(waiting, key=rung.better_than)

    def _waiting_with(self, rung: PromotingRung, trial: str) -> list[str]:
        """The same, with a trial that just came."""
        return sorted([*self._waiting(rung), trial], key=rung.better_than)

    def _next(self, rung: PromotingRung, waiting: list[str]) -> list[str]:
        """Those of the waiting that may go on."""
        best = rung.best()
        return [
            trial
            for trial in waiting[: max(best - len(rung.let_on), 0)]
            if rung.better_than(trial) < best
        ]

    def _outranked(self, rung: PromotingRung, waiting: list[str]) -> list[str]:
        """Those of the waiting that will never go on, or are too many to be kept."""
        return [
            trial
            for place, trial in enumerate(waiting)
            if place >= MOST_WAITING or self._cannot_go_on(rung, trial)
        ]

    def _cannot_go_on(self, rung: PromotingRung, trial: str) -> bool:
        # one in reserve
        return rung.better_than(trial) > max(rung.best(), rung.most_best())

    def _why_outranked(self, rung: PromotingRung, trial: str) -> str:
        if self._cannot_go_on(rung, trial):
            return "It cannot be among the best any more."
        return f"{MOST_WAITING} better trials wait already."

    def _promotable(self) -> list[str]:
        """Those that may go on, of the highest rung first, the best of it first."""
        chosen = [trial for trial in self.paused() if trial in self._rung_of(trial).let_on]
        return chosen + [
            trial
            for rung in reversed(self._rungs)
            for trial in self._next(rung, self._waiting(rung))
        ]

    def _left_at_the_end(self) -> list[str]:
        """Once nothing runs and nothing comes: the best of each rung goes on whatever the count.

        Then it is over.
        """
        waiting = self.paused()
        if not waiting or not self.all_paused() or not self.context.complete():
            return []
        for rung in reversed(self._rungs):
            best = self._waiting(rung)[:1]
            if best and (rung.better_than(best[0]) == 0 or not rung.let_on):
                return best
        self._stop(waiting, "Better trials went on, and no more come.")
        return []

    def _free_place(self, trial: str) -> None:
        """A promoted trial that had nothing left to train frees its place."""
        last = next((rung for rung in reversed(self._rungs) if trial in rung.came), None)
        if last is not None and self._epochs[trial] <= last.came[trial]:
            last.let_on.discard(trial)

    def _stop(self, trials: list[str], why: str = "") -> None:
        """Stop trials that wait; they are no members from now on."""
        for trial in trials:
            rung = self._rung_of(trial)
            self.decide(rung.decision(trial, "stop", why or self._why_outranked(rung, trial)))
            del self.members[trial]
