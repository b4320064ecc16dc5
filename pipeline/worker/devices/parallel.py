"""One model on several devices.

Each computes a part of every batch, by Keras's own data parallelism.

TensorFlow's `MirroredStrategy`, `keras.distribution.DataParallel` on JAX; on PyTorch Keras has
neither (3.15). A batch is as large as was asked for, so that an update is what it is on one device.
Of arrays a batch that cannot be dealt out evenly, such as the last of an epoch, is computed whole
on each device; in TensorFlow's training metrics it then counts once a device. TensorFlow's batch
normalisation looks at a device's part alone, unless it is `synchronized`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from pipeline.errors import RequestError

BACKENDS = ("tensorflow", "jax")


def check_backend(backend: str, devices: int) -> None:
    """Refuse a backend on which a model trains on one device alone.

    Raises:
        RequestError: it is one.
    """
    if devices > 1 and backend not in BACKENDS:
        raise RequestError(
            f"Several GPUs a trial need KERAS_BACKEND={' or '.join(BACKENDS)}, for which Keras has "
            "data parallelism; "
            f"got {backend} and {devices} GPUs a trial."
        )


@contextmanager
def on_devices(count: int) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """Train on so many devices what is built inside.

    GPUs, where there are any, or else what the backend lists.

    Yields what a model, its optimizer and their variables are to be made in, and nothing else.

    Raises:
        RequestError: there are not so many, or the backend cannot.
    """
    import keras

    if count == 1:
        yield nullcontext
        return
    backend = keras.backend.backend()
    check_backend(backend, count)
    devices = keras.distribution.list_devices()
    if len(devices) < count:
        raise RequestError(
            f"A trial of {count} GPUs must see as many; {backend} sees {', '.join(devices)}. "
            "CUDA's libraries may be "
            "missing there: make gpu, or pip install '.[gpu]'."
        )
    if backend == "tensorflow":
        import tensorflow as tf

        yield tf.distribute.MirroredStrategy(devices[:count]).scope
    else:
        with _data_parallel(devices[:count]):
            yield nullcontext


def count_of(model: Any) -> int:
    """On how many devices a model trains."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return int(model.distribute_strategy.num_replicas_in_sync)
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.num_model_replicas)


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


@contextmanager
def _data_parallel(devices: list[str]) -> Iterator[None]:
    """Keras's data parallelism on JAX, for batches of any size.

    Keras takes the layout of the first batch for all, and fails on the last
    (keras-team/keras#21167, open with 3.15): once that is mended, `each` can go.
    """
    import keras
    from keras.src.backend.jax import trainer

    class Evenly(keras.distribution.DataParallel):
        """Deals a batch out if that comes out even."""

        def get_data_layout(self, data_shape: Any) -> Any:
            if data_shape[0] % len(devices) == 0:
                return super().get_data_layout(data_shape)
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)

    def each(self: Any, distribution: Any) -> Iterator[Any]:
        """Look at each batch."""
        for batch in self.data_adapter.get_jax_iterator():
            yield trainer._distribute_data(batch)

    plain = trainer.JAXEpochIterator._get_distributed_iterator
    trainer.JAXEpochIterator._get_distributed_iterator = each
    try:
        with Evenly(devices=devices).scope():
            yield
    finally:
        trainer.JAXEpochIterator._get_distributed_iterator = plain
