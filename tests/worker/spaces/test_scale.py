"""Inputs far from unit scale that nothing scales are warned of, and others are not."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import FitData
from pipeline.names import resolve
from pipeline.objective import Objective
from pipeline.worker.spaces.loading import load_search_space
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.spaces.scale import REMEDY, unscaled
from tests.worker.stage import dataset, space

LOSS = Objective("val_loss", "min")


def table(load=load_wine, **more):
    return Dataset.split("mine", *load(return_X_y=True), 0, **more)


def dense(data, *before, after=()):
    layers = [keras.Input(data.shape), *before, keras.layers.Dense(8), *after]
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(data.classes)])


@pytest.fixture(scope="module")
def wine():
    return table()


def test_columns_are_named_the_farthest_first(wine):
    x = wine.x_train
    named = ", ".join(
        f"{k} (mean {x[:, k].mean():.4g}, standard deviation {x[:, k].std():.4g})" for k in (12, 4)
    )

    (line,) = unscaled(dense(wine), wine)

    assert line.startswith(f"columns {named} of the inputs reach layer 'dense")
    assert line.endswith(f" unscaled, and models learn little of such; {REMEDY}")


def test_at_most_three_columns_are_named():
    data = table(load_breast_cancer)
    (line,) = unscaled(dense(data), data)

    assert line.startswith("columns 23 (mean ") and ", 3 (mean " in line
    assert line.count("(mean ") == 3 and " more of the inputs reach layer " in line


def test_one_column_alone_is_told_in_the_singular(wine):
    x = np.zeros_like(wine.x_train)
    x[:, 5] = 2000
    data = replace(wine, x_train=x)
    (line,) = unscaled(dense(data), data)

    assert line.startswith(
        "column 5 (mean 2000, standard deviation 0) of the inputs reaches layer 'dense"
    )


def pixels(dtype="uint8"):
    rng = np.random.default_rng(0)
    x = rng.integers(256, size=(60, 8, 8, 1)).astype(dtype)
    return Dataset.split("pixels", x, np.arange(60) % 3, 0)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_are_warned_of_unless_they_are_rescaled(dtype):
    data = pixels(dtype)
    conv = keras.layers.Conv2D(2, 3)
    (line,) = unscaled(dense(data, conv), data)

    assert line.startswith("inputs between 0 and 255 reach layer 'conv2d")
    assert unscaled(dense(data, keras.layers.Rescaling(1 / 255)), data) == []


def adapted(data):
    layer = keras.layers.Normalization()
    layer.adapt(data.x_train)
    return layer


class Halved(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2000


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs, training=False):
        return self.dense(inputs / 2000)


def divided(data):
    inputs = keras.Input(data.shape)
    return keras.Model(inputs, keras.layers.Dense(3)(inputs / 2000))


def frozen(data):
    model = dense(data)
    model.layers[0].trainable = False
    return model


def own(data):
    model = Own()
    model(data.x_train[:1])
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda data: dense(data, adapted(data)),
        lambda data: dense(data, keras.layers.BatchNormalization()),
        lambda data: dense(data, after=[keras.layers.BatchNormalization()]),
        lambda data: dense(data, after=[keras.layers.ReLU(), keras.layers.LayerNormalization()]),
        lambda data: dense(data, keras.layers.Lambda(lambda x: x / 2000)),
        lambda data: dense(data, Halved()),
        divided,
        own,
        frozen,  # it was trained on such inputs
    ],
)
def test_whatever_scales_them_is_seen(make, wine):
    assert unscaled(make(wine), wine) == []


def test_a_normalisation_that_was_not_adapted_scales_nothing(wine):
    layer = keras.layers.Normalization(mean=0, variance=1)

    assert len(unscaled(dense(wine, layer), wine)) == 1


def test_words_that_are_embedded_are_no_amounts():
    x = np.random.default_rng(0).integers(5000, size=(60, 7))
    data = Dataset.split("words", x, np.arange(60) % 3, 0)

    assert unscaled(dense(data, keras.layers.Embedding(5000, 4)), data) == []


def test_arrays_from_python_are_looked_at_and_others_are_not(wine):
    arrays = FitData.of("mine", wine.x_train, wine.y_train)
    made = FitData.of("mine", keras.utils.PyDataset())
    several = FitData.of("mine", {"a": wine.x_train}, wine.y_train)

    assert len(unscaled(dense(wine), arrays)) == 1
    assert unscaled(dense(wine), several) == unscaled(dense(wine), made) == []
    assert unscaled(dense(wine), FitData(name="none", train=(None, None, None))) == []


def test_a_model_that_is_called_otherwise_is_left_alone(wine):
    class Pair(keras.Model):
        def call(self, one, other):
            return one

    assert unscaled(Pair(), wine) == []


def test_the_model_is_as_it_was(wine):
    model = dense(wine)
    before = model.predict(wine.x_val, verbose=0)
    unscaled(model, wine)

    assert "call" not in vars(model.layers[0])
    assert (model.predict(wine.x_val, verbose=0) == before).all()


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes", "mnist"])
def test_our_datasets_are_near_unit_scale(name):
    checked = check_default(load_search_space(resolve("search space", "mlp")), dataset(name), LOSS)

    assert checked.warnings == ()


def test_scikit_learns_digits_are_near_enough():
    data = table(load_digits)

    assert unscaled(dense(data), data) == []


def test_the_check_before_a_search_warns(wine):
    def build(hp, data):
        model = dense(data, after=[keras.layers.Softmax()])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    data = replace(
        wine, **{f"y_{s}": np.eye(3)[getattr(wine, f"y_{s}")] for s in ("train", "val", "test")}
    )
    (line,) = check_default(space(build), data, LOSS).warnings
    assert "columns 12 (mean " in line
