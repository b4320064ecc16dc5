"""Weights of zeros, for what asks how a model is built and not what it computes.

To draw them takes time that grows with the model, and on JAX a compilation for each shape: 0.2 to
    0.4 s of CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

# Keras's own that take any shape. Others are called: they may raise, and so decide what a `build`
# goes on to ask for.
ANY_SHAPE = (
    keras.initializers.VarianceScaling,
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
    keras.initializers.Zeros,
)


@contextmanager
def blank_weights() -> Iterator[None]:
    """Let weights that would be drawn begin at zero; not to be nested.

    By the way of Keras 3.15; one that goes another draws them as ever.
    """
    # of the backend's class, inherited
    initialize: Any = getattr(keras.Variable, "_initialize_with_initializer", None)

    def blank(variable: Any, initializer: Any) -> None:
        own = isinstance(initializer, ANY_SHAPE) and type(initializer).__module__.startswith(
            "keras."
        )
        initialize(variable, _zeros if own else initializer)

    keras.Variable._initialize_with_initializer = blank
    try:
        yield
    finally:
        del keras.Variable._initialize_with_initializer


def _zeros(shape: Any, dtype: Any = None, **_: Any) -> Any:
    return np.zeros(shape, keras.backend.standardize_dtype(dtype))


def without_weights() -> Any:
    """A model for the trial of something that is none of Keras's."""
    nothing = keras.Input((1,))
    return keras.Model(nothing, nothing)
