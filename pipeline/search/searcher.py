"""Ask and tell: what every searcher does, whatever it proposes.

A searcher holds no random state that grows: what it proposes is a function of the seed, the trial's
number and what it was told. So it is rebuilt by telling it the records, and a search that was cut
off goes on as it would have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np

from pipeline.components import load
from pipeline.objective import Objective
from pipeline.search.tried import Tried
from pipeline.space.configuration import Configuration, Fill, configuration_of, identity
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, Value
from pipeline.space.walk import walk

# A random searcher that hits what was tried this often is in a space, or a branch, that is nearly
# exhausted.
ATTEMPTS = 25


def searcher_class(name: str) -> "type[Searcher]":
    """The searcher that an experiment names.

    Raises:
        RequestError: there is no such class, or it is made from another than `Searcher`.
        UserCodeError: its module cannot be imported.
    """
    return load("searcher", name, Searcher)


class Trace(Protocol):
    """Follow `build` under a proposal: what it requests, in order.

    `fill` settles what the proposal leaves open.
    """

    def __call__(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        """Return the requested hyperparameters and their values."""


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


class Searcher:
    """Base of every searcher; `propose` is what differs.

    Args:
        seed: of the search.
        objective: what is optimised.
        trials: how many the search may use.
        trace: follows `build` under a proposal.
        starts: configurations to be tried first, as `starts.settled` gives them.
        earlier: ended trials of another run, for a searcher that learns.
    """

    # modules that `propose` imports: the driver imports them while it waits for the data
    requires: ClassVar[tuple[str, ...]] = ()
    # the package whose version the records name
    distribution: ClassVar[str | None] = None
    # what the trial draws for itself: at random, or the grid's first
    fills_with_first: ClassVar[bool] = False

    def __init__(
        self,
        *,
        seed: int,
        objective: Objective,
        trials: int,
        trace: Trace,
        starts: Sequence[Configuration] = (),
        earlier: Sequence[Observation] = (),
    ) -> None:
        self.seed = seed
        self.objective = objective
        self.trials = trials
        self.trace = trace
        self.starts = list(starts)
        self.earlier = list(earlier)
        self.known: dict[str, Hyperparameter] = {}
        self.observations: dict[str, Observation] = {}
        self._by_fit: set[str] = set()  # names that some `fit` asked for
        self._proposals: dict[str, str] = {}  # trial -> identity of what it was to try
        self._identities: dict[str, str] = {}  # trial -> identity of what it told
        self._told_by: dict[str, str] = {}  # identity -> the trial that told it
        # trial -> what it told, as `Tried` splits it
        self._parts: dict[str, tuple[str, Configuration]] = {}
        # identity of what was proposed -> what `build` requested
        self._walked_builds: dict[str, Requested] = {}
        self._exhausted = False  # until a trial tells something

    @classmethod
    def fill_of(cls, number: int, starts: int) -> Literal["random", "default", "first"]:
        """How trial `number`, after `starts`, settles what its proposal leaves open."""
        if number < starts:
            return "default"
        if cls.fills_with_first:
            return "first"
        return "default" if number == 0 else "random"

    def ask(self, trial: str) -> Configuration | None:
        """Values for the next trial, or None when there is nothing left to try."""
        if self._exhausted:
            return None
        number = len(self.observations)
        for observation in self.observations.values():
            # of the past, and cut off before its first report
            if not (observation.followed or observation.told):
                self.follow(observation.configuration, "first")
                observation.followed = True
        tried = self._tried()
        configuration = next((start for start in self.starts if start not in tried), None)
        if configuration is None:
            configuration = self.choose(number, tried)
        else:
            self.follow(configuration, "default")
        if configuration is None:
            self._exhausted = True
            return None
        self.tell_asked(trial, configuration)
        self.observations[trial].followed = True
        return configuration

    def choose(self, number: int, tried: Tried) -> Configuration | None:
        """A configuration that is not among `tried`, None if none is left.

        The walk is the last resort.

        The first is the search space's default: the baseline that tuning has to beat, and for a
        scheduler a measure by which the poor ones among the next can be stopped at once.
        """
        if number == 0:
            return self.follow({}, "default")
        for attempt in range(ATTEMPTS):
            configuration = self.follow(
                self.propose(number, attempt), self._draw_seed(number, attempt)
            )
            if configuration not in tried:
                return configuration
        return self._left(number, tried)

    def _left(self, number: int, tried: Tried) -> Configuration | None:
        """Of what proposals miss, found by walking.

        Where values are without end, they are drawn anew.
        """
        rng = np.random.default_rng([self.seed, number, ATTEMPTS])
        left: list[Configuration] = []
        for requested in walk(self._walk, lambda spec: spec.every()):
            endless = {spec.name: spec.random(rng) for spec, _ in requested if spec.endless}
            configuration = configuration_of(requested) | endless
            if configuration not in tried:
                left.append(configuration)
                if not endless or len(left) == ATTEMPTS:
                    break
        for place in rng.permutation(len(left)):
            # A value that was drawn may lead to another branch.
            configuration = self.follow(left[place], self._draw_seed(number, ATTEMPTS))
            if configuration not in tried:
                return configuration
        return None

    def _walk(self, prefix: Mapping[str, Value]) -> Requested:
        """Follow for a walk, which starts anew with every ask.

        Each `build` once, and nothing becomes known by it.
        """
        key = identity(prefix)
        if key not in self._walked_builds:
            self._walked_builds[key] = self.trace(prefix, "first")
        requested = self._walked_builds[key]
        return requested + self._asked_by_fit(configuration_of(requested), prefix, "first")

    def propose(self, number: int, attempt: int) -> Configuration:
        """Values for what is known of the space.

        `attempt` counts proposals that turned out to be old.
        """
        raise NotImplementedError

    def follow(self, proposal: Configuration, fill: Fill) -> Configuration:
        """What a trial under `proposal` will request, as far as is known."""
        return configuration_of(self._follow(proposal, fill))

    def everything(self) -> Iterator[Configuration]:
        """Each configuration of the space, once."""
        for requested in walk(lambda prefix: self._follow(prefix, "first")):
            yield configuration_of(requested)

    def _follow(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        requested = self.trace(proposal, fill)
        for spec, _ in requested:
            self.known.setdefault(spec.name, spec)
        built = configuration_of(requested)
        return requested + self._asked_by_fit(
            built, proposal, "default" if fill == "default" else "first"
        )

    def _asked_by_fit(
        self,
        built: Mapping[str, Value],
        proposal: Mapping[str, Value],
        fill: Literal["default", "first"],
    ) -> Requested:
        """What `fit` is known to request beside `built`, unless a condition rules it out."""
        active, asked = dict(built), []
        # By name: a searcher told the records may have met them in another order.
        waiting = [self.known[name] for name in sorted(self._by_fit - active.keys())]
        while ready := [
            s for s in waiting if all(p in active and active[p] in v for p, v in s.conditions)
        ]:
            for spec in ready:
                left_open = spec.default if fill == "default" else spec.grid()[0]
                active[spec.name] = proposal.get(spec.name, left_open)
                asked.append((spec, active[spec.name]))
            waiting = [spec for spec in waiting if spec.name not in active]
        return asked

    def _tried(self) -> Tried:
        """All that was proposed, and all that was told."""
        tried = Tried(self._by_fit)
        for number, (trial, observation) in enumerate(self.observations.items()):
            tried.propose(self._proposals[trial])
            if observation.told:
                if trial not in self._parts:
                    self._parts[trial] = tried.split(observation.configuration)
                tried.tell(self._parts[trial])
            elif (fill := self.fill_of(number, len(self.starts))) != "random":
                # It will settle what it was not given, and `fit` may ask for more than was known
                # when it was asked.
                more = self._asked_by_fit(observation.configuration, {}, fill)
                tried.propose(identity(observation.configuration | configuration_of(more)))
        return tried

    def equal_of(self, trial: str, requested: Requested) -> str | None:
        """The trial with the same configuration, where `trial` tells its own for the first time."""
        if trial in self.observations and self.observations[trial].told:
            return None
        other = self._told_by.get(identity(configuration_of(requested)))
        return None if other is None or self.observations[other].failed else other

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

    def meet(self, requested: Requested, asked_by_build: int) -> None:
        """Learn what there is to choose.

        `build` asked for the first `asked_by_build`, `fit` for the others.
        """
        self._exhausted = False
        for spec, _ in requested:
            self.known.setdefault(spec.name, spec)
        by_fit = {spec.name for spec, _ in requested[asked_by_build:]}
        if not by_fit <= self._by_fit:
            self._by_fit |= by_fit
            self._parts.clear()

    def tell_asked(self, trial: str, configuration: Configuration) -> None:
        """A trial was asked for, in its place."""
        self.observations[trial] = Observation(configuration)
        self._proposals[trial] = identity(configuration)

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

    def random(self, number: int, attempt: int) -> Configuration:
        """Every known hyperparameter drawn uniformly on its unit interval."""
        rng = np.random.default_rng([self.seed, number, attempt])
        # By name: a searcher told the records may have met the names in another order.
        return {name: self.known[name].random(rng) for name in sorted(self.known)}

    def _draw_seed(self, number: int, attempt: int) -> int:
        return int(np.random.SeedSequence([self.seed, number, attempt, 1]).generate_state(1)[0])
