"""What trials told: the bookkeeping of every searcher, whatever it proposes."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.search.known import KnownSpace
from pipeline.search.tried import TriedConfigurations
from pipeline.space.configuration import Configuration, configuration_of, identity
from pipeline.space.hyperparameters import Requested


@dataclass
class Observation:
    """What is known of one trial.

    `configuration` is what was proposed until the trial said what it requested.
    """

    configuration: Configuration
    curve: dict[int, float] = field(default_factory=dict)  # epoch -> objective, finite
    ended: bool = False
    # at a rung, where it waits or waited: its curve says something though it has not ended
    compared: bool = False
    failed: bool = False
    duplicate: bool = False  # ended, and nothing is learnt from it
    followed: bool = False  # `build` was followed under its configuration
    told: bool = False  # the trial itself said what it requested
    # an epoch, and the best loss until then: kept, as it stays the same
    worth: tuple[int, float] | None = None


class Bookkeeping:
    """An observation of each trial, and which trial tried what.

    Args:
        space: grows by what trials tell.
    """

    def __init__(self, space: KnownSpace) -> None:
        self.space = space
        self.observations: dict[str, Observation] = {}
        self._proposals: dict[str, str] = {}  # trial -> identity of what it was to try
        self._identities: dict[str, str] = {}  # trial -> identity of what it told
        self._told_by: dict[str, str] = {}  # identity -> the trial that told it
        # trial -> what it told, as `TriedConfigurations` splits it
        self._parts: dict[str, tuple[str, Configuration]] = {}

    def meet(self, requested: Requested, asked_by_build: int) -> None:
        """Learn what there is to choose.

        `build` asked for the first `asked_by_build`, `fit` for the others.
        """
        if self.space.meet(requested, asked_by_build):
            self._parts.clear()

    def tell_asked(self, trial: str, configuration: Configuration) -> None:
        """Register a new trial under its number, with what it is to try."""
        self.observations[trial] = Observation(configuration)
        self._proposals[trial] = identity(configuration)

    def tell_requested(self, trial: str, requested: Requested, asked_by_build: int) -> None:
        """What a trial requested: the first `asked_by_build` in `build`, the others in `fit`.

        The space grows by what is new in it.
        """
        self.meet(requested, asked_by_build)
        observation = self.observations.setdefault(trial, Observation({}))
        observation.configuration = configuration_of(requested)
        observation.told = True
        if self._told_by.get(before := self._identities.get(trial, "")) == trial:
            del self._told_by[before]  # `fit` has asked for more since
        own = self._identities[trial] = identity(observation.configuration)
        self._proposals.setdefault(trial, own)
        if self._told_by.get(own) is None or self.observations[self._told_by[own]].failed:
            self._told_by[own] = trial
        self._parts.pop(trial, None)

    def tell_duplicate(self, trial: str, requested: Requested, asked_by_build: int) -> None:
        """The trial turned out to be equal to another.

        It is over, and only its proposal is remembered.
        """
        self.meet(requested, asked_by_build)
        self.observations[trial].duplicate = True

    def tell_report(self, trial: str, epoch: int, value: float, final: bool = False) -> None:
        """The objective after `epoch` epochs.

        A final one is the trial's, whatever was told of it before.
        """
        observation = self.observations[trial]
        if final:
            observation.curve = dict.fromkeys(observation.curve, value)
            observation.worth = None
        observation.curve[epoch] = value

    def tell_compared(self, trial: str) -> None:
        """The trial was compared with the others, and waits: it may go on."""
        self.observations[trial].compared = True

    def tell_end(self, trial: str, *, failed: bool = False) -> None:
        """The trial will report no more: finished, stopped or failed."""
        self.observations[trial].ended = True
        self.observations[trial].failed = failed

    def equal_of(self, trial: str, requested: Requested) -> str | None:
        """The trial with the same configuration, where `trial` tells its own for the first time."""
        if trial in self.observations and self.observations[trial].told:
            return None
        other = self._told_by.get(identity(configuration_of(requested)))
        return None if other is None or self.observations[other].failed else other

    def follow_untold(self) -> None:
        """Follow `build` for trials of the past that were cut off before their first report."""
        for observation in self.observations.values():
            if not (observation.followed or observation.told):
                self.space.follow(observation.configuration, "first")
                observation.followed = True

    def tried(self, fills: list[Literal["random", "default", "first"]]) -> TriedConfigurations:
        """All that was proposed, and all that was told.

        Args:
            fills: how each trial, in order, settles what its proposal leaves open.
        """
        tried = TriedConfigurations(self.space.by_fit)
        for fill, (trial, observation) in zip(fills, self.observations.items(), strict=True):
            tried.propose(self._proposals[trial])
            if observation.told:
                if trial not in self._parts:
                    self._parts[trial] = tried.split(observation.configuration)
                tried.tell(self._parts[trial])
            elif fill != "random":
                # It will settle what it was not given, and `fit` may ask for more than was known
                # when it was asked.
                more = self.space.asked_by_fit(observation.configuration, {}, fill)
                tried.propose(identity(observation.configuration | configuration_of(more)))
        return tried
