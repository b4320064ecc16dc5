"""What every kind of hyperparameter is.

A name, conditions, possible values and their map to the unit interval.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.errors import SpaceError, SpaceTypeError, SpaceValueError

Value = int | float | str | bool | None
# parent's name, the parent's values under which this one is active
Condition = tuple[str, tuple[Value, ...]]
# under one name and conditions there is one hyperparameter
Identity = tuple[str, tuple[Condition, ...]]

GRID_POINTS = 10  # of a continuous range, as in KerasTuner's GridSearch


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """A named value that a search space asks for.

    `conditions` must all hold for it to be active.
    """

    name: str
    conditions: tuple[Condition, ...] = ()
    kind: ClassVar[str] = ""
    ordered: ClassVar[bool] = True
    # field -> what `hp` calls it, where that is another name
    arguments: ClassVar[Mapping[str, str]] = {}

    def __str__(self) -> str:
        own = {n: v for n, v in self.to_dict().items() if n not in ("kind", "name", "conditions")}
        settings = ", ".join(f"{self.arguments.get(n, n)}={_plainly(v)}" for n, v in own.items())
        return f"{type(self).__name__}({settings})"

    @property
    def identity(self) -> Identity:
        """What tells it from others."""
        return self.name, self.conditions

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

    @property
    def endless(self) -> bool:
        """Whether its values are without end."""
        return False

    def every(self) -> Sequence[Value]:
        """Every possible value, however many; of an `endless` one the first."""
        values = self.values()
        return self.grid()[:1] if values is None else values

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the records; `from_dict` reads it back."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"kind": self.kind} | {k: v for k, v in own.items() if v not in (None, ())}

    def get_config(self) -> dict[str, Any]:
        """Its settings in KerasTuner's form, as `space.configs` reads them back."""
        settings = {self.arguments.get(n, n): _listed(value) for n, value in vars(self).items()}
        order: dict[str, Any] = dict.fromkeys(("name", "default", "conditions"))
        settings = {name: settings[name] for name in order | settings if name in settings}
        parents = [
            {"class_name": "Parent", "config": {"name": p, "values": list(v)}}
            for p, v in self.conditions
        ]
        return settings | {"conditions": parents}

    def _refusal(self, demand: str, kind: type[SpaceError] = SpaceValueError) -> SpaceError:
        return kind(f"Hyperparameter {self.name!r}: {demand}")

    def _set(self, **settings: Any) -> None:
        """Settle a field for good, while the dataclass is being made."""
        for name, value in settings.items():
            object.__setattr__(self, name, value)


def number(kind: type[int] | type[float], value: Any, demand: str) -> Any:
    """`kind(value)`.

    Raises:
        SpaceTypeError: Python raises a TypeError.
        SpaceValueError: Python raises another error.
    """
    try:
        return kind(value)
    except TypeError as error:
        raise SpaceTypeError(f"{demand}; got {value!r}.") from error
    except (ValueError, OverflowError) as error:
        raise SpaceValueError(f"{demand}; got {value!r}.") from error


def plain(value: Any) -> Any:
    """Of Python's own type where it is a kind of that; NumPy's numbers and strings are."""
    value = value.item() if isinstance(value, np.generic) else value
    own = next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), None)
    return value if own is None else own(value)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _plainly(value: Any) -> str:
    return repr(_listed(value))
