"""`hp`: what a search space asks for its hyperparameters, in KerasTuner's vocabulary.

A `HyperParameters` answers from a proposal what the proposal holds, lets `draw` choose the rest,
and remembers what was requested. Only that is the configuration: a value that no layer used is
never shown, stored or learnt from.

One idea: the methods of one class, each with the arguments that KerasTuner gives it.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from pipeline.errors import SpaceRuntimeError, SpaceTypeError, SpaceValueError, unknown
from pipeline.space.configs import from_config, to_config
from pipeline.space.kind import number, plain
from pipeline.space.specs import (
    Boolean,
    Choice,
    Condition,
    Fixed,
    Float,
    Hyperparameter,
    Identity,
    Int,
    Value,
)

Requested = list[tuple[Hyperparameter, Value]]
Draw = Callable[[Hyperparameter], Value]


def filling(fill: object, at_random: Draw) -> Draw:
    """What settles a hyperparameter that a proposal leaves open.

    "default", "first" of its grid, else `at_random`.
    """
    if fill == "default":
        return lambda spec: spec.default
    if fill == "first":
        return lambda spec: spec.grid()[0]
    return at_random


class HyperParameters:
    """The `hp` of `build(hp, data)`.

    Args:
        values: a proposal, name to value; what it lacks, or holds out of bounds, is drawn.
        draw: chooses a value for a hyperparameter that the proposal does not settle; its default if
            not given.

    Attributes:
        values: name to value of every active hyperparameter so far. As in KerasTuner, user code may
            put values in, and is answered with them whatever the bounds; nothing else can vary
            them, so `requested` has them as Fixed.
        scopes: the conditions of each conditional scope that was entered, and whether they held.
        warnings: a line for each hyperparameter that was asked for again with other settings, which
            do not count.
    """

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        draw: Callable[[Hyperparameter], Value] | None = None,
    ) -> None:
        self.values: dict[str, Value] = {}
        self.scopes: dict[tuple[Condition, ...], bool] = {}
        self.warnings: list[str] = []
        self._proposal = dict(values or {})
        self._draw = draw or (lambda spec: spec.default)
        self._asked: dict[Identity, Hyperparameter] = {}  # as user code first put it
        self._specs: dict[Identity, Hyperparameter] = {}  # as it is in force
        self._given: dict[Identity, Hyperparameter] = {}  # in force once it is asked for
        # what was answered here; `values` may hold what user code put in
        self._settled: dict[str, Value] = {}
        self._tune_new = self._allow_new = True
        self._scopes: list[str] = []
        self._conditions: list[Condition] = []

    @classmethod
    def holding(
        cls, requested: Requested, beside: Mapping[str, Value] = MappingProxyType({})
    ) -> "HyperParameters":
        """A configuration as KerasTuner's users get it: `build(hp)` is answered with its values.

        `beside` are values to be read, which nothing asked for.
        """
        hp = cls()
        for spec, value in requested:
            hp._specs[spec.identity] = spec
            hp.values[spec.name] = hp._settled[spec.name] = value
        hp.values |= beside
        return hp

    def restrict(
        self,
        given: Iterable[Hyperparameter],
        values: Mapping[str, Value] = MappingProxyType({}),
        tune_new: bool = True,
        allow_new: bool = True,
    ) -> None:
        """Let what is `given` win over what `build` asks for under the same name and conditions.

        So a space is narrowed, or a hyperparameter pinned with `Fixed`, without editing the model.
        A given one that is never asked for is no part of the configuration; `get` asks for it too.

        Args:
            given: KerasTuner's `hyperparameters`, a parent before what depends on it.
            values: what user code put into their `values`. A name that is not given is held at it;
                given ones are tuned, whatever value they stand at.
            tune_new: whether what is not given may vary, else it is Fixed at its default.
            allow_new: whether what is not given may be asked for.
        """
        self._given |= {spec.identity: spec for spec in given}
        names = {spec.name for spec in self._given.values()}
        self.values |= {name: value for name, value in values.items() if name not in names}
        self._tune_new, self._allow_new = tune_new, allow_new

    # What was asked.

    @property
    def space(self) -> list[Hyperparameter]:
        """Every hyperparameter met so far, the inactive ones too."""
        return list(self._specs.values())

    @property
    def requested(self) -> Requested:
        """The active hyperparameters and their values, in the order of the first request."""
        requested: dict[str, tuple[Hyperparameter, Value]] = {}
        for spec in self._specs.values():
            if spec.name in self.values and self._active(spec.conditions):
                requested.setdefault(spec.name, self._in_force(spec))
        return list(requested.values())

    def _in_force(self, spec: Hyperparameter) -> tuple[Hyperparameter, Value]:
        value = self.values[spec.name]
        if spec.name in self._settled and self._settled[spec.name] == value:
            return spec, value
        return Fixed(name=spec.name, conditions=spec.conditions, constant=value), value

    def get(self, name: str) -> Any:
        """The value of an active hyperparameter.

        Raises:
            ValueError: it was met, but is inactive.
            KeyError: it was never met.
        """
        qualified = self._qualify(name)
        if qualified not in self.values:
            self._meet(qualified)
        if qualified in self.values:
            return self.values[qualified]
        if any(spec.name == qualified for spec in self._specs.values()):
            raise ValueError(f"{qualified} is currently inactive.")
        raise KeyError(f"{qualified} does not exist.")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        try:
            self.get(name)
        except (KeyError, ValueError):
            return False
        return True

    def is_active(self, hyperparameter: Hyperparameter | str) -> bool:
        """Whether the conditions of a hyperparameter hold.

        Of a name, those of any hyperparameter that has it.
        """
        if isinstance(hyperparameter, Hyperparameter):
            return self._active(hyperparameter.conditions)
        return any(
            self._active(spec.conditions)
            for spec in self._specs.values()
            if spec.name == str(hyperparameter)
        )

    def copy(self) -> "HyperParameters":
        """Another that stands where this one does; what is asked of it stays with it."""
        other = copy.copy(self)
        for name, held in vars(self).items():
            if isinstance(held, dict | list):
                setattr(other, name, held.copy())
        other._scopes, other._conditions = [], []
        return other

    def get_config(self) -> dict[str, Any]:
        """Space and values as plain data, in KerasTuner's form."""
        return {"space": [to_config(spec) for spec in self.space], "values": dict(self.values)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "HyperParameters":
        """The inverse of `get_config`, KerasTuner's too."""
        hp = cls()
        hp._specs = {spec.identity: spec for spec in map(from_config, config["space"])}
        hp.values, hp._settled = dict(config["values"]), dict(config["values"])
        return hp

    def merge(
        self, hps: "HyperParameters | Iterable[Hyperparameter]", overwrite: bool = True
    ) -> None:
        """Register what another holds.

        With `overwrite` its settings and defaults replace those of here.
        """
        for spec in list(hps.space if isinstance(hps, HyperParameters) else hps):
            if spec.identity in self._specs and not overwrite:
                continue
            self._specs[spec.identity] = spec
            if overwrite and self._active(spec.conditions):
                self.values[spec.name] = self._settled[spec.name] = spec.default
            self._answer(spec)

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
            Int,
            name,
            parent_name,
            parent_values,
            min_value=min_value,
            max_value=max_value,
            step=step,
            sampling=sampling,
            start=default,
        )

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
            Float,
            name,
            parent_name,
            parent_values,
            min_value=min_value,
            max_value=max_value,
            step=step,
            sampling=sampling,
            start=default,
        )

    def Choice(
        self,
        name: str,
        values: Sequence[Value] | None,
        ordered: bool | None = None,
        default: Value = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of `values`, all of one type.

        `ordered` says whether near ones resemble each other.
        """
        try:
            options = () if values is None else tuple(values)
        except TypeError as error:
            where = f"Hyperparameter {self._qualify(name)!r}"
            raise SpaceTypeError(
                f"{where}: the values of a Choice must be a list; got {values!r}."
            ) from error
        return self._ask(
            Choice,
            name,
            parent_name,
            parent_values,
            options=options,
            in_order=ordered,
            start=default,
        )

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """True or False."""
        return self._ask(Boolean, name, parent_name, parent_values, start=default)

    def Fixed(
        self, name: str, value: Value, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
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
        condition = self._condition(parent_name, parent_values)
        self._conditions.append(condition)
        entered = tuple(self._conditions)
        self.scopes[entered] = self.scopes.get(entered, False) or self._active(entered)
        try:
            yield
        finally:
            self._conditions.pop()

    # How it is answered.

    def _qualify(self, name: str) -> str:
        return "/".join([*self._scopes, str(name)])

    def _condition(self, parent_name: str, parent_values: Any) -> Condition:
        parent = self._qualify(parent_name)
        self._meet(parent)
        if all(spec.name != parent for spec in self._specs.values()):
            met = {spec.name for spec in self._specs.values()}
            raise SpaceValueError(
                f"Parent hyperparameter {parent!r} must be asked for before what depends on it. "
                + (unknown("hyperparameter", parent, met) if met else "None was asked for so far.")
            )
        return parent, _parent_values(parent, parent_values)

    def _active(self, conditions: Sequence[Condition]) -> bool:
        return all(p in self.values and self.values[p] in values for p, values in conditions)

    def _ask(
        self,
        kind: type[Hyperparameter],
        name: str,
        parent_name: str | None,
        parent_values: Any,
        **settings: Any,
    ) -> Any:
        conditions = tuple(self._conditions)
        if parent_name:
            conditions += (self._condition(parent_name, parent_values),)
        asked = kind(name=self._qualify(name), conditions=conditions, **settings)
        first = self._asked.get(asked.identity)
        if first is None:
            if asked.identity not in self._specs:
                self._register(asked)
            self._asked[asked.identity] = asked
        elif first != asked:
            self._compare(first, asked)
        return self._answer(self._specs[asked.identity])

    def _register(self, asked: Hyperparameter) -> None:
        if any(parent == asked.name for parent, _ in asked.conditions):
            raise SpaceValueError(
                f"Hyperparameter {asked.name!r} must not depend on itself: its parent has its name."
            )
        spec = self._given.get(asked.identity)
        if spec is None and not self._allow_new:
            given = {known.name for known in self._given.values()}
            raise SpaceRuntimeError(
                f"Hyperparameter {asked.name!r} must be among those given, and under the "
                "conditions given, "
                f"where allow_new_entries is False. Given: {', '.join(sorted(given)) or 'none'}."
            )
        if spec is None and not self._tune_new:
            spec = Fixed(name=asked.name, conditions=asked.conditions, constant=asked.default)
        self._specs[asked.identity] = spec or asked

    def _compare(self, first: Hyperparameter, again: Hyperparameter) -> None:
        """Of two under one name and conditions the first wins, as in KerasTuner.

        They must be of one kind.
        """
        where = f"Hyperparameter {first.name!r}"
        if type(first) is not type(again):
            raise SpaceValueError(
                f"{where} must be of one kind; it was asked for as {first} and as {again}."
            )
        line = f"{where} was asked for more than once: the first wins, {first}; {again} is ignored."
        if line not in self.warnings:
            self.warnings.append(line)

    def _meet(self, name: str) -> None:
        """Ask for what was given under this name: user code may rely on it without asking."""
        for identity, spec in self._given.items():
            if spec.name == name and identity not in self._specs:
                for parent, _ in spec.conditions:
                    self._meet(parent)
                self._specs[identity] = spec
                self._answer(spec)

    def _answer(self, spec: Hyperparameter) -> Any:
        if not self._active(spec.conditions):
            return None
        if spec.name not in self.values:
            proposed = self._proposal.get(spec.name)
            # KerasTuner allows a default that is off its own steps, so one is no reason to draw
            # again.
            possible = spec.contains(proposed) or proposed == spec.default
            settled = spec.name in self._proposal and possible
            self.values[spec.name] = self._settled[spec.name] = (
                proposed if settled else self._draw(spec)
            )
        return self.values[spec.name]


def _parent_values(parent: str, given: Any) -> tuple[Value, ...]:
    """As KerasTuner standardises them: all of the first one's type."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    values = tuple(map(plain, given if several else (given,)))
    demand = f"The values of parent hyperparameter {parent!r} must be int, float, str or bool"
    if not values:
        raise SpaceValueError(f"{demand}, and at least one; got none.")
    first = values[0]
    if isinstance(first, str):
        return tuple(value if value is None else str(value) for value in values)
    if isinstance(first, int) and not isinstance(first, bool):
        return tuple(number(int, value, demand) for value in values)
    if not isinstance(first, bool | float):
        raise SpaceTypeError(f"{demand}; got {type(first).__name__}.")
    return values
