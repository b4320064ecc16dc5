"""A pipeline on its way: what is known of its elements, and what makes it."""

import pickle
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.data.conversion import is_of
from pipeline.data.nests import Nest, leaves, mapped

ENDLESS = -1  # tf.data.INFINITE_CARDINALITY
CPU = "/job:localhost/replica:0/task:0/device:CPU:0"


def is_pipeline(thing: Any) -> bool:
    """Whether it is a `tf.data.Dataset`."""
    return is_of(thing, "tensorflow", "DatasetV2")


def is_endless(thing: Any) -> bool:
    """Whether it is a `tf.data.Dataset` that repeats without end."""
    return is_pipeline(thing) and int(thing.cardinality()) == ENDLESS


@dataclass(frozen=True)
class Input:
    """What is known of an input: its shape with the examples of a batch, None for what differs."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Elements:
    """What is known of the elements of a dataset.

    Args:
        structure: their `element_spec`, pickled: to read it imports TensorFlow.
        inputs: an `Input` for each; None where one is no dense tensor of examples.
        count: how many there are; None where it is not known, or there is no end.
        examples: in all of them, likewise.
    """

    structure: bytes
    inputs: Nest
    count: int | None
    examples: int | None

    @classmethod
    def of(cls, dataset: Any) -> "Elements":
        """As far as TensorFlow knows without reading any."""
        structure, cardinality = dataset.element_spec, int(dataset.cardinality())
        specs = structure[0] if isinstance(structure, tuple) else structure
        known = all(_is_input(spec) for spec in leaves(specs))
        inputs = mapped(specs, _input) if known else None
        count = cardinality if cardinality >= 0 else None
        each = next(leaves(inputs)).shape[0] if known else None
        examples = None if count is None or each is None else count * each
        return cls(pickle.dumps(structure), inputs, count, examples)


def _is_input(spec: Any) -> bool:
    return is_of(spec, "tensorflow", "TensorSpec") and bool(spec.shape.rank)


def _input(spec: Any) -> Input:
    return Input(tuple(spec.shape.as_list()), spec.dtype.name)


@dataclass(frozen=True, eq=False)
class Pipeline(ABC):
    """What makes a `tf.data.Dataset` where it is called."""

    elements: Elements
    alike: bool  # whether each epoch is known to have the same elements in the same order
    sha256: str

    @abstractmethod
    def __call__(self) -> Any:
        """Make the dataset."""

    def get_config(self) -> dict[str, Any]:
        """What tells it from another: see `digest`."""
        return {"sha256": self.sha256}


def tensorflow() -> Any:
    """TensorFlow, in a process that makes a dataset."""
    import tensorflow as tf

    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() != "tensorflow":
        # it feeds another backend, and would take that one's memory
        with suppress(RuntimeError):  # it was used before
            tf.config.set_visible_devices([], "GPU")
    return tf
