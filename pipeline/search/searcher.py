"""Ask and tell: what every searcher does, whatever it proposes.

A searcher holds no random state that grows: what it proposes is a function of the seed, the trial's number and what it
was told. So it is rebuilt by telling it the records, and a search that was cut off goes on as it would have.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np

from pipeline.objective import Objective
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, Value
from pipeline.space.walk import walk

Configuration = dict[str, Value]

# A random searcher that hits what was tried this often is in a space that is nearly exhausted.
ATTEMPTS = 25


# What settles a hyperparameter that a proposal leaves open: a draw with this seed, its default, its grid's first.
Fill = int | Literal["default", "first"]


class Trace(Protocol):
    """Follow `build` under a proposal: what it requests, in order; `fill` settles what the proposal leaves open."""

    def __call__(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        """Return the requested hyperparameters and their values."""


@dataclass
class Observation:
    """What is known of one trial."""

    configuration: Configuration
    curve: dict[int, float] = field(default_factory=dict)  # epoch -> objective, finite
    ended: bool = False
    failed: bool = False
    followed: bool = False  # `build` was followed under its configuration
    told: bool = False  # the trial itself said what it requested


def identity(configuration: Mapping[str, Value]) -> str:
    """Equal for configurations that request the same values."""
    return json.dumps(configuration, sort_keys=True)


class Searcher:
    """Base of every searcher; `propose` is what differs.

    Args:
        seed: of the search.
        objective: what is optimised.
        trials: how many the search may use.
        trace: follows `build` under a proposal.
    """

    fills_with_first: ClassVar[bool] = False  # what the trial draws for itself: at random, or the grid's first

    def __init__(self, *, seed: int, objective: Objective, trials: int, trace: Trace) -> None:
        self.seed = seed
        self.objective = objective
        self.trials = trials
        self.trace = trace
        self.known: dict[str, Hyperparameter] = {}
        self.observations: dict[str, Observation] = {}
        self._built: set[str] = set()  # names that some `build` asked for; the others only `fit` asks for

    def ask(self, trial: str) -> Configuration | None:
        """Values for the next trial, or None when there is nothing left to try."""
        number = len(self.observations)
        for observation in self.observations.values():
            if not (observation.followed or observation.told):  # of the past, and cut off before its first report
                self.follow(observation.configuration, "first")
                observation.followed = True
        tried = {identity(self._expected(o)) for o in self.observations.values()}
        configuration = self.choose(number, tried)
        if configuration is not None:
            self.observations[trial] = Observation(configuration, followed=True)
        return configuration

    def choose(self, number: int, tried: set[str]) -> Configuration | None:
        """A configuration that is not among `tried`; the walk through the whole space is the last resort.

        The first is the search space's default: the baseline that tuning has to beat, and for a scheduler a measure
        by which the poor ones among the next can be stopped at once.
        """
        if number == 0:
            return self.follow({}, "default")
        for attempt in range(ATTEMPTS):
            configuration = self.follow(self.propose(number, attempt), self._draw_seed(number, attempt))
            if identity(configuration) not in tried:
                return configuration
        return next((c for c in self.everything() if identity(c) not in tried), None)

    def propose(self, number: int, attempt: int) -> Configuration:
        """Values for what is known of the space; `attempt` counts proposals that turned out to be old."""
        raise NotImplementedError

    def follow(self, proposal: Configuration, fill: Fill) -> Configuration:
        """What a trial under `proposal` will request, as far as is known."""
        return {spec.name: value for spec, value in self._follow(proposal, fill)}

    def everything(self) -> Iterator[Configuration]:
        """Each configuration of the space, once."""
        for requested in walk(lambda prefix: self._follow(prefix, "first")):
            yield {spec.name: value for spec, value in requested}

    def _follow(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        requested = self.trace(proposal, fill)
        for spec, _ in requested:
            self.known.setdefault(spec.name, spec)
            self._built.add(spec.name)
        # `fit` asks after `build`, so what only it asks for comes last.
        requested += [(spec, proposal.get(spec.name, spec.grid()[0])) for spec in self._fit_only()]
        return requested

    def _fit_only(self) -> list[Hyperparameter]:
        """What only `fit` asks for, by name: a searcher told the records may have met it in another order."""
        names = sorted(self.known.keys() - self._built)
        return [self.known[name] for name in names if not self.known[name].conditions]

    def _expected(self, observation: Observation) -> Configuration:
        """What a trial will request, where it has not said so itself and `fit` may ask for more."""
        if observation.told or not self.fills_with_first:
            return observation.configuration
        return {spec.name: spec.grid()[0] for spec in self._fit_only()} | observation.configuration

    def tell_requested(self, trial: str, requested: Requested, built: int) -> None:
        """The trial's configuration as its own `build` (the first `built` of it) and `fit` asked for it.

        The space grows by what is new in it.
        """
        for place, (spec, _) in enumerate(requested):
            self.known.setdefault(spec.name, spec)
            if place < built:
                self._built.add(spec.name)
        observation = self.observations.setdefault(trial, Observation({}))
        observation.configuration = {spec.name: value for spec, value in requested}
        observation.told = True

    def tell_asked(self, trial: str, configuration: Configuration) -> None:
        """A trial of the past was asked for, in its place."""
        self.observations[trial] = Observation(configuration)

    def tell_report(self, trial: str, epoch: int, value: float) -> None:
        """The objective after `epoch` epochs."""
        self.observations[trial].curve[epoch] = value

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
