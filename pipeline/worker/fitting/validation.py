"""The validation of a `fit`: its batch size, and how its arrays are fed."""

from typing import Any

import numpy as np

from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.batches import can_feed
from pipeline.worker.fitting.arrays import are_arrays
from pipeline.worker.fitting.call import FitCall

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


def with_validation_batch(call: FitCall, model: Any) -> FitCall:
    """Validate in wider batches than it trains in, where their inputs stay small."""
    data = call.get("validation_data")
    if data is None or call.get("validation_batch_size"):
        return call
    as_keras_has_it = call.changed(validation_batch_size=call.get("batch_size"))
    # the user's may look at a batch as a whole
    if not type(model).test_step.__module__.startswith("keras.src."):
        return as_keras_has_it
    # With validation_steps set, wider batches would be more examples.
    if (
        isinstance(data, tuple)
        and isinstance(data[0], np.ndarray)
        and not call.get("validation_steps")
    ):
        return call.changed(validation_batch_size=max(call.batch_size, evaluation_batch(data[0])))
    return as_keras_has_it


def with_validation_fed(call: FitCall, backend: Backend, devices: int) -> FitCall:
    """Hand arrays over batch by batch, where Keras would hold a copy of them."""
    data = call.get("validation_data")
    if (
        not backend.copies_arrays
        or not isinstance(data, tuple)
        or not are_arrays(data)
        or not can_feed(list(data))
        or call.get("validation_steps")
    ):
        return call
    size = call.get("validation_batch_size") or call.batch_size
    # Keras looks at the first batch, which must be dealt out evenly (3.15)
    size = max(size - size % devices, devices)
    fed = backend.in_order(list(data), size)
    return call.without("validation_batch_size").changed(validation_data=fed)
