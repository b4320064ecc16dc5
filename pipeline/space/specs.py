"""What a hyperparameter may be: its kind, its bounds, and its map to and from the unit interval.

Every kind maps the unit interval onto its values, monotonely where they have an order, so that searchers need to
know nothing of steps and logarithms. The vocabulary is KerasTuner's (`hp.Int`, `sampling="log"`, inclusive
`max_value`, a logarithmic `step` that multiplies).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from pipeline.errors import RequestError, unknown

Value = int | float | str | bool | None
Condition = tuple[str, tuple[Value, ...]]  # parent's name, the parent's values under which this one is active

SAMPLINGS = ("linear", "log", "reverse_log")
GRID_POINTS = 10  # of a continuous range, as in KerasTuner's GridSearch


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """A named value that a search space asks for. `conditions` must all hold for it to be active."""

    name: str
    conditions: tuple[Condition, ...] = ()
    kind: ClassVar[str] = ""
    ordered: ClassVar[bool] = True

    def values(self) -> Sequence[Value] | None:
        """Every possible value in order, or None where they are too many to list."""
        raise NotImplementedError

    @property
    def default(self) -> Value:
        """The value that KerasTuner would start from."""
        raise NotImplementedError

    def from_unit(self, unit: float) -> Value:
        """The value at `unit` in [0, 1)."""
        values = self.values()
        assert values is not None
        return values[min(int(unit * len(values)), len(values) - 1)]

    def to_unit(self, value: Value) -> float:
        """A point of [0, 1) that `from_unit` maps to `value`."""
        values = self.values()
        assert values is not None
        return (values.index(value) + 0.5) / len(values)

    def contains(self, value: Value) -> bool:
        """Whether `value` is possible."""
        values = self.values()
        assert values is not None
        return any(value == v and type(value) is type(v) for v in values)

    def random(self, rng: np.random.Generator) -> Value:
        """A value drawn from `rng`, uniformly on the unit interval."""
        return self.from_unit(float(rng.random()))

    def grid(self) -> Sequence[Value]:
        """The values that a grid search tries; ten where the range is continuous."""
        values = self.values()
        if values is not None:
            return values
        points = [self.from_unit(u) for u in np.linspace(0, 1 - 1e-12, GRID_POINTS)]
        return list(dict.fromkeys(points))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the records; `from_dict` reads it back."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"kind": self.kind} | {k: v for k, v in own.items() if v not in (None, ())}


@dataclass(frozen=True, kw_only=True)
class _Numerical(Hyperparameter):
    min_value: float
    max_value: float
    step: float | None = None
    sampling: str = "linear"
    start: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sampling", (self.sampling or "linear").lower())
        where = f"Hyperparameter {self.name!r}"
        if self.sampling not in SAMPLINGS:
            raise RequestError(f"{where}: " + unknown("sampling", self.sampling, SAMPLINGS))
        if self.min_value > self.max_value:
            raise RequestError(
                f"{where}: min_value must not exceed max_value; got {self.min_value} and {self.max_value}."
            )
        if self.sampling != "linear" and self.min_value <= 0:
            raise RequestError(f"{where}: {self.sampling} sampling needs a min_value above zero; got {self.min_value}.")
        if self.step is not None:
            least = 0 if self.sampling == "linear" else 1
            if self.step <= least:
                raise RequestError(f"{where}: a {self.sampling} step must be above {least}; got {self.step}.")

    @property
    def default(self) -> Value:
        """The value that was given as such, else the least."""
        return self.min_value if self.start is None else self.start

    def values(self) -> Sequence[Value] | None:
        """The steps, or None without a step."""
        if self.step is None:
            return None
        if self.sampling == "linear":
            count = int((self.max_value - self.min_value) / self.step + 1e-9) + 1
            return [self._value(self.min_value + k * self.step) for k in range(count)]
        count = int(math.log(self.max_value / self.min_value, self.step) + 1e-9) + 1
        rising = [self.min_value * self.step**k for k in range(count)]
        if self.sampling == "log":
            return [self._value(v) for v in rising]
        return [self._value(self.max_value + self.min_value - v) for v in reversed(rising)]

    def _value(self, raw: float) -> Value:
        raise NotImplementedError

    def _interpolate(self, unit: float, low: float, high: float) -> float:
        if self.sampling == "linear":
            return low + (high - low) * unit
        if self.sampling == "log":
            return float(low * (high / low) ** unit)
        return float(high + low - low * (high / low) ** (1 - unit))

    def _locate(self, value: float, low: float, high: float) -> float:
        if high == low:
            return 0.5
        if self.sampling == "linear":
            return (value - low) / (high - low)
        if self.sampling == "log":
            return math.log(value / low) / math.log(high / low)
        return 1 - math.log((high + low - value) / low) / math.log(high / low)


@dataclass(frozen=True, kw_only=True)
class Int(_Numerical):
    """An integer; `max_value` is possible."""

    kind: ClassVar[str] = "int"

    def __post_init__(self) -> None:
        for bound in ("min_value", "max_value", "step"):
            number = getattr(self, bound)
            if number is not None and int(number) != number:
                raise RequestError(f"Hyperparameter {self.name!r}: {bound} must be an integer; got {number}.")
        super().__post_init__()
        if self.step is None and self.sampling == "linear":
            object.__setattr__(self, "step", 1)

    def values(self) -> Sequence[Value] | None:
        """As a range where it is one: hp.Int("seed", 0, 2**31) must not become a list."""
        if self.step is not None and self.sampling == "linear":
            return range(int(self.min_value), int(self.max_value) + 1, int(self.step))
        return super().values()

    def _value(self, raw: float) -> int:
        return round(raw)

    def from_unit(self, unit: float) -> Value:
        """The value at `unit`; each integer has its share of the scale."""
        if self.step is not None:
            return super().from_unit(unit)
        raw = math.floor(self._interpolate(unit, self.min_value, self.max_value + 1) + 1e-9)
        return int(min(max(raw, self.min_value), self.max_value))

    def to_unit(self, value: Value) -> float:
        """The middle of the value's share of the scale."""
        if self.step is not None:
            return super().to_unit(value)
        assert isinstance(value, int)
        middle = value + 0.5 if value < self.max_value + 1 else value
        return min(max(self._locate(middle, self.min_value, self.max_value + 1), 0.0), 1 - 1e-12)

    def contains(self, value: Value) -> bool:
        """Whether it is an integer within the bounds and on a step."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        values = self.values()
        return self.min_value <= value <= self.max_value if values is None else value in values


@dataclass(frozen=True, kw_only=True)
class Float(_Numerical):
    """A real number; `max_value` is possible."""

    kind: ClassVar[str] = "float"

    def _value(self, raw: float) -> float:
        # 0.1 + 2 * 0.1 is 0.3 for whoever reads the table, and a logarithmic step may start at 1e-14.
        return float(f"{raw:.12g}") if self.sampling == "log" else round(float(raw), 12)

    def from_unit(self, unit: float) -> Value:
        """The value at `unit` on the scale."""
        if self.step is not None:
            return super().from_unit(unit)
        raw = self._interpolate(unit, self.min_value, self.max_value)
        return float(min(max(raw, self.min_value), self.max_value))

    def to_unit(self, value: Value) -> float:
        """Where the value is on the scale; the nearest step's place where there are steps."""
        assert isinstance(value, int | float)
        values = self.values()
        if values is not None:
            nearest = min(values, key=lambda v: abs(float(v or 0.0) - value))
            return super().to_unit(nearest)
        return min(max(self._locate(value, self.min_value, self.max_value), 0.0), 1 - 1e-12)

    def contains(self, value: Value) -> bool:
        """Whether it is a number within the bounds and on a step, rounding aside."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.step is not None:
            return any(math.isclose(value, float(v or 0.0), abs_tol=1e-15) for v in self.values() or ())
        return self.min_value <= value <= self.max_value


@dataclass(frozen=True, kw_only=True)
class Choice(Hyperparameter):
    """One of `options`, all of one type; `in_order` says whether near ones resemble each other."""

    options: tuple[Value, ...] = ()
    in_order: bool | None = None
    start: Value = None
    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        where = f"Hyperparameter {self.name!r}"
        if not self.options:
            raise RequestError(f"{where}: a Choice must have at least one value; got none.")
        types = sorted({type(v).__name__ for v in self.options if v is not None})
        if len(types) > 1 or not set(types) <= {"int", "float", "str", "bool"}:
            raise RequestError(
                f"{where}: the values of a Choice must all be int, all float, all str or all bool; "
                f"got {', '.join(types)}."
            )
        object.__setattr__(self, "options", tuple(dict.fromkeys(self.options)))
        if self.start is not None and self.start not in self.options:
            raise RequestError(f"{where}: the default must be one of {list(self.options)}; got {self.start!r}.")
        if self.in_order is None:
            object.__setattr__(self, "in_order", types in (["int"], ["float"]) and None not in self.options)

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


@dataclass(frozen=True, kw_only=True)
class Boolean(Hyperparameter):
    """True or False."""

    start: bool = False
    kind: ClassVar[str] = "boolean"
    ordered: ClassVar[bool] = False

    @property
    def default(self) -> Value:
        """The value that was given as such, else False."""
        return self.start

    def values(self) -> Sequence[Value]:
        """Both."""
        return (True, False)


@dataclass(frozen=True, kw_only=True)
class Fixed(Hyperparameter):
    """A single value, named so that it is recorded."""

    constant: Value = None  # not `value`: a record holds the requested value under that name, beside the specification
    kind: ClassVar[str] = "fixed"

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
