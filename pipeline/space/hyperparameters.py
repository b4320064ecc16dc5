"""`hp`: what a search space asks for its hyperparameters, in KerasTuner's vocabulary.

A `HyperParameters` answers from a proposal what the proposal holds, lets `draw` choose the rest, and remembers what
was requested. Only that is the configuration: a value that no layer used is never shown, stored or learnt from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.space.specs import Boolean, Choice, Condition, Fixed, Float, Hyperparameter, Int, Value

Requested = list[tuple[Hyperparameter, Value]]
Draw = Callable[[Hyperparameter], Value]


def filling(fill: object, at_random: Draw) -> Draw:
    """What settles a hyperparameter that a proposal leaves open: "default", "first" of its grid, else `at_random`."""
    if fill == "default":
        return lambda spec: spec.default
    if fill == "first":
        return lambda spec: spec.grid()[0]
    return at_random


class HyperParameters:
    """The `hp` of `build(hp, data)`.

    Args:
        values: a proposal, name to value; what it lacks, or holds out of bounds, is drawn.
        draw: chooses a value for a hyperparameter that the proposal does not settle; its default if not given.
    """

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        draw: Callable[[Hyperparameter], Value] | None = None,
    ) -> None:
        self._proposal = dict(values or {})
        self._draw = draw or (lambda spec: spec.default)
        self._specs: dict[tuple[str, tuple[Condition, ...]], Hyperparameter] = {}
        self._values: dict[str, Value] = {}
        self._scopes: list[str] = []
        self._conditions: list[Condition] = []

    # What was asked.

    @property
    def values(self) -> dict[str, Value]:
        """Name to value of every active hyperparameter so far."""
        return self._values

    @property
    def space(self) -> list[Hyperparameter]:
        """Every hyperparameter met so far, the inactive ones too."""
        return list(self._specs.values())

    @property
    def requested(self) -> Requested:
        """The active hyperparameters and their values, in the order in which they were first asked for."""
        requested: dict[str, tuple[Hyperparameter, Value]] = {}
        for spec in self._specs.values():
            if spec.name in self._values and self._active(spec.conditions):
                requested.setdefault(spec.name, (spec, self._values[spec.name]))
        return list(requested.values())

    def get(self, name: str) -> Any:
        """The value of an active hyperparameter.

        Raises:
            ValueError: it was met, but is inactive.
            KeyError: it was never met.
        """
        qualified = self._qualify(name)
        if qualified in self._values:
            return self._values[qualified]
        if any(spec.name == qualified for spec in self._specs.values()):
            raise ValueError(f"{name} is currently inactive.")
        raise KeyError(f"{name} does not exist.")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._qualify(name) in self._values

    # What can be asked. Any: KerasTuner's users do arithmetic with what they get.

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """An integer from `min_value` to `max_value`, both possible."""
        return self._ask(
            Int, name, parent_name, parent_values,
            min_value=min_value, max_value=max_value, step=step, sampling=sampling, start=default,
        )  # fmt: skip

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A real number from `min_value` to `max_value`, both possible."""
        return self._ask(
            Float, name, parent_name, parent_values,
            min_value=float(min_value), max_value=float(max_value), step=step, sampling=sampling, start=default,
        )  # fmt: skip

    def Choice(
        self,
        name: str,
        values: Sequence[Value],
        ordered: bool | None = None,
        default: Value = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of `values`, all of one type."""
        return self._ask(
            Choice, name, parent_name, parent_values, options=tuple(values), in_order=ordered, start=default
        )  # fmt: skip

    def Boolean(
        self, name: str, default: bool = False, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """True or False."""
        return self._ask(Boolean, name, parent_name, parent_values, start=default)

    def Fixed(self, name: str, value: Value, parent_name: str | None = None, parent_values: Any = None) -> Any:
        """Always `value`; recorded like any other."""
        return self._ask(Fixed, name, parent_name, parent_values, constant=value)

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put `name/` before every name asked for inside."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """What is asked for inside is active while the parent has one of `parent_values`.

        The body runs in any case, as in KerasTuner; inactive hyperparameters are None there.
        """
        self._conditions.append(self._condition(parent_name, parent_values))
        try:
            yield
        finally:
            self._conditions.pop()

    # How it is answered.

    def _qualify(self, name: str) -> str:
        return "/".join([*self._scopes, name])

    def _condition(self, parent_name: str, parent_values: Any) -> Condition:
        several = isinstance(parent_values, Iterable) and not isinstance(parent_values, str)
        values = tuple(parent_values) if several else (parent_values,)
        parent = self._qualify(parent_name)
        if all(spec.name != parent for spec in self._specs.values()):
            raise ValueError(f"Parent hyperparameter {parent!r} must be asked for before what depends on it.")
        return parent, values

    def _active(self, conditions: Sequence[Condition]) -> bool:
        return all(p in self._values and self._values[p] in values for p, values in conditions)

    def _ask(
        self,
        kind: type[Hyperparameter],
        name: str,
        parent_name: str | None,
        parent_values: Any,
        **settings: Any,
    ) -> Any:
        conditions = tuple(self._conditions)
        if parent_name is not None:
            conditions += (self._condition(parent_name, parent_values),)
        qualified = self._qualify(name)
        spec = self._specs.get((qualified, conditions))
        if spec is None:  # of two registrations under one name and condition the first wins
            spec = kind(name=qualified, conditions=conditions, **settings)
            self._specs[qualified, conditions] = spec
        if not self._active(conditions):
            return None
        if qualified not in self._values:
            proposed = self._proposal.get(qualified)
            # KerasTuner allows a default that is off its own steps, so one is no reason to draw again.
            possible = spec.contains(proposed) or proposed == spec.default
            settled = qualified in self._proposal and possible
            self._values[qualified] = proposed if settled else self._draw(spec)
        return self._values[qualified]
