"""Models that are carried out by one program, and what such a program is.

Without Keras at import.
"""

import zlib
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from pipeline.worker.backends.together.number import Number


@dataclass(frozen=True)
class Examples:
    """Arrays of n examples each, the order in which they come, and how many make a batch."""

    parts: tuple[Any, ...]
    order: Any  # (n,) integers
    batch: int

    @cached_property
    def identities(self) -> tuple[Hashable, ...]:
        """What tells the arrays from others: looked at once, for their contents may count."""
        return tuple(map(identity, self.parts))

    @property
    def full(self) -> int:
        """Batches that are full."""
        return len(self.order) // self.batch

    @property
    def rest(self) -> int:
        """Examples in the last batch, if that is not full; else 0."""
        return len(self.order) % self.batch

    @property
    def shape(self) -> Hashable:
        """What those have in common that are put through one program."""
        return (self.batch, tuple((part.shape[1:], str(part.dtype)) for part in self.parts))


@dataclass(frozen=True)
class Member:
    """An epoch of one of the models.

    Args:
        state: `variable.value` of each of `variables_of` it.
        numbers: those that the models differ by: (n, 2), see `number.Number`.
        train: what it is trained on.
        validation: what it is validated on; all members are, or none.
    """

    state: Any
    numbers: Any
    train: Examples
    validation: Examples | None


@dataclass(frozen=True)
class Epoch:
    """What came of it: the state, and what the metrics were; see `flat`.

    `state` is None where the model's variables themselves were changed.
    """

    state: Any
    logs: dict[str, Any]
    validation_logs: dict[str, Any]


@dataclass(frozen=True)
class Pattern:
    """One of the models, which a program is made of.

    Args:
        model: built and compiled.
        with_numbers: given numbers, (n, 2), and the class that stands for one, what the model has
            them within.
    """

    model: Any
    with_numbers: Callable[[Any, type[Number]], AbstractContextManager[Any]]


class Program(Protocol):
    """Carries out epochs of models that are alike."""

    def serves(self, members: Sequence[Member]) -> bool:
        """Whether a group is to be carried out by it, and not by another one."""

    def __call__(self, members: Sequence[Member]) -> Sequence[Epoch | Exception]:
        """What came of each member's epoch, or what went wrong with it alone.

        Raises:
            Exception: nothing was done.
        """


def identity(part: Any) -> Hashable:
    """Where an array lies: views of the same memory are the same array, while nothing is changed.

    One that may be written to is known by what is in it, too.
    """
    contents = zlib.crc32(np.ascontiguousarray(part).data) if part.flags.writeable else None
    place = part.__array_interface__["data"][0]
    return (place, part.shape, part.strides, str(part.dtype), contents)


def variables_of(model: Any) -> tuple[list[Any], ...]:
    """All that an epoch may change: trainable variables, others, the optimizer's, the metrics'."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def flat(logs: dict[str, Any]) -> dict[str, Any]:
    """Metrics with those of a metric that has several beside them, as Keras has them in logs."""
    found: dict[str, Any] = {}
    for name, value in logs.items():
        found |= flat(value) if isinstance(value, dict) else {name: value}
    return found


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Metrics as NumPy's arrays; a number as Python has it."""
    arrays = {name: np.asarray(value) for name, value in values.items()}
    return {name: float(a) if a.ndim == 0 else a for name, a in arrays.items()}
