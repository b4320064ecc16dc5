"""Synchronous Hyperband: trials start in brackets, and each bracket is halved as a whole.

A bracket is filled once. At each of its rungs its trials wait for one another; then the best go on,
and the others are stopped. At its last rung there is nothing to wait for: each trial ends as it
comes. Brackets are made in rounds, of few trials that train long first.

Ray's `HyperBandScheduler` (2.60) makes the same brackets, but fills one up again whose trials have
ended, and lets trials wait without end where one is just being saved at the last rung, or ends by
itself after a halving.

Source: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR
2018), with the epochs of a trial counted from its start and not from its last rung, as Ray does.
"""

import math

from pipeline.schedulers.rung import Rung
from pipeline.schedulers.scheduler import Context, Decision, Scheduler, Settings, Trial


def brackets_of(max_epochs: int, reduction_factor: float) -> list[list[tuple[int, int]]]:
    """A round of brackets: for each of its rungs the epoch, and how many trials come to it."""
    count = round(math.log(max_epochs) / math.log(reduction_factor)) + 1
    brackets = []
    for halvings in range(count):
        epoch = int(max_epochs * reduction_factor**-halvings)
        size = math.ceil(count / (halvings + 1) * reduction_factor**halvings)
        if epoch == 0:
            continue
        rungs = [(epoch, size)]
        for _ in range(halvings):
            epoch = int(min(epoch * reduction_factor, max_epochs))
            size = math.ceil(size / reduction_factor)
            rungs.append((epoch, size))
        brackets.append(rungs)
    return brackets


def trials_of_a_round(max_epochs: int, reduction_factor: float) -> int:
    """How many trials fill each bracket of a round once."""
    return sum(rungs[0][1] for rungs in brackets_of(max_epochs, reduction_factor))


class Bracket:
    """Trials that are halved together; `live` are those that can still go on, with their places."""

    def __init__(self, rungs: list[tuple[int, int]], round_: int, max_epochs: int) -> None:
        self.round = round_
        self.live: dict[str, int] = {}
        self._rungs = [Rung(epoch) for epoch, _ in rungs]
        self._sizes = [size for _, size in rungs]
        self._at = 0
        self._epochs: dict[str, int] = {}  # of all that were ever added
        # In epochs, as Ray estimates it: so brackets take turns as they do under Ray's scheduler.
        (first, size), *later = rungs
        self._work = size * first + sum(n * min(epoch, max_epochs - first) for epoch, n in later)

    @property
    def rung(self) -> Rung:
        """Where its trials wait for one another."""
        return self._rungs[self._at]

    @property
    def at_the_last(self) -> bool:
        """Whether there is no halving left."""
        return self._at == len(self._rungs) - 1

    @property
    def unfilled(self) -> bool:
        """Whether trials are missing, and none has been let on yet.

        Where no more trials come, the bracket is halved as it is; trials that are added to a
        finished search would not be compared in it.
        """
        return self._at == 0 and len(self._epochs) < self._sizes[0]

    @property
    def progress(self) -> float:
        """The share of its work that is done, at most 1."""
        return min(sum(self._epochs.values()) / self._work, 1.0)

    def add(self, trial: str) -> None:
        """A trial more."""
        self.live[trial] = len(self._epochs)
        self._epochs[trial] = 0

    def trained(self, trial: str, epoch: int) -> None:
        """A trial completed an epoch."""
        self._epochs[trial] = epoch

    def waits(self, trial: str) -> bool:
        """Whether a trial waits at the rung."""
        return trial in self.live and trial in self.rung.came

    def is_due(self, trial: str) -> bool:
        """Whether a trial is trained up to the rung, and has not come to it."""
        return not self.waits(trial) and self._epochs[trial] >= self.rung.epoch

    def arrive(self, trial: str, loss: float) -> None:
        """A trial comes to the rung. Of equally good ones the one that was added last is best."""
        self.rung.arrive(trial, self._epochs[trial], loss, tie=-self.live[trial])

    def halve(self) -> tuple[Rung, list[str], list[str]] | None:
        """Once all wait at the rung: that rung, the trials that go on, and those that do not."""
        rung = self.rung
        if self.at_the_last or not all(trial in rung.came for trial in self.live):
            return None
        self._at += 1
        ranked = sorted(self.live, key=rung.better_than)
        good, bad = ranked[: self._sizes[self._at]], ranked[self._sizes[self._at] :]
        rung.let_on.update(good)
        for trial in bad:
            del self.live[trial]
        return rung, good, bad


