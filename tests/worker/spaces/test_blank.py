"""Without their values weights are zeros, and nothing else is another."""

import keras
import numpy as np
import pytest

from pipeline.worker.spaces.blank import blank_weights
from tests.conftest import installed
from tests.worker.backends.test_backends import on

MODEL = """
from pipeline.worker.devices import machine
machine.claim(1, 0)
import json
import keras
import numpy as np
from pipeline.worker.spaces.blank import blank_weights
def model():
    made = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, dtype="bfloat16")])
    made.add(keras.layers.Flatten())
    made.add(keras.layers.Dense(10))
    made.compile(keras.optimizers.Adam(0.25))
    return made
with blank_weights():
    blank = model()
drawn = model()
print("\\n" + json.dumps([
    [float(np.abs(w).sum()) for w in blank.get_weights()], float(blank.optimizer.learning_rate.value),
    [(tuple(w.shape), str(w.value.dtype)) for w in blank.weights] ==
    [(tuple(w.shape), str(w.value.dtype)) for w in drawn.weights],
    float(np.abs(drawn.get_weights()[0]).sum()),
]))
"""


@pytest.mark.parametrize("backend", ["tensorflow", installed("jax"), installed("torch")])
@pytest.mark.slow
def test_weights_are_zeros_inside_and_drawn_afterwards(backend):
    weights, learning_rate, alike, drawn = on(backend, MODEL)
    assert weights and not any(weights)
    assert learning_rate == 0.25 and alike and drawn > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_zeros_are_of_the_variables_type(dtype):
    with blank_weights():
        variable = keras.Variable(initializer="random_normal", shape=(2, 3), dtype=dtype)
    assert keras.backend.standardize_dtype(variable.value.dtype) == dtype and tuple(
        variable.shape
    ) == (2, 3)
    assert not np.asarray(keras.ops.convert_to_numpy(variable)).any()


def test_an_error_inside_comes_through_and_weights_are_drawn_again():
    with pytest.raises(ValueError, match="mine"), blank_weights():
        raise ValueError("mine")
    assert np.asarray(keras.Variable(initializer="random_normal", shape=(2,))).all()


class Mine(keras.initializers.RandomUniform):
    """Of a user's own, which may do anything."""


@pytest.mark.parametrize(
    "initializer", [Mine(), keras.initializers.Ones(), lambda shape, dtype: np.ones(shape)]
)
def test_what_is_not_of_keras_random_ones_is_called(initializer):
    with blank_weights():
        assert np.asarray(keras.Variable(initializer=initializer, shape=(2, 3))).any()
