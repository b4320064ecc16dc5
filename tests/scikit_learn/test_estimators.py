"""The estimators that a search hands back, trained for an epoch in this process."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier

from pipeline.errors import EstimatorError
from pipeline.scikit_learn.estimators import KerasClassifier, KerasRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = np.array(["ham", "jam", "spam"])[np.digitize(X[:, 0], [-0.5, 0.5])]
LOSSES = {
    "sparse_categorical_crossentropy": "softmax",
    "categorical_crossentropy": "softmax",
    "mse": "softmax",
}


def classifier(loss="sparse_categorical_crossentropy", activation="softmax", units=3):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation=activation)])
    model.compile(keras.optimizers.Adam(0.3), loss, run_eagerly=True)
    return model


def regressor(units=1):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.Adam(0.3), "mse", run_eagerly=True)
    return model


def by_hp(hp):
    return classifier(hp.Choice("loss", list(LOSSES)), units=hp.Int("units", 3, 9))


def forest():
    return DummyClassifier()


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_are_as_the_loss_takes_them_and_come_back_as_they_were(loss):
    fitted = KerasClassifier(classifier, {"loss": loss, "batch_size": 30}, epochs=15).fit(X, LABELS)

    assert fitted.classes_.tolist() == ["ham", "jam", "spam"]
    assert fitted.predict_proba(X).sum(axis=1) == pytest.approx(1)
    assert fitted.score(X, LABELS) == np.mean(fitted.predict(X) == LABELS) > 0.75
    assert len(fitted.history_["loss"]) == 15


def test_one_unit_is_the_likelihood_of_the_second_class():
    y = X[:, 1] > 0
    chosen = {"loss": "binary_crossentropy", "activation": "sigmoid", "units": 1, "batch_size": 30}
    fitted = KerasClassifier(classifier, chosen, epochs=15).fit(X, y)

    likelihood = fitted.model_.predict(X, verbose=0)[:, 0]
    np.testing.assert_allclose(fitted.predict_proba(X)[:, 1], likelihood, atol=1e-6)
    assert fitted.predict(X).dtype == bool and fitted.score(X, y) > 0.75


def test_it_is_cloned_and_pickled():
    fitted = KerasClassifier(classifier, epochs=2).fit(X, LABELS)
    again = pickle.loads(pickle.dumps(fitted))

    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    with pytest.raises(Exception, match="not fitted yet"):
        clone(fitted).predict(X)
    np.testing.assert_array_equal(
        clone(fitted).fit(X, LABELS).predict_proba(X), fitted.predict_proba(X)
    )


def test_a_regression_of_one_and_of_several_targets():
    one = KerasRegressor(regressor, {"batch_size": 30}, epochs=15).fit(X, X @ [1.0, 2.0, 0.0, 0.0])
    two = KerasRegressor(regressor, {"units": 2}, epochs=1).fit(X, X[:, :2])

    assert one.predict(X).shape == (60,) and one.score(X, X @ [1.0, 2.0, 0.0, 0.0]) > 0.5
    assert two.predict(X).shape == (60, 2)


def test_a_build_of_hp_is_answered_with_the_parameters():
    fitted = KerasClassifier(by_hp, {"loss": "mse", "units": 3}).fit(X, LABELS)

    assert fitted.model_.loss == "mse"


def test_a_seed_leaves_the_random_numbers_of_the_caller_alone():
    np.random.seed(5)
    expected = np.random.RandomState(5).random()
    KerasClassifier(classifier, random_state=1).fit(X, LABELS)

    assert np.random.random() == expected


def test_a_frame_is_known_by_its_columns():
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = KerasClassifier(classifier).fit(frame, LABELS)

    assert fitted.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame.rename(columns={"a": "z"}))


@pytest.mark.parametrize(
    ("x", "y", "build", "said"),
    [
        (
            pd.DataFrame({"a": [1.0, 2], "city": ["Ulm", "Bonn"]}),
            [0, 1],
            classifier,
            "Columns must hold numbers; 'city' holds str. A Pipeline with a ColumnTransformer",
        ),
        (X, ["one"] * 60, classifier, "y must have labels of 2 classes or more"),
        (X, X[:, 0], classifier, "Unknown label type: continuous"),
        (X, np.eye(60, dtype=int), classifier, "y should be a 1d array"),
        (X, LABELS, forest, "build of a KerasClassifier must return a compiled Keras model"),
        (X, LABELS, 7, "build must be a function of hp or of keyword arguments"),
    ],
)
def test_what_cannot_be_is_a_value_error_of_one_line(x, y, build, said):
    with pytest.raises(ValueError, match=said) as refused:
        KerasClassifier(build).fit(x, y)
    if isinstance(refused.value, EstimatorError):
        assert "\n" not in str(refused.value)


def test_outputs_that_say_nothing_of_classes_are_refused():
    chosen = {"loss": "hinge", "activation": "tanh", "units": 1}
    fitted = KerasClassifier(classifier, chosen).fit(X, X[:, 0] > 0)

    with pytest.raises(EstimatorError, match="known what the model's outputs say; the loss hinge"):
        fitted.predict(X)


def test_a_callback_that_it_was_given_stays_as_it_is():
    class Counting(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    counting = Counting()
    KerasClassifier(classifier, fitting={"callbacks": [counting]}).fit(X, LABELS)

    assert counting.epochs == 0
