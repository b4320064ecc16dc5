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
from pipeline.worker.backends.known import KNOWN, current, named


def check_devices(backend: str, devices: int) -> None:
    """Refuse a backend on which a model trains on one device alone.

    Raises:
        RequestError: it is one.
    """
    if devices > 1 and not named(backend).data_parallel:
        able = " or ".join(known.name for known in KNOWN if known.data_parallel)
        raise RequestError(
            f"Several GPUs a trial need KERAS_BACKEND={able}, for which Keras has "
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
    backend = current()
    check_devices(backend.name, count)
    devices = keras.distribution.list_devices()
    if len(devices) < count:
        raise RequestError(
            f"A trial of {count} GPUs must see as many; {backend.name} sees {', '.join(devices)}. "
            "CUDA's libraries may be "
            "missing there: make gpu, or pip install '.[gpu]'."
        )
    with backend.on_devices(devices[:count]) as building:
        yield building
