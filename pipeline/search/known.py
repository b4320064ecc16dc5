"""The space as far as a search knows it, and what a configuration would request of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from pipeline.space.configuration import Configuration, Fill, configuration_of, identity
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, Value
from pipeline.space.walk import walk


class Trace(Protocol):
    """Follow `build` under a proposal: what it requests, in order.

    `fill` settles what the proposal leaves open.
    """

    def __call__(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        """Return the requested hyperparameters and their values."""


class KnownSpace:
    """The hyperparameters that were met so far, and who asks for them.

    `build` is followed by `trace`; what `fit` asks for is known once a trial has told it.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.hyperparameters: dict[str, Hyperparameter] = {}
        self.by_fit: set[str] = set()  # names that some `fit` asked for
        # identity of what was proposed -> what `build` requested
        self._walked_builds: dict[str, Requested] = {}

    def meet(self, requested: Requested, asked_by_build: int) -> bool:
        """Learn what there is to choose; `build` asked for the first `asked_by_build`.

        Returns whether `fit` asked for a name that it was not known to ask for.
        """
        self._know(requested)
        by_fit = {spec.name for spec, _ in requested[asked_by_build:]}
        grown = not by_fit <= self.by_fit
        self.by_fit |= by_fit
        return grown

    def follow(self, proposal: Mapping[str, Value], fill: Fill) -> Configuration:
        """What a trial under `proposal` will request, as far as is known."""
        return configuration_of(self._follow(proposal, fill))

    def everything(self) -> Iterator[Configuration]:
        """Each configuration of the space, once."""
        for requested in walk(lambda prefix: self._follow(prefix, "first")):
            yield configuration_of(requested)

    def every_value(
        self, points: Callable[[Hyperparameter], Sequence[Value]]
    ) -> Iterator[Requested]:
        """Each configuration under the points of each hyperparameter; nothing becomes known by it.

        It may be walked anew often: each `build` is followed once.
        """
        yield from walk(self._walk, points)

    def asked_by_fit(
        self,
        by_build: Mapping[str, Value],
        proposal: Mapping[str, Value],
        fill: Literal["default", "first"],
    ) -> Requested:
        """What `fit` is known to request beside `by_build`, unless a condition rules it out."""
        active, asked = dict(by_build), []
        # By name: a searcher told the records may have met them in another order.
        waiting = [self.hyperparameters[name] for name in sorted(self.by_fit - active.keys())]
        while ready := [
            s for s in waiting if all(p in active and active[p] in v for p, v in s.conditions)
        ]:
            for spec in ready:
                left_open = spec.default if fill == "default" else spec.grid()[0]
                active[spec.name] = proposal.get(spec.name, left_open)
                asked.append((spec, active[spec.name]))
            waiting = [spec for spec in waiting if spec.name not in active]
        return asked

    def _follow(self, proposal: Mapping[str, Value], fill: Fill) -> Requested:
        requested = self.trace(proposal, fill)
        self._know(requested)
        left_open: Literal["default", "first"] = "default" if fill == "default" else "first"
        return requested + self.asked_by_fit(configuration_of(requested), proposal, left_open)

    def _walk(self, prefix: Mapping[str, Value]) -> Requested:
        key = identity(prefix)
        if key not in self._walked_builds:
            self._walked_builds[key] = self.trace(prefix, "first")
        requested = self._walked_builds[key]
        return requested + self.asked_by_fit(configuration_of(requested), prefix, "first")

    def _know(self, requested: Requested) -> None:
        for spec, _ in requested:
            self.hyperparameters.setdefault(spec.name, spec)
