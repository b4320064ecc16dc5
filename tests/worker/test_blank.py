"""Without their values weights are zeros, and nothing else is another."""

import keras
import numpy as np
import pytest

from pipeline.worker.blank import blank_weights
from tests.conftest import installed
from tests.worker.test_backends import on

MODEL = """
from pipeline.worker import devices
devices.claim(1, 0)
import json
import keras
import numpy as np
from pipeline.worker.blank import blank_weights
from tests.worker.stage import digits_model
with blank_weights():
    blank = digits_model(keras.optimizers.Adam(0.25))
drawn = digits_model()
print("\\n" + json.dumps([
    [float(np.abs(w).sum()) for w in blank.get_weights()], float(blank.optimizer.learning_rate.numpy()),
    [w.shape for w in blank.get_weights()] == [w.shape for w in drawn.get_weights()],
    float(np.abs(drawn.get_weights()[0]).sum()),
]))
"""


@pytest.mark.parametrize("backend", ["tensorflow", installed("jax"), installed("torch")])
@pytest.mark.slow
def test_weights_are_zeros_inside_and_drawn_afterwards(backend):
    weights, learning_rate, alike, drawn = on(backend, MODEL)
    assert weights and not any(weights)
    assert learning_rate == 0.25 and alike and drawn > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int32", "bool"])
def test_zeros_are_of_the_variables_type(dtype):
    with blank_weights():
        variable = keras.Variable(initializer="ones", shape=(2, 3), dtype=dtype)
    assert keras.backend.standardize_dtype(variable.dtype) == dtype and tuple(variable.shape) == (2, 3)
    assert not np.asarray(keras.ops.convert_to_numpy(variable)).any()


def test_an_error_inside_comes_through_and_weights_are_drawn_again():
    with pytest.raises(ValueError, match="mine"), blank_weights():
        raise ValueError("mine")
    assert np.asarray(keras.Variable(initializer="ones", shape=(2,))).all()
