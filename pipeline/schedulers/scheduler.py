"""What a scheduler is: told what trials report, it decides which go on, wait or stop.

A new scheduler has to say one thing, what it decides on a report; all else has a default:

    class Halfway(Scheduler):
        \"\"\"Stops a trial whose objective is bad after half of its epochs.\"\"\"

        def reported(self, trial, epoch, objective):
            bad = self.context.objective.loss(objective) > 1.0
            if bad and 2 * epoch >= self.context.experiment.max_epochs:
                return Decision(trial, epoch, "stop", reason="It is bad at half of its epochs.")
            return Decision(trial, epoch, "continue")

Neither Ray nor the clock is known here, so a simulation can drive a scheduler as a search does:
`pipeline.testing.scheduler_simulation` is one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from pipeline.components import load
from pipeline.objective import Objective
from pipeline.records.entries.decisions import Decision, Verdict

__all__ = [
    "Context",
    "Decision",
    "Generations",
    "Scheduler",
    "Settings",
    "Status",
    "Trial",
    "Verdict",
]

# "queued": it runs as soon as there is a place, at its start or after its worker was lost.
Status = Literal["queued", "running", "paused", "ended"]


def scheduler_class(name: str) -> "type[Scheduler]":
    """The scheduler that an experiment names.

    Raises:
        RequestError: there is no such class, or it is made from another than `Scheduler`.
        UserCodeError: its module cannot be imported.
    """
    return load("scheduler", name, Scheduler)


class Settings(Protocol):
    """What a scheduler reads of an `Experiment`, which knows the schedulers and is not known here.

    It has all other settings too, under the names that `docs/reference/options.md` lists.
    """

    @property
    def trials(self) -> int:
        """Configurations to try."""

    @property
    def max_epochs(self) -> int:
        """Epochs of a trial, at most."""

    @property
    def grace_epochs(self) -> int:
        """The first epoch at which a trial may be stopped."""

    @property
    def reduction_factor(self) -> float:
        """One trial in so many goes on."""

    @property
    def perturbation_interval(self) -> int:
        """Epochs of a generation."""

    @property
    def storage(self) -> str:
        """Where the run directories are: a folder, or an address in an object store."""

    @property
    def seed(self) -> int:
        """Of whatever is drawn."""

    @property
    def folds(self) -> int | None:
        """Parts of the data that each trial validates on in turn; None for a single split."""


class Trial(Protocol):
    """A trial, as a scheduler sees it."""

    @property
    def id(self) -> str:
        """What it is called."""

    @property
    def status(self) -> Status:
        """What it does now; a trial that is being saved for its pause still runs."""


class Generations:
    """What happens to checkpoints between two generations of a population: here, nothing."""

    def saved(self, trial: str, epoch: int) -> bool:
        """Whether a trial's state at `epoch` is there to be taken over."""
        return True

    def turn(self, epoch: int, objectives: dict[str, float]) -> None:
        """Let the worst trials take over from the best; `objectives` are theirs at `epoch`."""


@dataclass(frozen=True)
class Context:
    """What a scheduler is made with.

    Args:
        experiment: all that the search was asked for.
        objective: what trials are compared by.
        complete: whether no more trials will be added.
        generations: carries out what a population decides.
    """

    experiment: Settings
    objective: Objective
    complete: Callable[[], bool] = lambda: True
    generations: Generations = field(default_factory=Generations)


class Scheduler:
    """Decides which trials go on. `members` are the trials that have not ended."""

    # Whether its decisions follow from `max_epochs`, so that a resume has to keep that.
    bound_to_epochs: ClassVar[bool] = False
    # Whether trials read one another's checkpoints, which are then kept twice.
    keeps_spares: ClassVar[bool] = False
    # whether all trials are begun before any ends: a population
    begins_all: ClassVar[bool] = False

    def __init__(self, context: Context) -> None:
        self.context = context
        self.members: dict[str, Trial] = {}
        self._on_others: list[Decision] = []

    # What is asked of the class, before there is a search.

    @classmethod
    def check(cls, experiment: Settings) -> None:
        """Refuse settings that are impossible under this scheduler.

        Raises:
            ValueError: says what must hold, and what came.
        """

    @classmethod
    def rungs(cls, experiment: Settings) -> tuple[int, ...]:
        """The epochs before the last after which a trial may be stopped or paused, ascending."""
        return ()

    # What happens in a search.

    def added(self, trial: Trial) -> None:
        """A new trial."""
        self.members[trial.id] = trial

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """Decide on a trial that completed an epoch for the first time.

        `objective` is always finite. Epochs may be left out: a trial may report every third.
        """
        raise NotImplementedError

    def recalled(self, trial: str, epoch: int, objective: float, *, went_on: bool) -> Decision:
        """Decide on a report of an earlier process; `went_on` says whether more reports followed.

        Where it is known that the trial went on, the decision is not carried out.
        """
        return self.reported(trial, epoch, objective)

    def repeated(self, trial: str, epoch: int) -> Decision:
        """Decide on an epoch that was trained again, because the trial's worker was lost."""
        return Decision(trial, epoch, "continue")

    def restarted(self, trial: str) -> None:
        """A trial's worker was lost before it was saved for its pause: it trains once more."""

    def ended(
        self, trial: str, last: tuple[int, float] | None = None, *, failed: bool = False
    ) -> None:
        """A trial is over, by itself or because it was stopped.

        Args:
            trial: its id.
            last: its last epoch and objective, if they were not reported before.
            failed: whether it is lost, so that another may have its place.
        """
        self.members.pop(trial, None)

    # What a search asks.

    def next_to_run(self) -> str | None:
        """The trial to run where there is a place; None: any queued one, or a new one."""
        for status in ("queued", "paused"):
            for name, trial in self.members.items():
                if trial.status == status:
                    return name
        return None

    def ready(self) -> int:
        """How many paused trials are to run before a new one is asked for."""
        return 0

    @property
    def unfilled(self) -> bool:
        """Whether more trials are needed at once, however many can run."""
        return False

    def all_wait(self) -> bool:
        """Whether every trial waits until it is known that no more are added."""
        return False

    def compared(self, decision: Decision) -> bool:
        """Whether the trial now stands compared with others, under values that stay its own.

        A searcher learns from such a trial before it has ended.
        """
        return decision.verdict == "pause"

    # Decisions on other trials than the one that reported.

    def decide(self, decision: Decision) -> None:
        """Decide on a trial that waits: it may go on, or is to be stopped."""
        self._on_others.append(decision)

    def take_decisions(self) -> list[Decision]:
        """The decisions on waiting trials since this was last asked.

        The search records them, and stops the trials that are to be stopped. It asks after each
        call of `reported`, `recalled`, `repeated`, `ended` and `next_to_run`.
        """
        taken, self._on_others = self._on_others, []
        return taken

    # For schedulers that let trials wait.

    def paused(self) -> list[str]:
        """The trials that wait."""
        return [name for name, trial in self.members.items() if trial.status == "paused"]

    def all_paused(self) -> bool:
        """Whether all trials wait."""
        return len(self.paused()) == len(self.members)
