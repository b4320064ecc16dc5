"""The best model's scores follow from what its outputs say, and are left out where that is not
known."""

import io
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from pipeline.data.fit_data import FitData
from pipeline.worker.scoring import task_scores as module
from pipeline.worker.scoring.task_scores import task_scores
from tests.worker.stage import dataset, one_hot

CATEGORICAL = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def digits():
    return dataset("digits", 80)


@pytest.fixture(scope="module")
def binary():
    return dataset("breast_cancer", 80)


@pytest.fixture(scope="module")
def numbers():
    return dataset("diabetes", 80)


def model(data, units, activation, loss, scale=1.0):
    keras.utils.set_random_seed(1)
    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    start = keras.initializers.RandomNormal(stddev=scale)
    made = keras.Sequential(
        [*layers, keras.layers.Dense(units, activation, kernel_initializer=start)]
    )
    made.compile("sgd", loss, run_eagerly=True)
    return made


def scores(made, data, **more):
    return task_scores(made, data, 32, 0, **more)


def accuracy(found):
    return found.scores["test"]["accuracy"]["value"]


SOFTMAX = [
    ("softmax", CATEGORICAL),
    (None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ("softmax", keras.losses.SparseCategoricalCrossentropy()),
    ("softmax", keras.losses.sparse_categorical_crossentropy),
    ("softmax", "mean_squared_error"),  # it sums to 1
]


@pytest.mark.parametrize(("activation", "loss"), SOFTMAX)
def test_probabilities_and_logits_of_classes_are_told_apart(digits, activation, loss):
    made = model(digits, 10, activation, loss)
    found = scores(made, digits).scores["test"]

    outputs = made.predict(digits.x_test, verbose=0)
    assert accuracy(scores(made, digits)) == (outputs.argmax(1) == digits.y_test).mean()
    likelihood = outputs if activation else keras.ops.softmax(outputs.astype("float64"))
    expected = metrics.roc_auc_score(digits.y_test, np.array(likelihood), multi_class="ovr")
    assert found["roc_auc"]["value"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("sigmoid", "binary_crossentropy"),
        (None, keras.losses.BinaryCrossentropy(from_logits=True)),
        ("sigmoid", keras.losses.BinaryFocalCrossentropy()),
    ],
)
def test_one_unit_is_the_second_class(binary, activation, loss):
    made = model(binary, 1, activation, loss)
    found = scores(made, binary).scores["test"]

    outputs = made.predict(binary.x_test, verbose=0)[:, 0]
    expected = {
        "accuracy": ((outputs > (0.5 if activation else 0)) == binary.y_test).mean(),
        "roc_auc": metrics.roc_auc_score(binary.y_test, outputs),
    }
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected)
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]


def test_one_hot_labels_score_as_their_numbers(digits):
    made = model(digits, 10, "softmax", "categorical_crossentropy")

    assert scores(made, one_hot(digits)) == scores(made, digits)


def test_values_are_in_the_units_of_the_dataset(numbers):
    made = model(numbers, 1, None, "mse")
    found = scores(made, numbers)

    predicted = made.predict(numbers.x_test, verbose=0)[:, 0]
    mean = metrics.mean_absolute_error(numbers.y_test, predicted)
    assert found.scores["test"]["mae"]["value"] == pytest.approx(mean)
    table = pd.read_csv(io.StringIO(found.residuals))
    assert list(table) == ["example", "true", "predicted"]
    assert table.true.to_numpy() == pytest.approx(numbers.y_test)
    assert abs(table.true - table.predicted).mean() == pytest.approx(mean)


def test_of_many_examples_some_residuals_are_kept(numbers, monkeypatch):
    monkeypatch.setattr(module, "MOST_RESIDUALS", 10)
    made = model(numbers, 1, None, "mse")

    table = pd.read_csv(io.StringIO(scores(made, numbers).residuals))

    assert len(table) == 10
    assert table.true.to_numpy() == pytest.approx(numbers.y_test[table.example])


