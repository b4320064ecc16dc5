"""How arrays reach TensorFlow.

Batches gathered from where the arrays are, never a copy of them as a whole.

A node holds a dataset once and its trials map it. Keras's `fit` would copy both splits into tensors
of its own, in each trial (tensorflow/python/framework/constant_op.py); what is copied here are some
chunks ahead of the training.
"""

from collections.abc import Callable
from typing import Any

from pipeline.worker.backends.batches import Chunks, fed_dtype, rows


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
        order = permutation(seed, epoch, count)
        rest = tf.data.Dataset.from_tensor_slices(order[chunks.examples :]).batch(chunks.batch_size)
        if not chunks.examples:
            return rest
        full = tf.reshape(order[: chunks.examples], [chunks.calls, -1])
        return tf.data.Dataset.from_tensor_slices(full).concatenate(rest)

    indices = tf.data.Dataset.range(1).flat_map(groups)
    rest = -(-(count - chunks.examples) // chunks.batch_size)
    data = _gathered(indices, parts, chunks.batch_size, whole=whole)
    return _settled(data, (chunks.calls if whole else chunks.calls * chunks.batches) + rest)


def permutation(seed: int, epoch: Any, count: int) -> Any:
    """A tensor of the order of `count` examples in an epoch: (count,) integers."""
    import tensorflow as tf

    state = tf.stack([tf.constant(seed % 2**31, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed=state)


def in_order(parts: list[Any], batch_size: int) -> Any:
    """A `tf.data.Dataset` of batches as the arrays have them."""
    import tensorflow as tf

    indices = tf.data.Dataset.range(len(parts[0])).batch(batch_size)
    return _settled(
        _gathered(indices, parts, batch_size, whole=True), -(-len(parts[0]) // batch_size)
    )


def evenly(data: Any, devices: int) -> Any:
    """A `tf.data.Dataset` whose batches are all dealt out in equal parts.

    Of what cannot be, each gets the whole.

    The mean of the parts' gradients is then that of the batch.
    """
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def repeated(*parts: Any) -> Any:
        times = tf.where(tf.shape(parts[0])[0] % devices == 0, 1, devices)
        return tuple(tf.tile(part, [times] + [1] * (part.shape.rank - 1)) for part in parts)

    return data.map(repeated)


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
