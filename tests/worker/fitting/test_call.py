"""A call of `fit` goes through steps that each return another call."""

import keras
import numpy as np
import pytest

from pipeline.worker.backends.known import current
from pipeline.worker.fitting.arrays import arrays_of, with_validation_cut_off
from pipeline.worker.fitting.call import FitCall
from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.fitting.validation import with_validation_batch, with_validation_fed

X, Y = np.ones((20, 3), "float32"), np.zeros(20)


def model():
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


STEPS = {
    "validation cut off": (with_validation_cut_off, {"validation_split": 0.25}),
    "validation's batch": (
        lambda call: with_validation_batch(call, model()),
        {"validation_data": (X, Y)},
    ),
    "validation fed": (
        lambda call: with_validation_fed(call, current(), 1),
        {"validation_data": (X, Y), "validation_batch_size": 5},
    ),
}


@pytest.mark.parametrize(("step", "arguments"), STEPS.values(), ids=STEPS)
def test_a_step_leaves_the_call_that_it_is_given_as_it_was(step, arguments):
    given = {"x": X, "y": Y, **arguments}
    call = FitCall(dict(given))
    changed = step(call)
    assert call.arguments.keys() == given.keys()
    assert all(call.get(name) is value for name, value in given.items())
    assert changed.get("validation_data") is not call.get("validation_data") or (
        changed.get("validation_batch_size") != call.get("validation_batch_size")
    )


def test_weights_of_classes_become_weights_of_examples_and_the_call_stays():
    call = FitCall({"x": X, "y": np.arange(20) % 2, "class_weight": {0: 3.0}})
    arrays = arrays_of(call)
    assert arrays is not None and arrays.steps == 1
    assert arrays.parts[2].tolist() == [3.0, 1.0] * 10
    assert call.arguments.keys() == {"x", "y", "class_weight"}


def test_a_fit_leaves_one_thing_on_a_model():
    made = model()
    before = set(vars(made))
    for plan in ("plain", "looped"):
        with planned_fit(made, 0, Reporter(), plan, verbose=0):
            made.fit(X, Y, batch_size=5)
    assert [name for name in set(vars(made)) - before if "kerasweep" in name] == ["_kerasweep"]
