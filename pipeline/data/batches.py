"""Data that make their own batches where they are used: functions, and `PyDataset`s."""

import copy
from collections.abc import Callable
from typing import Any

from pipeline.data.conversion import is_of
from pipeline.data.pipelines.pipeline import is_pipeline

TO_SEARCH = "In its place: tuner.search(train, validation_data=val) of pipeline.keras_tuner"


def makes_batches(part: Any) -> bool:
    """Whether it is no array, but makes batches in the trial."""
    return is_function(part) or is_pydataset(part)


def is_function(part: Any) -> bool:
    """Whether it has to be called; an array that can be called too has not."""
    arrays = ("__array__", "__getitem__", "__iter__")
    return callable(part) and not any(hasattr(part, name) for name in arrays)


def is_pydataset(part: Any) -> bool:
    """Whether it is one of Keras's, which need not be imported here."""
    return is_of(part, "keras", "PyDataset")


def named(thing: Any) -> str:
    """The name that users know such data by, if they are no function; empty for anything else."""
    return "tf.data.Dataset" if is_pipeline(thing) else "PyDataset" * is_pydataset(thing)


def made(part: Any) -> Any:
    """The data itself; of a `PyDataset` a copy, which may shuffle what it holds in place.

    Another training's order stays as it is, and arrays that lie in Ray's store cannot be written.
    """
    if is_pydataset(part):
        return copy.deepcopy(part)
    return part() if is_function(part) else part


def first_inputs(batches: Any) -> Any:
    """The inputs of the first batch."""
    # a PyDataset counts its batches
    batch = batches[0] if hasattr(batches, "__getitem__") else next(iter(batches))
    return batch[0] if isinstance(batch, tuple | list) else batch


def first(part: Any, count: int) -> Any:
    """The same data with their first `count` batches alone, as far as that can be known."""
    return _First(part, count) if is_function(part) else _shortened(part, count)


class _First:
    """Makes the first batches alone."""

    def __init__(self, make: Callable[[], Any], count: int) -> None:
        self._make, self._count = make, count

    def __call__(self) -> Any:
        return _shortened(self._make(), self._count)


def _shortened(batches: Any, count: int) -> Any:
    if is_pydataset(batches):
        return _shortened_pydataset(batches, count)
    return (
        batches.take(count) if hasattr(batches, "take") and hasattr(batches, "batch") else batches
    )


def _shortened_pydataset(dataset: Any, count: int) -> Any:
    """The same `PyDataset`, for it has its own methods, that says it has fewer batches.

    What it holds is the other's until it is `made`.
    """
    known = dataset.num_batches
    count = count if known is None else min(known, count)
    short, kind = copy.copy(dataset), type(dataset)
    methods = {"__len__": lambda _: count, "num_batches": property(lambda _: count)}
    short.__class__ = type(kind.__name__, (kind,), methods)
    short.workers, short.use_multiprocessing = 1, False  # no process for a few batches
    return short