class Hyperband(Scheduler):
    """Synchronous Hyperband: pauses trials and halves whole brackets."""

    bound_to_epochs = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        asked = context.experiment
        self._round = brackets_of(asked.max_epochs, asked.reduction_factor)
        self._made = 0  # brackets
        self._brackets: list[Bracket] = []  # those that are not over
        self._bracket_of: dict[str, Bracket] = {}
        self._losses: dict[str, float] = {}  # of trials that came to a rung: their last

    @classmethod
    def check(cls, experiment: Settings) -> None:
        """Refuse a factor by which one epoch, cut to whole ones, would not grow."""
        if experiment.reduction_factor < 2:
            raise ValueError(
                "reduction_factor must be at least 2 for hyperband; got "
                f"{experiment.reduction_factor:g}."
            )

    @classmethod
    def rungs(cls, experiment: Settings) -> tuple[int, ...]:
        """The rungs of all brackets."""
        brackets = brackets_of(experiment.max_epochs, experiment.reduction_factor)
        epochs = {epoch for rungs in brackets for epoch, _ in rungs}
        return tuple(sorted(epoch for epoch in epochs if epoch < experiment.max_epochs))

    def added(self, trial: Trial) -> None:
        """Add to the last bracket while it is being filled, else to a new one."""
        super().added(trial)
        if not self.unfilled:
            self._brackets = [bracket for bracket in self._brackets if bracket.live]
            round_, place = divmod(self._made, len(self._round))
            most = self.context.experiment.max_epochs
            self._brackets.append(Bracket(self._round[place], round_, most))
            self._made += 1
        self._brackets[-1].add(trial.id)
        self._bracket_of[trial.id] = self._brackets[-1]

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """At a rung: wait for the others of the bracket, then go on or stop."""
        bracket = self._bracket_of[trial]
        bracket.trained(trial, epoch)
        if trial not in bracket.live or not bracket.is_due(trial):
            return Decision(trial, epoch, "continue")
        self._losses[trial] = self.context.objective.loss(objective)
        return self._arrived(trial, bracket)

    def repeated(self, trial: str, epoch: int) -> Decision:
        """Wait where it waited before; what it reported there the first time counts."""
        bracket = self._bracket_of[trial]
        if trial in bracket.live and epoch >= bracket.rung.epoch:
            if bracket.waits(trial):
                return self._pause(trial, bracket.rung)
            if bracket.is_due(trial):
                return self._arrived(trial, bracket)
        return Decision(trial, epoch, "continue")

    def restarted(self, trial: str) -> None:
        """The bracket is not halved before the trial is at its rung once more."""
        bracket = self._bracket_of[trial]
        if bracket.waits(trial):
            bracket.rung.leave(trial)

    def ended(
        self, trial: str, last: tuple[int, float] | None = None, *, failed: bool = False
    ) -> None:
        """A trial is over; the others of its bracket wait for it no more."""
        super().ended(trial, last, failed=failed)
        bracket = self._bracket_of.pop(trial)
        bracket.live.pop(trial, None)
        for decision in self._halve(bracket).values():
            self.decide(decision)

    def next_to_run(self) -> str | None:
        """A trial of the bracket that has done the smallest share of its work."""
        for bracket in sorted(self._brackets, key=lambda b: (b.round, b.progress)):
            for trial in bracket.live:
                status = self.members[trial].status
                if status == "queued" or (status == "paused" and not bracket.waits(trial)):
                    return trial
        return None

    @property
    def unfilled(self) -> bool:
        """Whether the last bracket lacks trials: it asks for all of them, whatever runs."""
        return bool(self._brackets) and self._brackets[-1].unfilled

    def _arrived(self, trial: str, bracket: Bracket) -> Decision:
        """Take a trial to its rung; what is decided on it, now that it is there."""
        decisions = {trial: self._arrive(trial, bracket)} | self._halve(bracket)
        own = decisions.pop(trial)
        for decision in decisions.values():
            self.decide(decision)
        return own

    def _arrive(self, trial: str, bracket: Bracket) -> Decision:
        bracket.arrive(trial, self._losses[trial])
        if not bracket.at_the_last:
            return self._pause(trial, bracket.rung)
        del bracket.live[trial]
        why = "It was trained for as many epochs as its bracket allows."
        return bracket.rung.decision(trial, "stop", why)

    @staticmethod
    def _pause(trial: str, rung: Rung) -> Decision:
        return rung.decision(trial, "pause", "It waits for the others of its bracket.")

    def _halve(self, bracket: Bracket) -> dict[str, Decision]:
        """Halve a bracket if all of it waits at the rung; what is decided on its trials."""
        decisions: dict[str, Decision] = {}
        while (halved := bracket.halve()) is not None:
            rung, good, bad = halved
            why = f"The best {len(good)} of {len(good) + len(bad)} in its bracket go on."
            for trial in bad:
                decisions[trial] = rung.decision(trial, "stop", why)
            for trial in good:
                decisions[trial] = rung.decision(trial, "continue", why)
                if bracket.is_due(trial):  # it reports every third epoch, and is past the next rung
                    decisions[trial] = self._arrive(trial, bracket)
        return decisions
