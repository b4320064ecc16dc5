"""Weights of zeros, for what asks how a model is built and not what it computes.

To draw them takes time and memory as large as the model, and on JAX a compilation for each shape: 0.2 to 0.4 s of CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


@contextmanager
def blank_weights() -> Iterator[None]:
    """Call no initializer: a variable that is created inside from one begins at zero, one created from a value has it.

    By the way of Keras 3.15; one that goes another draws them as ever.
    """
    drawn: Any = getattr(keras.Variable, "_initialize_with_initializer", None)  # of the backend's class, inherited

    def blank(variable: Any, _: Any) -> None:
        drawn(variable, _zeros)

    keras.Variable._initialize_with_initializer = blank
    try:
        yield
    finally:
        del keras.Variable._initialize_with_initializer


def _zeros(shape: Any, dtype: Any = None, **_: Any) -> Any:
    return np.zeros(shape, keras.backend.standardize_dtype(dtype))
