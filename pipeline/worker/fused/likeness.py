"""What models are that may be alike but for numbers."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


class NotAlike(Exception):
    """It is not known what a model is, so that it is like no other."""


@dataclass(frozen=True)
class Place:
    """Where one number of a model stands: an attribute, or an item of a list that is one."""

    owner: Any
    attribute: str
    index: int | None = None

    def get(self) -> Any:
        """The number."""
        value = getattr(self.owner, self.attribute)
        return value if self.index is None else value[self.index].loss_weights

    def set(self, value: Any) -> None:
        """Put another in its place."""
        if self.index is None:
            object.__setattr__(self.owner, self.attribute, value)
        else:
            losses = getattr(self.owner, self.attribute)
            losses[self.index] = losses[self.index]._replace(loss_weights=value)


@dataclass(frozen=True)
class Likeness:
    """What a compiled model is.

    Models with the same `key` are alike but for their `numbers`, which stand at `places`.
    """

    key: Hashable
    numbers: tuple[float, ...]
    places: tuple[Place, ...]

    @cached_property
    def in_two_parts(self) -> Any:
        """The numbers as programs take them, (n, 2) float32: see `number.Number`."""
        exact = np.array(self.numbers)
        high = exact.astype("float32")
        return np.stack([high, (exact - high).astype("float32")], -1)

    @contextmanager
    def with_numbers(self, values: dict[int, Any]) -> Iterator[None]:
        """Have other values in some of the places, by their indices."""
        before = {index: self.places[index].get() for index in values}
        try:
            for index, value in values.items():
                self.places[index].set(value)
            yield
        finally:
            for index, value in before.items():
                self.places[index].set(value)


def differing(members: Sequence[Likeness]) -> frozenset[int]:
    """The indices of the numbers that are not the same in all models of a group."""
    first = members[0].numbers
    return frozenset(
        index
        for index, value in enumerate(first)
        if any(member.numbers[index] != value for member in members)
    )
