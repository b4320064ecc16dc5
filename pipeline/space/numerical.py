"""Hyperparameters that are numbers: their scales and steps.

Scales and steps are KerasTuner's: `sampling="log"`, an inclusive `max_value`, a logarithmic `step`
that multiplies.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pipeline.errors import unknown
from pipeline.space.kind import Hyperparameter, Value, number, plain

SAMPLINGS = ("linear", "log", "reverse_log")


@dataclass(frozen=True, kw_only=True)
class _Numerical(Hyperparameter):
    min_value: float
    max_value: float
    step: float | None = None
    sampling: str = "linear"
    start: float | None = None
    arguments: ClassVar[Mapping[str, str]] = {"start": "default"}

    def __post_init__(self) -> None:
        self._set(sampling=str(self.sampling or "linear").lower(), start=plain(self.start))
        for bound in (
            ("min_value", "max_value") if self.step is None else ("min_value", "max_value", "step")
        ):
            self._set(**{bound: self._number(bound)})
        if self.sampling not in SAMPLINGS:
            raise self._refusal(unknown("sampling", self.sampling, SAMPLINGS))
        if not math.isfinite(self.min_value) or not math.isfinite(self.max_value):
            raise self._refusal(
                f"min_value and max_value must be finite numbers; got {self.min_value} and "
                f"{self.max_value}."
            )
        if self.min_value > self.max_value:
            raise self._refusal(
                f"min_value must not exceed max_value; got {self.min_value} and {self.max_value}."
            )
        if self.sampling != "linear" and self.min_value <= 0:
            raise self._refusal(
                f"{self.sampling} sampling needs a min_value above zero; got {self.min_value}."
            )
        if self.step is not None:
            if math.isinf(self.step):
                raise self._refusal(f"step must be a finite number; got {self.step}.")
            least = 0 if self.sampling == "linear" else 1
            if not self.step > least:
                raise self._refusal(
                    f"a {self.sampling} step must be above {least}; got {self.step}."
                )

    def _number(self, setting: str) -> float:
        raise NotImplementedError

    @property
    def default(self) -> Value:
        """The value that was given as such, whether or not it is on a step, else the least."""
        return self.min_value if self.start is None else self.start

    def values(self) -> Sequence[Value] | None:
        """The steps, or None without a step."""
        if self.step is None:
            return None
        # Steps too fine for their numbers' precision are equal.
        return list(dict.fromkeys(self._at(place) for place in range(self._count())))

    def from_unit(self, unit: float) -> Value:
        """The value at `unit` on the scale; each step has its equal share."""
        return self._at(min(int(unit * self._count()), self._count() - 1))

    def to_unit(self, value: Value) -> float:
        """The middle of a step's share; a value between two steps has the nearest one's place."""
        return (self._place(value) + 0.5) / self._count()

    # Steps, counted from the least value.

    def _count(self) -> int:
        assert self.step is not None
        if self.sampling == "linear":
            return int((self.max_value - self.min_value) / self.step + 1e-9) + 1
        return int(math.log(self.max_value / self.min_value, self.step) + 1e-9) + 1

    def _at(self, place: int) -> Value:
        assert self.step is not None
        if self.sampling == "linear":
            return self._rounded(self.min_value + place * self.step)
        if self.sampling == "log":
            return self._rounded(self.min_value * self.step**place)
        # Steps of a reversed scale grow from the largest value downwards.
        return self._rounded(
            self.max_value
            + self.min_value
            - self.min_value * self.step ** (self._count() - 1 - place)
        )

    def _place(self, value: Value) -> int:
        assert isinstance(value, int | float) and self.step is not None
        inside = min(max(value, self.min_value), self.max_value)
        if self.sampling == "linear":
            place = (inside - self.min_value) / self.step
        elif self.sampling == "log":
            place = math.log(inside / self.min_value, self.step)
        else:
            mirrored = self.max_value + self.min_value - inside
            place = self._count() - 1 - math.log(mirrored / self.min_value, self.step)
        return min(max(round(place), 0), self._count() - 1)

    def _rounded(self, raw: float) -> Value:
        raise NotImplementedError

    # The scale without steps.

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
        super().__post_init__()
        if self.step is None and self.sampling == "linear":
            self._set(step=1)

    def _number(self, setting: str) -> int:
        given = getattr(self, setting)
        demand = f"Hyperparameter {self.name!r}: {setting} must be an integer"
        whole: int = number(int, given, demand)
        if whole != given:
            raise self._refusal(f"{setting} must be an integer; got {given!r}.")
        return whole

    def values(self) -> Sequence[Value] | None:
        """As a range where it is one: hp.Int("seed", 0, 2**31) must not become a list."""
        if self.step is not None and self.sampling == "linear":
            return range(int(self.min_value), int(self.max_value) + 1, int(self.step))
        return super().values()

    def every(self) -> Sequence[Value]:
        """All integers in between, on a scale without steps."""
        return (
            range(int(self.min_value), int(self.max_value) + 1)
            if self.step is None
            else super().every()
        )

    def _count(self) -> int:
        if self.step is not None and self.sampling == "linear":
            return int((self.max_value - self.min_value) // self.step) + 1
        return super()._count()

    def _rounded(self, raw: float) -> int:
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
        if self.step is not None:
            return self._at(self._place(value)) == value
        return self.min_value <= value <= self.max_value


@dataclass(frozen=True, kw_only=True)
class Float(_Numerical):
    """A real number; `max_value` is possible."""

    kind: ClassVar[str] = "float"

    def _number(self, setting: str) -> float:
        given = getattr(self, setting)
        real: float = number(
            float, given, f"Hyperparameter {self.name!r}: {setting} must be a number"
        )
        return real

    def _rounded(self, raw: float) -> float:
        # 0.1 + 2 * 0.1 is 0.3 for whoever reads the table. A step of 1e-14 must not become zero for
        # that.
        if self.sampling == "log":
            return float(f"{raw:.12g}")
        rounded = round(float(raw), max(12, 8 - math.floor(math.log10(self._least_step()))))
        return min(max(rounded, self.min_value), self.max_value)

    def _least_step(self) -> float:
        """Between two neighbours: of a scale that is not linear, the two at its dense end."""
        assert self.step is not None
        return self.step if self.sampling == "linear" else self.min_value * (self.step - 1)

    @property
    def endless(self) -> bool:
        """Without steps, unless the range is a single value."""
        return self.step is None and self.min_value < self.max_value

    def from_unit(self, unit: float) -> Value:
        """The value at `unit` on the scale."""
        if self.step is not None:
            return super().from_unit(unit)
        raw = self._interpolate(unit, self.min_value, self.max_value)
        return float(min(max(raw, self.min_value), self.max_value))

    def to_unit(self, value: Value) -> float:
        """Where the value is on the scale; the nearest step's place where there are steps."""
        if self.step is not None:
            return super().to_unit(value)
        assert isinstance(value, int | float)
        return min(max(self._locate(value, self.min_value, self.max_value), 0.0), 1 - 1e-12)

    def contains(self, value: Value) -> bool:
        """Whether it is a number within the bounds and on a step, rounding aside."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        # not math.isfinite, which fails on integers that no float can hold
        if not abs(value) <= sys.float_info.max:
            return False
        if self.step is not None:
            step = self._at(self._place(value))
            assert isinstance(step, float)
            return math.isclose(value, step, abs_tol=min(1e-15, 1e-9 * self._least_step()))
        return self.min_value <= value <= self.max_value
