"""scikit-learn's lists and distributions of parameters, in terms of `hp`.

A list is a Choice in its order. `scipy.stats.uniform` and `loguniform` are a Float, `randint` an
Int; of any other distribution some values are drawn before the search, and are a Choice. Of a list
of dictionaries each is a part of the space of its own, and parameters of one are no part of
another's.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import EstimatorError, quoted
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.kind import plain

GRID = "param_grid"  # which dictionary of a list; no parameter itself
# Choices that a Choice takes as they are
PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class Listed:
    """Values to choose from; `labels` stand for those that are no plain ones of one type."""

    values: tuple[Any, ...]
    labels: tuple[Any, ...]

    def ask(self, hp: HyperParameters, name: str) -> Any:
        """The chosen value."""
        return self.value(hp.Choice(name, self.labels, default=self.labels[0]))

    def value(self, label: Any) -> Any:
        """What a label stands for."""
        return self.values[self.labels.index(label)]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both possible."""

    low: Any
    high: Any
    whole: bool = False
    sampling: str = "linear"

    def ask(self, hp: HyperParameters, name: str) -> Any:
        """The chosen number."""
        kind = hp.Int if self.whole else hp.Float
        middle = np.sqrt(self.low * self.high) if self.sampling == "log" else None
        middle = (self.low + self.high) / 2 if middle is None else middle
        default: Any = int(middle) if self.whole else float(middle)
        return kind(name, self.low, self.high, sampling=self.sampling, default=default)

    def value(self, label: Any) -> Any:
        """Itself."""
        return label


class Distributions:
    """What may be tried of each parameter.

    Args:
        given: a dictionary from a parameter's name to a list or a distribution, or several.
        draws: how many values are drawn of a distribution that is none of those above.
        seed: of these.

    Raises:
        EstimatorError: it is neither.
    """

    def __init__(self, given: Any, draws: int = 10, seed: int = 0) -> None:
        several = isinstance(given, Sequence) and not isinstance(given, str)
        parts = list(given) if several else [given]
        for part in parts or [given]:
            if not isinstance(part, Mapping):
                raise EstimatorError(
                    "param_distributions must be a dictionary of lists or distributions, or a list "
                    f"of such; got {quoted(given)}."
                )
        rng = np.random.RandomState(seed)
        # in the order in which scikit-learn goes through a grid
        self.parts = [
            {name: _read(name, part[name], draws, rng) for name in sorted(part)} for part in parts
        ]

    @property
    def names(self) -> set[str]:
        """All parameters."""
        return {name for part in self.parts for name in part}

    @property
    def finite(self) -> bool:
        """Whether there are lists alone."""
        return all(isinstance(one, Listed) for part in self.parts for one in part.values())

    def values_of(self, name: str) -> Iterator[Any]:
        """All values, or the largest one, that a parameter may have."""
        for part in self.parts:
            if (one := part.get(name)) is not None:
                yield from one.values if isinstance(one, Listed) else (one.high,)

    def ask(self, hp: HyperParameters) -> dict[str, Any]:
        """A configuration's parameters."""
        if len(self.parts) == 1:
            return {name: one.ask(hp, name) for name, one in self.parts[0].items()}
        chosen: dict[str, Any] = {}
        grid = hp.Choice(GRID, list(range(len(self.parts))), ordered=False, default=0)
        for place, part in enumerate(self.parts):
            with hp.conditional_scope(GRID, [place]) if part else nullcontext():
                asked = {name: one.ask(hp, name) for name, one in part.items() if place == grid}
                chosen |= asked
        return chosen

    def parameters(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """What a recorded configuration stands for; one that failed may lack parameters."""
        part = self.parts[int(recorded.get(GRID, 0))]
        return {name: one.value(recorded[name]) for name, one in part.items() if name in recorded}


@contextmanager
def _readable(name: str, given: Any) -> Iterator[None]:
    try:
        yield
    except EstimatorError:
        raise
    except Exception as error:
        raise EstimatorError(
            f"The values of {name!r} must be a list or a distribution; got {quoted(given)}."
        ) from error


def _read(name: str, given: Any, draws: int, rng: np.random.RandomState) -> Listed | Range:
    with _readable(name, given):
        if hasattr(given, "rvs"):
            return _distribution(given, draws, rng)
        if isinstance(given, str | Mapping):
            raise TypeError
        return _listed(name, list(given))


def _listed(name: str, values: list[Any]) -> Listed:
    if not values:
        raise EstimatorError(f"The values of {name!r} must be at least one; got none.")
    once: list[Any] = []
    for value in map(plain, values):
        if not any(
            value is held or (type(value) is type(held) and _same(value, held)) for held in once
        ):
            once.append(value)
    kinds = {type(value) for value in once}
    if len(kinds) == 1 and kinds <= set(PLAIN):
        return Listed(tuple(once), tuple(once))
    labels = [getattr(value, "__name__", repr(value)) for value in once]
    if len(set(labels)) < len(labels) or any(len(label) > 80 for label in labels):
        labels = [f"{place}: {label[:60]}" for place, label in enumerate(labels)]
    return Listed(tuple(once), tuple(labels))


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # of arrays
        return False


def _distribution(given: Any, draws: int, rng: np.random.RandomState) -> Listed | Range:
    kind = getattr(getattr(given, "dist", None), "name", "")
    if kind in ("uniform", "loguniform", "reciprocal", "randint"):
        low, high = (plain(end) for end in given.support())
        if kind == "randint":
            return Range(int(low), int(high), whole=True)
        return Range(float(low), float(high), sampling="linear" if kind == "uniform" else "log")
    drawn = np.unique(given.rvs(size=draws, random_state=rng))
    return _listed("a distribution", drawn.tolist())
