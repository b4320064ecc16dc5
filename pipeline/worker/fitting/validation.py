"""The validation of a `fit`: its batch size, and how its arrays are fed."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.batches import can_feed
from pipeline.worker.backends.together.members import Examples
from pipeline.worker.fitting.arrays import are_arrays
from pipeline.worker.fitting.call import FitCall
from pipeline.worker.fitting.grouping import is_free_of_batches
from pipeline.worker.fused.likeness import NotAlike

# Validation runs no backward pass, so larger batches than training's have room, as long as their
# inputs stay small.
VALIDATION_BATCH, VALIDATION_BYTES = 1024, 8 * 2**20


def evaluation_batch(model: Any, data: Sequence[Any], batch_size: int) -> int:
    """Examples a batch where nothing is trained: more than `batch_size` where none can tell.

    `data` are inputs, targets and perhaps weights. Of wider batches the last is as large as the
    others, if it can be: one of another shape costs another trace and compilation, together half a
    second.
    """
    x, *targets = data
    if len(targets) != 1 or not isinstance(x, np.ndarray) or not is_free_of_batches(model):
        return batch_size
    most = max(1, min(VALIDATION_BATCH, VALIDATION_BYTES // max(1, x[0].nbytes), len(x)))
    even = (size for size in range(most, most // 2, -1) if len(x) % size == 0)
    return max(batch_size, next(even, most))


def validation_together(call: FitCall, model: Any) -> Examples | None:
    """What a `fit` that is carried out with others' is validated on; None where it is not.

    Raises:
        NotAlike: only Keras can do what is asked for.
    """
    data = call.get("validation_data")
    if data is None:
        return None
    if not isinstance(data, tuple) or not are_arrays(data) or not can_feed(list(data)):
        raise NotAlike("it is not validated on arrays alone")
    if call.get("validation_steps"):
        raise NotAlike("validation_steps was set")
    batch = call.get("validation_batch_size") or call.batch_size
    if not call.get("validation_batch_size") and len(data) == 2 and is_free_of_batches(model):
        # The same for all splits, such as those of folds, whose sizes differ.
        batch = max(batch, min(VALIDATION_BATCH, VALIDATION_BYTES // max(1, data[0][0].nbytes)))
    return Examples(data, np.arange(len(data[0])), batch)


def validates(call: FitCall) -> Callable[[int], bool]:
    """Whether a `fit` is validated after an epoch, counted from 0."""
    often = call.get("validation_freq") or 1
    if isinstance(often, int):
        return lambda epoch: (epoch + 1) % often == 0
    return lambda epoch: epoch + 1 in often


def with_validation_batch(call: FitCall, model: Any) -> FitCall:
    """Validate as Keras does, or in wider batches where the scores are the same."""
    data = call.get("validation_data")
    if data is None or call.get("validation_batch_size"):
        return call
    if not isinstance(data, tuple) or call.get("validation_steps"):
        # with validation_steps set, wider batches would be more examples
        return call.changed(validation_batch_size=call.get("batch_size"))
    return call.changed(validation_batch_size=evaluation_batch(model, data, call.batch_size))


def incomparable(call: FitCall, given: Any) -> str:
    """Why what a `fit` scores says nothing of the split that its trial was given; empty if it does.

    `given` is what the trial's `fit` was called with as `validation_data`.
    """
    data = call.get("validation_data")
    if data is None and call.get("validation_split"):
        return "`fit` cuts its validation data off itself, by validation_split"
    if data is None:
        return "`fit` validates on no data of the dataset's validation split"
    parts, whole = keras.tree.flatten(data), keras.tree.flatten(given)
    if len(parts) != len(whole) or any(a is not b for a, b in zip(parts, whole, strict=True)):
        return "`fit` validates on data of its own"
    if call.get("validation_steps"):
        return "`fit` validates on a part of the split, by validation_steps"
    return ""


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
