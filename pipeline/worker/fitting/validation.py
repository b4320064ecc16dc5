"""The validation of a `fit`: its batch size, and how its arrays are fed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.worker.backends.tensorflow_data import can_feed, in_order

# Validation runs no backward pass, so larger batches than training's fit, as long as their inputs
# stay small.
VALIDATION_BATCH, VALIDATION_BYTES = 1024, 8 * 2**20


def evaluation_batch(x: Any) -> int:
    """Examples a batch where nothing is trained.

    If it can be, so many that the last batch is as large as the others.

    One of another shape costs another trace and compilation, together half a second.
    """
    most = max(1, min(VALIDATION_BATCH, VALIDATION_BYTES // max(1, x[0].nbytes), len(x)))
    return next((size for size in range(most, most // 2, -1) if len(x) % size == 0), most)


def set_validation_batch(model: Any, kwargs: dict[str, Any], batch_size: int) -> None:
    """Widen the validation batch in the arguments of a `fit`, where its inputs stay small."""
    data = kwargs.get("validation_data")
    if data is None or kwargs.get("validation_batch_size"):
        return
    # as Keras has it; ours may take that away
    kwargs["validation_batch_size"] = kwargs.get("batch_size")
    # the user's may look at a batch as a whole
    if not type(model).test_step.__module__.startswith("keras.src."):
        return
    # So many steps of wider batches would be more examples.
    if (
        isinstance(data, tuple)
        and isinstance(data[0], np.ndarray)
        and not kwargs.get("validation_steps")
    ):
        kwargs["validation_batch_size"] = max(batch_size, evaluation_batch(data[0]))


def feed_validation(kwargs: dict[str, Any], batch_size: int, devices: int) -> None:
    """Hand arrays over batch by batch; Keras would hold a copy of them."""
    data = kwargs.get("validation_data")
    if (
        not isinstance(data, tuple)
        or not are_arrays(data)
        or not can_feed(list(data))
        or kwargs.get("validation_steps")
    ):
        return
    size = kwargs.pop("validation_batch_size", None) or batch_size
    # Keras looks at the first batch, which must be dealt out evenly (3.15)
    size = max(size - size % devices, devices)
    kwargs["validation_data"] = in_order(list(data), size)


def are_arrays(parts: Sequence[Any]) -> bool:
    """Whether all parts are NumPy arrays."""
    return all(isinstance(part, np.ndarray) for part in parts)