def test_several_targets_have_a_column_each(numbers):
    twice = {
        f"y_{s}": np.stack([getattr(numbers, f"y_{s}")] * 2, 1) for s in ("train", "val", "test")
    }
    made = model(numbers, 2, None, "mse")

    table = pd.read_csv(io.StringIO(scores(made, replace(numbers, **twice)).residuals))

    assert list(table) == ["example", "true_0", "predicted_0", "true_1", "predicted_1"]


def test_the_confusion_matrix_names_the_classes(digits):
    made = model(digits, 10, "softmax", CATEGORICAL)
    names = tuple(["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    table = pd.read_csv(io.StringIO(scores(made, replace(digits, class_names=names)).confusion))

    square = table.pivot(index="true", columns="predicted", values="count").fillna(0)
    square = square.loc[list(names), list(names)].to_numpy()
    predicted = made.predict(digits.x_test, verbose=0).argmax(1)
    assert (square == metrics.confusion_matrix(digits.y_test, predicted)).all()


def own_loss(y, outputs):
    return keras.ops.mean(keras.ops.square(outputs), axis=-1)


def two_outputs(data):
    inputs = keras.Input(data.shape)
    flat = keras.layers.Flatten()(inputs)
    made = keras.Model(inputs, [keras.layers.Dense(10, "softmax")(flat) for _ in range(2)])
    made.compile("sgd", [CATEGORICAL, CATEGORICAL])
    return made


@pytest.mark.parametrize(
    ("name", "made", "reason"),
    [
        ("digits", two_outputs, "the model has 2 outputs"),
        (
            "digits",
            lambda data: model(data, 4, "softmax", own_loss),
            "its output must be of 10 units; it is of shape (4,)",
        ),
        (
            "breast_cancer",
            lambda data: model(data, 3, "softmax", own_loss),
            "its output must be of 1 or 2 units; it is of shape (3,)",
        ),
        (
            "digits",
            lambda data: model(data, 10, None, CATEGORICAL),
            "its outputs are no probabilities, and the loss sparse_categorical_crossentropy takes "
            "no logits",
        ),
        (
            "digits",
            lambda data: model(data, 10, None, own_loss),
            "its outputs are no probabilities, and the loss own_loss takes no logits",
        ),
        (
            "breast_cancer",
            lambda data: model(data, 1, "tanh", "hinge"),
            "the loss hinge does not say what one unit stands for",
        ),
        (
            "breast_cancer",
            lambda data: model(data, 1, None, "binary_crossentropy"),
            "the loss binary_crossentropy takes probabilities, and its outputs are none",
        ),
        (
            "diabetes",
            lambda data: model(data, 2, None, "mse"),
            "its output must be a number an example; it is of shape (2,)",
        ),
        (
            "diabetes",
            lambda data: model(data, 1, None, "mse", scale=np.inf),
            "its predictions are not finite",
        ),
    ],
)
def test_outputs_that_are_not_understood_are_not_scored(name, made, reason):
    data = dataset(name)
    found = scores(made(data), data)

    assert (found.scores, found.no_scores) == ({}, reason)
    assert found.confusion is found.residuals is None


def test_what_only_its_fit_can_feed_is_not_scored(digits):
    found = scores(None, digits, unfed="only its `fit` can feed it")

    assert found.no_scores == "only its `fit` can feed it"


def test_data_without_a_test_split_are_not_scored(digits):
    found = scores(None, FitData.of("mine", digits.x_train, digits.y_train))

    assert found.no_scores == "there is no test split"


def test_a_model_that_only_evaluates_is_not_scored(digits):
    class Own(keras.Sequential):
        def predict_step(self, data):
            raise ValueError("it gives nothing")

    made = Own([keras.Input(digits.shape), keras.layers.Flatten(), keras.layers.Dense(10)])
    made.compile("sgd", CATEGORICAL, run_eagerly=True)

    found = scores(made, digits)

    assert found.no_scores.startswith("its predict raised ValueError: ")
