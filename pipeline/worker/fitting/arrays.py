"""The arrays that a `fit` trains on, where it trains on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.data.sending import as_fed
from pipeline.worker.backends.batches import Chunks, can_feed, rows
from pipeline.worker.fitting.call import FitCall


@dataclass(frozen=True)
class Arrays:
    """Arrays of n examples each, and how they are grouped."""

    parts: list[Any]
    chunks: Chunks

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return -(-len(self.parts[0]) // self.chunks.batch_size)

    def examples(self) -> tuple[Any, ...]:
        """A batch."""
        return tuple(rows(part, slice(self.chunks.batch_size)) for part in self.parts)


def are_arrays(parts: Sequence[Any]) -> bool:
    """Whether all parts are NumPy arrays."""
    return all(isinstance(part, np.ndarray) for part in parts)


def with_arrays(call: FitCall) -> FitCall:
    """Arrays in the place of tables, Series and lists, with the values that Keras gives them."""
    names = [n for n in ("x", "y", "sample_weight") if call.get(n) is not None]
    data = call.get("validation_data")
    if isinstance(data, list | tuple):
        call = call.changed(validation_data=tuple(map(as_fed, data)))
    return call.changed(**{name: as_fed(call.get(name)) for name in names})


def with_validation_cut_off(call: FitCall) -> FitCall:
    """Do for arrays what `validation_split` asks for, as Keras does it.

    The last part is for validation.
    """
    split, names = call.get("validation_split"), ("x", "y", "sample_weight")
    parts: list[Any] = [call.get(name) for name in names]
    if (
        not split
        or call.get("validation_data") is not None
        or not are_arrays(parts[: 2 + (parts[2] is not None)])
    ):
        return call
    at = int(len(parts[0]) * (1 - split))
    if not 0 < at < len(parts[0]):
        return call  # Keras says what is wrong
    train = {n: part[:at] for n, part in zip(names, parts, strict=True) if part is not None}
    val = tuple(part[at:] for part in parts if part is not None)
    return call.changed(**train, validation_split=0.0, validation_data=val)


def arrays_of(call: FitCall) -> Arrays | None:
    """What a `fit` trains on, its weights among them.

    None where only Keras can do what is asked for.
    """
    x, y, weights, by_class = (
        call.get(name) for name in ("x", "y", "sample_weight", "class_weight")
    )
    given = [part for part in (x, y, weights) if part is not None]
    if (
        y is None
        or not are_arrays(given)
        or not can_feed(given)
        or call.arguments.get("shuffle", True) is not True
    ):
        return None
    if call.get("validation_split") or call.get("steps_per_epoch"):
        return None
    if by_class and weights is not None:  # Keras refuses it
        return None
    if by_class:
        weights = _class_weights(y, by_class)
    parts = [part for part in (x, y, weights) if part is not None]
    return Arrays(parts, Chunks.of(parts, call.batch_size))


def _class_weights(y: Any, by_class: dict[int, float]) -> Any:
    """A weight an example, as Keras makes them of arrays: 1 for a class that is not named."""
    labels = y.argmax(-1) if y.ndim > 1 and y.shape[-1] != 1 else y.reshape(len(y))
    return np.array(
        [by_class.get(int(label), 1.0) for label in np.round(labels)], keras.config.floatx()
    )
