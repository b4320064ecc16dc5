"""The conformance checks of search spaces find what breaks the contract."""

import keras
import numpy as np
import pytest

from pipeline.data.dataset import as_dataset
from pipeline.errors import RequestError
from pipeline.testing.search_spaces import (
    check_configuration,
    check_fit,
    check_requests,
    check_search_space,
)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return as_dataset((rng.normal(size=(60, 3)).astype("float32"), [0, 1] * 30), "toy", 0)


def build(hp, data):
    """A small classifier."""
    model = keras.Sequential([keras.Input(data.shape)])
    if hp.Boolean("hidden"):
        model.add(keras.layers.Dense(hp.Int("units", 2, 4), activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy")
    return model


def test_a_function_that_keeps_the_contract_passes(data, tmp_path):
    check_search_space(build, data, tmp_path)


def test_a_family_may_refuse_a_dataset_unless_it_has_to_serve_it(data, tmp_path):
    def refusing(hp, data):
        raise RequestError("It needs images.")

    assert check_configuration(refusing, data, tmp_path) is None
    with pytest.raises(AssertionError, match="it refuses the dataset"):
        check_search_space(refusing, data, tmp_path)


def test_a_build_that_forgets_to_return_is_found(data, tmp_path):
    def forgetful(hp, data):
        build(hp, data)

    with pytest.raises(AssertionError, match=r"must return a keras.Model; it returned None"):
        check_configuration(forgetful, data, tmp_path)


def test_a_build_that_draws_by_itself_is_found(data):
    calls = []

    def moody(hp, data):
        calls.append(hp)
        hp.Int("units" if len(calls) % 2 else "width", 1, 4)

    with pytest.raises(AssertionError, match="same values must lead to the same requests"):
        check_requests(moody, data)


def test_a_fit_that_keeps_callbacks_to_itself_is_found():
    class Family:
        def build(self, hp, data):
            raise NotImplementedError

        def fit(self, hp, model, *args, callbacks=(), **kwargs):
            return model.fit(*args, **kwargs)

    with pytest.raises(KeyError, match="callbacks"):
        check_fit(Family())
    assert check_fit(build) == {}


def test_a_model_that_is_another_once_it_is_loaded_is_found(data, tmp_path):
    @keras.saving.register_keras_serializable("kerasweep_tests")
    class Shift(keras.layers.Layer):
        def __init__(self, by=0.0, name=None):
            super().__init__(name=name)
            self.by = by

        def get_config(self):
            return {"name": self.name}  # and not `by`

        def call(self, x):
            return x + self.by

    def drifting(hp, data):
        model = keras.Sequential(
            [keras.Input(data.shape), keras.layers.Dense(1), Shift(by=1.0, name="shift")]
        )
        model.compile(loss="mse")
        return model

    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_configuration(drifting, data, tmp_path)
