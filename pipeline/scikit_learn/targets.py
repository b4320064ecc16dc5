"""Targets: class labels of any kind as numbers, and as a model's loss takes them."""

import re
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from pipeline.data.arrays import Array, Task
from pipeline.errors import EstimatorError, quoted

TASKS = ("classification", "regression")


def task_of(y: Array, given: Task | None = None) -> Task:
    """What targets are; unless told, real numbers of more than two values are a regression."""
    if given is not None:
        if given not in TASKS:
            raise EstimatorError(
                f"task must be classification, regression or None; got {quoted(given)}."
            )
        return given
    real = y.dtype.kind == "f" and (y.ndim > 1 or len(np.unique(y)) > 2)
    return "regression" if real else "classification"


def encoded(y: Array) -> tuple[Array, Array]:
    """The classes, sorted, and the place of each label among them.

    Raises:
        EstimatorError: they are no labels of two classes or more.
        ValueError: they are real numbers, as scikit-learn says it.
    """
    check_classification_targets(y)
    if y.ndim > 1:
        raise EstimatorError(f"y must have one label an example, (n,); got {y.shape}.")
    classes, places = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise EstimatorError(
            f"y must have labels of 2 classes or more to tell apart; it has 1 class, "
            f"{quoted(classes[0])}."
        )
    return classes, places.reshape(y.shape).astype(np.int64)


def as_the_loss_takes_them(model: Any, y: Array, classes: int | None) -> Array:
    """Labels as they are, or one-hot where the model's loss compares a unit a class.

    Args:
        model: compiled.
        y: labels `(n,)` from 0; anything else stays as it is.
        classes: how many there are; None of a regression.
    """
    if classes is None or y.ndim > 1 or not _takes_one_hot(model, classes):
        return y
    return np.eye(classes, dtype=np.float32)[y]


def _takes_one_hot(model: Any, classes: int) -> bool:
    """Whether the loss is one of Keras's own that compares all outputs of a unit a class."""
    loss = getattr(model, "loss", None)
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    module = (
        "keras." if isinstance(loss, str) else getattr(loss, "__module__", type(loss).__module__)
    )
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
    if "sparse" in name or not str(module).startswith("keras."):
        return False
    outputs = getattr(model, "outputs", None) or []
    if len(outputs) == 1:
        return bool(np.shape(outputs[0])[-1:] == (classes,)) and classes > 1
    return name.startswith("categorical")  # of a model that has no outputs before its first call
