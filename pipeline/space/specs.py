"""The kinds of hyperparameters, and their way into the records and back.

Every kind maps the unit interval onto its values, monotonely where they have an order, so that
searchers need to know nothing of steps and logarithms. The vocabulary is KerasTuner's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.errors import SpaceTypeError
from pipeline.space.kind import (
    GRID_POINTS,
    Condition,
    Hyperparameter,
    Identity,
    Value,
    number,
    plain,
)
from pipeline.space.numerical import SAMPLINGS, Float, Int

__all__ = [
    "GRID_POINTS",
    "KINDS",
    "SAMPLINGS",
    "Boolean",
    "Choice",
    "Condition",
    "Fixed",
    "Float",
    "Hyperparameter",
    "Identity",
    "Int",
    "Value",
    "from_dict",
]

VALUE_TYPES = {bool, int, float, str}


@dataclass(frozen=True, kw_only=True)
class Choice(Hyperparameter):
    """One of `options`, all of one type; `in_order` says whether near ones resemble each other."""

    options: tuple[Value, ...] = ()
    in_order: bool | None = None
    start: Value = None
    kind: ClassVar[str] = "choice"
    arguments: ClassVar[Mapping[str, str]] = {
        "options": "values",
        "in_order": "ordered",
        "start": "default",
    }

    def __post_init__(self) -> None:
        if not self.options:
            raise self._refusal("a Choice must have at least one value; got none.")
        options = tuple(plain(v) for v in self.options)
        types = {type(v) for v in options if v is not None}
        if len(types) > 1 or not types <= VALUE_TYPES:
            raise self._refusal(
                "the values of a Choice must all be int, all float, all str or all bool; "
                f"got {', '.join(sorted(t.__name__ for t in types))}. Write {_instead(types)}.",
                SpaceTypeError,
            )
        kind = next(iter(types), None)
        self._set(options=tuple(dict.fromkeys(options)))
        if self.start is not None:
            self._set(start=self._of_the_options(kind))
        if self.in_order and kind is str:
            raise self._refusal("the values of an ordered Choice must be numbers; got str.")
        if self.in_order is None:
            self._set(in_order=kind in (int, float) and None not in self.options)

    def _of_the_options(self, kind: type | None) -> Value:
        start: Any = plain(self.start)
        demand = f"the default must be one of {list(self.options)}"
        if kind is str:
            start = str(start)
        elif kind is int:  # KerasTuner takes 2.0 for 2
            start = number(int, start, f"Hyperparameter {self.name!r}: {demand}")
        if start not in self.options:
            raise self._refusal(f"{demand}; got {self.start!r}.")
        return self.options[self.options.index(start)]

    @property
    def ordered(self) -> bool:  # type: ignore[override]
        """Whether a searcher may take neighbours for similar."""
        return bool(self.in_order)

    @property
    def default(self) -> Value:
        """The value that was given as such, else None if possible, else the first."""
        if self.start is not None:
            return self.start
        return None if None in self.options else self.options[0]

    def values(self) -> Sequence[Value]:
        """The options, in the order given."""
        return self.options


def _instead(types: set[type]) -> str:
    """What to write for values of types that a Choice cannot have."""
    if types == {int, float}:
        return "the integers as floats, such as 1.0"
    return (
        "names for them, and look up what was chosen: "
        'options = {"a": …, "b": …}; options[hp.Choice(name, list(options))]'
    )


@dataclass(frozen=True, kw_only=True)
class Boolean(Hyperparameter):
    """True or False."""

    start: bool = False
    kind: ClassVar[str] = "boolean"
    ordered: ClassVar[bool] = False
    arguments: ClassVar[Mapping[str, str]] = {"start": "default"}

    def __post_init__(self) -> None:
        if self.start not in (True, False):
            raise self._refusal(
                f"the default of a Boolean must be True or False; got {self.start!r}."
            )
        self._set(start=bool(self.start))

    @property
    def default(self) -> Value:
        """The value that was given as such, else False."""
        return self.start

    def values(self) -> Sequence[Value]:
        """Both."""
        return (True, False)

    def from_unit(self, unit: float) -> Value:
        """True in the upper half, as in KerasTuner."""
        return unit >= 0.5

    def to_unit(self, value: Value) -> float:
        """The middle of its half."""
        return 0.75 if value else 0.25


@dataclass(frozen=True, kw_only=True)
class Fixed(Hyperparameter):
    """A single value, named so that it is recorded."""

    # not `value`: a record holds the requested value under that name, beside the specification
    constant: Value = None
    kind: ClassVar[str] = "fixed"
    arguments: ClassVar[Mapping[str, str]] = {"constant": "value"}

    def __post_init__(self) -> None:
        constant = plain(self.constant)
        if constant is not None and type(constant) not in VALUE_TYPES:
            raise self._refusal(
                "a fixed value must be an int, a float, a str, a bool or None; got "
                f"{type(constant).__name__}."
            )
        self._set(constant=constant)

    @property
    def default(self) -> Value:
        """The one value."""
        return self.constant

    def values(self) -> Sequence[Value]:
        """The one value."""
        return (self.constant,)


KINDS: dict[str, type[Hyperparameter]] = {c.kind: c for c in (Int, Float, Choice, Boolean, Fixed)}


def from_dict(data: Mapping[str, Any]) -> Hyperparameter:
    """The inverse of `Hyperparameter.to_dict`, also after a trip through JSON."""
    arguments = dict(data)
    kind = KINDS[arguments.pop("kind")]
    if "options" in arguments:
        arguments["options"] = tuple(arguments["options"])
    arguments["conditions"] = tuple((p, tuple(v)) for p, v in arguments.get("conditions", ()))
    return kind(**arguments)
