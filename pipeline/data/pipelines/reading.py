"""Pipelines by their elements, read once."""

import hashlib
import itertools
import pickle
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil

from pipeline.data.pipelines.pipeline import CPU, Elements, Pipeline, is_endless, tensorflow
from pipeline.errors import RequestError

# Of this machine's memory, for what is read: as much as Ray's object store has.
MEMORY_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class ReadPipeline(Pipeline):
    """A pipeline by its elements: of each of their tensors, all values in one array."""

    columns: list["Column"]

    def __call__(self) -> Any:
        """Of `Pipeline`: an element is copied when its turn comes."""
        tf = tensorflow()
        structure = pickle.loads(self.elements.structure)
        specs = tf.nest.flatten(structure, expand_composites=True)

        def take(place: Any) -> list[Any]:
            return [column.at(int(place)) for column in self.columns]

        def element(place: Any) -> Any:
            found = tf.numpy_function(take, [place], [s.dtype for s in specs], stateful=False)
            for tensor, spec in zip(found, specs, strict=True):
                tensor.set_shape(spec.shape)
            return tf.nest.pack_sequence_as(structure, found, expand_composites=True)

        with tf.device(CPU):
            places = tf.data.Dataset.range(self.elements.count)
            return places.map(tf.autograph.experimental.do_not_convert(element))


@dataclass(frozen=True, eq=False)
class Column:
    """One tensor of all elements: its shapes, and its values one after the other.

    Of texts `values` has the bytes, and `ends` where each ends.
    """

    shapes: list[tuple[int, ...]]
    starts: Any
    values: Any
    ends: Any = None

    @classmethod
    def of(cls, tensors: list[Any]) -> "Column":
        """Of a NumPy array an element."""
        starts = np.cumsum([0, *(t.size for t in tensors)])
        flat = np.concatenate([t.ravel() for t in tensors]) if tensors else np.empty(0)
        shapes = [t.shape for t in tensors]
        if flat.dtype != object:
            return cls(shapes, starts, flat)
        ends = np.cumsum([0, *map(len, flat)])
        return cls(shapes, starts, np.frombuffer(b"".join(flat), np.uint8), ends)

    def at(self, place: int) -> Any:
        """The tensor of one element, as a NumPy array."""
        first, last = self.starts[place], self.starts[place + 1]
        if self.ends is None:
            return self.values[first:last].reshape(self.shapes[place])
        ends = self.ends[first : last + 1]
        texts = np.empty(last - first, object)
        texts[:] = [self.values[a:b].tobytes() for a, b in itertools.pairwise(ends)]
        return texts.reshape(self.shapes[place])


def ending(field: str, dataset: Any, why: str) -> Any:
    """The dataset, to be read to its end.

    Raises:
        RequestError: it has none.
    """
    if is_endless(dataset):
        raise RequestError(
            f"{field} must be a tf.data.Dataset that ends, since {why}; it repeats without end. "
            "Leave repeat out, or write: def make(): return …, and give make."
        )
    return dataset


def read(field: str, dataset: Any, why: str) -> ReadPipeline:
    """The elements of a dataset, and a warning that they are read.

    Args:
        field: what the user gave it as.
        dataset: of any elements.
        why: it does not travel.

    Raises:
        RequestError: it has no end, or more elements than memory should hold.
    """
    import tensorflow as tf

    most = int(MEMORY_SHARE * psutil.virtual_memory().total)
    rows: list[list[Any]] = []
    size = 0
    for element in ending(field, dataset, f"{why} and is read before the trials"):
        parts = tf.nest.flatten(element, expand_composites=True)
        rows.append([np.asarray(part.numpy()) for part in parts])
        size += sum(_bytes(part) for part in rows[-1])
        if size > most:
            raise RequestError(
                f"{field} must have elements of {most / 2**30:.3g} GiB at most, since {why} and is "
                "read before the trials; it has more. Write: def make(): return …, and give make."
            )
    warnings.warn(
        f"{field} is read once, since {why}: each epoch of each trial has these elements in this "
        "order, and what is random in it is drawn once. A function that makes it draws it anew.",
        stacklevel=2,
    )
    columns = [Column.of(list(tensors)) for tensors in zip(*rows, strict=True)]
    digest = hashlib.sha256(repr(dataset.element_spec).encode())
    for column in columns:
        digest.update(repr((column.shapes, column.values.dtype)).encode())
        digest.update(column.values)
    known = Elements.of(dataset)
    batches = known.inputs is not None and bool(rows)
    examples = sum(len(row[0]) for row in rows) if batches else known.examples
    elements = replace(known, count=len(rows), examples=examples)
    return ReadPipeline(elements, True, digest.hexdigest(), columns)


def _bytes(array: Any) -> int:
    return sum(map(len, array.flat)) if array.dtype == object else int(array.nbytes)
