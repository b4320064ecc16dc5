"""How arrays reach TensorFlow.

Batches gathered from where the arrays are, never a copy of them as a whole.

A node holds a dataset once and its trials map it. Keras's `fit` would copy both splits into tensors
of its own, in each trial (tensorflow/python/framework/constant_op.py); what is copied here are some
chunks ahead of the training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def shuffled(
    parts: list[Any],
    chunks: Chunks,
    seed: int,
    listen: Callable[[Callable[[int], Any]], None],
    *,
    whole: bool,
) -> Any:
    """A `tf.data.Dataset` of batches in an order that follows from (seed, epoch).

    Args:
        parts: arrays of n examples each.
        chunks: how they are grouped.
        seed: of the order.
        listen: is given what wants to know the epoch before it begins.
        whole: hand chunks over as they are, for a train function that takes them apart.
    """
    import tensorflow as tf

    count = len(parts[0])
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
    listen(epoch.assign)

    # there is nothing to convert, and to look takes 0.2 s
    @tf.autograph.experimental.do_not_convert
    def groups(_: Any) -> Any:
        state = tf.stack([tf.constant(seed % 2**31, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=state)
        rest = tf.data.Dataset.from_tensor_slices(order[chunks.examples :]).batch(chunks.batch_size)
        if not chunks.examples:
            return rest
        full = tf.reshape(order[: chunks.examples], [chunks.calls, -1])
        return tf.data.Dataset.from_tensor_slices(full).concatenate(rest)

    indices = tf.data.Dataset.range(1).flat_map(groups)
    rest = -(-(count - chunks.examples) // chunks.batch_size)
    data = _gathered(indices, parts, chunks.batch_size, whole=whole)
    return _settled(data, (chunks.calls if whole else chunks.calls * chunks.batches) + rest)


def in_order(parts: list[Any], batch_size: int) -> Any:
    """A `tf.data.Dataset` of batches as the arrays have them."""
    import tensorflow as tf

    indices = tf.data.Dataset.range(len(parts[0])).batch(batch_size)
    return _settled(
        _gathered(indices, parts, batch_size, whole=True), -(-len(parts[0]) // batch_size)
    )


def _gathered(indices: Any, parts: list[Any], batch_size: int, *, whole: bool) -> Any:
    import tensorflow as tf

    def take(index: Any) -> list[Any]:
        return [rows(part, index) for part in parts]

    @tf.autograph.experimental.do_not_convert
    def gather(index: Any) -> Any:
        found = tf.numpy_function(
            take, [index], [fed_dtype(part) for part in parts], stateful=False
        )
        for tensor, part in zip(found, parts, strict=True):
            tensor.set_shape([None, *part.shape[1:]])
        if whole:
            return tuple(found)
        # A group is of whole batches, or it is a single one, perhaps not full.
        batches = tf.maximum(tf.size(index) // batch_size, 1)
        return tuple(
            tf.reshape(t, [batches, -1, *p.shape[1:]]) for t, p in zip(found, parts, strict=True)
        )

    data = indices.map(gather)
    if whole:
        return data
    slices = tf.autograph.experimental.do_not_convert(
        lambda *group: tf.data.Dataset.from_tensor_slices(group)
    )
    return data.flat_map(slices)


def _settled(data: Any, batches: int) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    # The pipeline shares the trial's threads; a pool of its own would be as wide as the machine.
    options.threading.private_threadpool_size = 1
    return (
        data.apply(tf.data.experimental.assert_cardinality(batches))
        .with_options(options)
        .prefetch(1)
    )
