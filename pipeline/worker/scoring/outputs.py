"""What a model's outputs say: which class is how likely, or which values are predicted."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset

Array = NDArray[Any]

# Losses of one unit, and of a unit a class. Each takes probabilities, or logits where it was told.
ONE_UNIT = {"binary_crossentropy", "binary_focal_crossentropy"}
A_UNIT_A_CLASS = {
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
}
NARROW = 1e-2  # so far from 1 the sum of a row of probabilities may be, in half precision


class Unclear(Exception):
    """It is not known what a model's outputs say; the text says why."""


def is_classifier(model: Any) -> bool:
    """Whether the model's loss is one of classes.

    Raises:
        Unclear: it is not known.
    """
    return _loss(model)[0] in ONE_UNIT | A_UNIT_A_CLASS


def said(model: Any, data: Dataset, predicted: Any) -> Array:
    """What `predict` returned, in the task's terms.

    Returns:
        `(n, classes)`, the likelihood of each class; or values of the targets' shape.

    Raises:
        Unclear: it cannot be told.
    """
    outputs = [np.asarray(part) for part in keras.tree.flatten(predicted)]
    if len(outputs) != 1:
        raise Unclear(f"the model has {len(outputs)} outputs")
    output = outputs[0]
    if output.dtype.kind != "f":  # bfloat16, which numpy does not know
        output = output.astype(np.float32)
    n, shape = len(output), tuple(output.shape[1:])
    if data.task == "regression":
        if output.size != n * int(np.prod(data.target_shape)):
            wanted = "a number" if not data.target_shape else f"{data.target_shape[0]} numbers"
            raise Unclear(f"its output must be {wanted} an example; it is of shape {shape}")
        return output.reshape(n, *data.target_shape)
    if shape not in ((), (1,), (data.classes,)):
        wanted = "1 or 2 units" if data.classes == 2 else f"{data.classes} units"
        raise Unclear(f"its output must be of {wanted}; it is of shape {shape}")
    output = output.reshape(n, -1)
    return _of_one_unit(model, output) if output.shape[1] == 1 else _of_classes(model, output)


def _of_one_unit(model: Any, output: Array) -> Array:
    name, from_logits = _loss(model)
    if name not in ONE_UNIT:
        raise Unclear(f"the loss {name} does not say what one unit stands for")
    if from_logits:
        output = _sigmoid(output.astype(np.float64))
    elif not _in_unit_interval(output):
        raise Unclear(f"the loss {name} takes probabilities, and its outputs are none")
    return np.hstack([1 - output, output])


def _of_classes(model: Any, output: Array) -> Array:
    name, from_logits = _loss(model)
    if name in A_UNIT_A_CLASS and from_logits:
        exponents = np.exp(output.astype(np.float64) - output.max(axis=1, keepdims=True))
        likelihood: Array = exponents / exponents.sum(axis=1, keepdims=True)
        return likelihood
    # of another loss they may be probabilities too: what sums to 1 can hardly be anything else
    sums = output.astype(np.float64).sum(axis=1)
    if not _in_unit_interval(output) or (abs(sums - 1) > NARROW).any():
        raise Unclear(f"its outputs are no probabilities, and the loss {name} takes no logits")
    return output


def _sigmoid(logits: Array) -> Array:
    odds = np.exp(-abs(logits))  # which cannot overflow
    found: Array = np.where(logits >= 0, 1, odds) / (1 + odds)
    return found


def _in_unit_interval(output: Array) -> bool:
    return bool(((output >= 0) & (output <= 1)).all())


def _loss(model: Any) -> tuple[str, bool]:
    """The compiled loss by the name of its function, and whether it takes logits."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, list | tuple | dict):
        parts = keras.tree.flatten(loss)
        loss = parts[0] if len(parts) == 1 else None
    if loss is None:
        raise Unclear("its loss is not known")
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        kind = keras.src.utils.naming.to_snake_case(type(loss).__name__)
        return kind, bool(getattr(loss, "from_logits", False))
    return getattr(loss, "__name__", type(loss).__name__), False
