"""Batches, and chunks of batches, of arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

# Batches a chunk; more gains nothing. Some four are held at a time: being gathered, waiting, in use
# and its copy.
CHUNK_BATCHES = 100
CHUNK_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Chunks:
    """How an epoch's full batches are grouped: `calls` chunks of `batches` each.

    What is left comes batch by batch.
    """

    calls: int
    batches: int
    batch_size: int

    @classmethod
    def of(cls, parts: list[Any], batch_size: int) -> "Chunks":
        """For arrays of one length."""
        full = len(parts[0]) // batch_size
        batch_bytes = sum(part[:batch_size].nbytes for part in parts)
        most = max(1, min(CHUNK_BATCHES, CHUNK_BYTES // max(1, batch_bytes), full))
        # Whatever is left over is a call a batch, and where nothing is JAX has one shape fewer to
        # compile.
        batches = min(range(most, most // 2, -1), key=lambda each: full % each)
        return cls(full // batches, batches, batch_size)

    @property
    def single(self) -> str | None:
        """Why no chunk holds several batches; None where each does."""
        if self.batches > 1:
            return None
        return (
            "its batches are as large as chunks"
            if self.calls > 1
            else "an epoch has no two full batches"
        )

    @property
    def examples(self) -> int:
        """In all chunks together."""
        return self.calls * self.batches * self.batch_size

    def starts(self, count: int) -> list[int]:
        """Where each chunk, and then each batch of what is left, begins among `count` examples."""
        whole = [call * self.batches * self.batch_size for call in range(self.calls)]
        return [*whole, *range(self.examples, count, self.batch_size)]


def rows(part: Any, index: Any) -> Any:
    """Those examples of an array, floats as wide as Keras computes.

    It casts arrays, and not batches.
    """
    return part[index].astype(fed_dtype(part), copy=False)


def fed_dtype(part: Any) -> Any:
    """What an array's examples are fed as."""
    return np.dtype(keras.config.floatx()) if part.dtype.kind == "f" else part.dtype


def can_feed(parts: list[Any]) -> bool:
    """Whether the arrays hold numbers, and all are of one length."""
    return all(part.dtype.kind in "biuf" and len(part) == len(parts[0]) for part in parts)


def is_chunk(parts: Any, chunks: Chunks) -> bool:
    """Whether what a train function was handed is a chunk, and not a single batch."""
    return chunks.batches > 1 and len(parts[0]) == chunks.batches * chunks.batch_size


class Ordered(Protocol):
    """What knows the seed of a training's order, and the epoch that is trained."""

    seed: int
    epoch: int
    listeners: list[Callable[[int], None]]  # each is told an epoch before it begins


def permutation(order: Ordered, count: int) -> Any:
    """The order of `count` examples in an epoch: (count,) integers."""
    return np.random.default_rng([order.seed, order.epoch]).permutation(count)


class OrderedBatches(keras.utils.PyDataset):
    """Chunks, then batches, gathered as Keras asks for them, in an order made of (seed, epoch)."""

    def __init__(self, parts: list[Any], chunks: Chunks, order: Ordered) -> None:
        super().__init__()
        self.parts, self.order = parts, order
        self._epoch, self._indices = -1, np.arange(0)
        self._starts = chunks.starts(len(parts[0]))

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        if self._epoch != self.order.epoch or not len(self._indices):
            self._epoch = self.order.epoch
            self._indices = permutation(self.order, len(self.parts[0]))
        end = self._starts[step + 1] if step + 1 < len(self._starts) else None
        chosen = self._indices[self._starts[step] : end]
        return tuple(rows(part, chosen) for part in self.parts)
