"""Population based training: generations that are the same however many trials run at once.

Every trial is a member. It waits at the end of each generation; once all members are there, the
worst take over the checkpoints of the best, and all go on. What follows from the records alone can
be replayed from them.

Ray's own scheduler refuses a searcher as the source of its population, multiplies past bounds and
steps, indexes what a conditional trial never requested, and draws from a global generator.

Source: Jaderberg et al., "Population Based Training of Neural Networks" (2017).
"""

from pipeline.errors import quoted
from pipeline.schedulers.scheduler import Context, Decision, Scheduler, Settings, Trial, Verdict


class PopulationBased(Scheduler):
    """Population based training: the worst take over from the best, and train otherwise."""

    bound_to_epochs = True
    keeps_spares = True
    begins_all = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._interval = context.experiment.perturbation_interval
        self._max_epochs = context.experiment.max_epochs
        self._values: dict[str, dict[int, float]] = {}  # trial -> boundary -> objective
        self._turned = 0  # the last boundary that was carried out
        self._sent_back: set[tuple[str, int]] = set()
        self._let_on: dict[int, set[str]] = {}  # boundary -> trials that were let on from it

    @classmethod
    def check(cls, experiment: Settings) -> None:
        """Refuse an object store, and folds.

        Trials go on with one another's checkpoints: none may be ahead of the records when they are
        brought back. And after folds the best configuration is trained anew.
        """
        if experiment.folds is not None:
            raise ValueError(
                "folds must have a scheduler under which a trial keeps its configuration, to be "
                "trained anew at the end; pbt changes it on the way."
            )
        if "://" in experiment.storage:
            raise ValueError(
                "scheduler pbt must have its storage on a file system; got "
                f"{quoted(experiment.storage)}."
            )

    @classmethod
    def rungs(cls, experiment: Settings) -> tuple[int, ...]:
        """The ends of the generations before the last epoch."""
        interval = experiment.perturbation_interval
        return tuple(range(interval, experiment.max_epochs, interval))

    def added(self, trial: Trial) -> None:
        """A new member."""
        super().added(trial)
        self._values[trial.id] = {}

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """Wait at the end of a generation."""
        # A trial that is past a boundary was let go after it had been carried out.
        self._turned = max(self._turned, (epoch - 1) // self._interval * self._interval)
        if epoch % self._interval or epoch >= self._max_epochs:
            return Decision(trial, epoch, "continue")
        self._values[trial][epoch] = objective
        return self._pause(trial)

    def repeated(self, trial: str, epoch: int) -> Decision:
        """Wait where it waited before."""
        if epoch == self._boundary(trial) > self._turned:
            return self._pause(trial)
        return Decision(trial, epoch, "continue")

    def next_to_run(self) -> str | None:
        """The next of a generation, once all stood at the boundary.

        New trials are started as they come.
        """
        free = self._free()
        if not free and self.members and self.all_paused() and self.context.complete():
            if unsaved := self._unsaved():
                return unsaved
            self._carry_out()
            free = self._free()
        if not free:
            return None
        self._go_on(free[0])
        return free[0]

    def ready(self) -> int:
        """How many of the next generation do not run yet."""
        return len(self._free())

    def all_wait(self) -> bool:
        """Whether all are at the boundary, and it is not carried out."""
        return self.all_paused() and not self.ready()

    def compared(self, decision: Decision) -> bool:
        """No: a trial's values may be others after the next boundary."""
        return False

    def _free(self) -> list[str]:
        return [trial for trial in self.paused() if self._boundary(trial) <= self._turned]

    def _boundary(self, trial: str) -> int:
        return max(self._values[trial], default=0)

    def _unsaved(self) -> str | None:
        """A trial that must reach its boundary again, to be saved there; once.

        A driver that is killed takes with it the workers that have reported a boundary and not yet
        saved.
        """
        for trial in self.members:
            place = trial, self._boundary(trial)
            if place not in self._sent_back and not self.context.generations.saved(*place):
                self._sent_back.add(place)
                return trial
        return None

    def _carry_out(self) -> None:
        # All stand at the same: a trial that is behind, added when a run was extended, passes by
        # what was carried out.
        boundary = self._boundary(next(iter(self.members)))
        values = {trial: self._values[trial][boundary] for trial in self.members}
        self.context.generations.turn(boundary, values)
        self._turned = boundary

    def _go_on(self, trial: str) -> None:
        let_on = self._let_on.setdefault(self._boundary(trial), set())
        if trial not in let_on:
            let_on.add(trial)
            self.decide(self._decision(trial, "continue", "All of its generation are there."))

    def _pause(self, trial: str) -> Decision:
        return self._decision(trial, "pause", "It waits for the others of its generation.")

    def _decision(self, trial: str, verdict: Verdict, reason: str) -> Decision:
        boundary = self._boundary(trial)
        loss = self.context.objective.loss
        own = loss(self._values[trial][boundary])
        came = [values[boundary] for values in self._values.values() if boundary in values]
        rank = 1 + sum(loss(value) < own for value in came)
        went_on = len(self._let_on.get(boundary, ()))
        return Decision(trial, boundary, verdict, boundary, rank, len(came), went_on, reason)
