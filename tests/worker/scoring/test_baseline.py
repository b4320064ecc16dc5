"""What the simplest models score, held against scikit-learn's."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from pipeline.data.dataset import SPLITS
from pipeline.objective import Objective
from pipeline.records.outputs.scores import Baseline
from pipeline.worker.scoring import baseline as module
from pipeline.worker.scoring.baseline import baseline
from pipeline.worker.scoring.linear import logistic, ridge
from tests.worker.stage import dataset, one_hot


def rows(data):
    """Flattened and standardised inputs of the training and the test split."""
    train, test = (x.reshape(len(x), -1) for x in (data.x_train, data.x_test))
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_the_classifiers_are_scikit_learns(name):
    data = dataset(name, 400)
    train, test = rows(data)
    theirs = LogisticRegression(max_iter=5000, tol=1e-8).fit(train, data.y_train)
    ours = logistic(train, data.y_train, data.classes)

    assert ours(test) == pytest.approx(theirs.predict_proba(test), abs=1e-3)
    found, left_out = baseline(data)
    assert not left_out
    assert found["logistic regression"]["test"]["accuracy"] == theirs.score(test, data.y_test)
    most = DummyClassifier().fit(train, data.y_train).score(test, data.y_test)
    assert found["majority class"]["test"]["accuracy"] == most
    assert found["majority class"]["test"]["roc_auc"] == 0.5


def test_the_regressions_are_scikit_learns():
    data = dataset("diabetes", 400)
    train, test = rows(data)
    theirs = Ridge().fit(train, data.y_train)

    given = train.astype(np.float64), data.y_train[:, None].astype(np.float64)
    assert ridge(*given)(test)[:, 0] == pytest.approx(theirs.predict(test), abs=1e-5)
    found, _ = baseline(data)
    assert found["ridge regression"]["test"]["r2"] == pytest.approx(
        theirs.score(test, data.y_test), abs=1e-4
    )
    median = DummyRegressor(strategy="median").fit(train, data.y_train).predict(test)
    assert found["median"]["test"]["mae"] == pytest.approx(abs(median - data.y_test).mean())


def test_several_targets_and_one_hot_labels_have_a_baseline():
    numbers = dataset("diabetes", 100)
    targets = {f"y_{s}": np.stack([getattr(numbers, f"y_{s}")] * 2, 1) for s in SPLITS}
    digits = dataset("digits", 100)

    twice, once = (
        baseline(data)[0]["median"]["test"] for data in (replace(numbers, **targets), numbers)
    )
    assert twice == pytest.approx(once)
    assert baseline(one_hot(digits)) == baseline(digits)


def test_what_takes_too_long_is_left_out_and_says_so(monkeypatch):
    data = dataset("digits")
    monkeypatch.setattr(module, "MOST_WORK", 1e5)

    found, left_out = baseline(data)

    assert list(found) == ["majority class"]
    assert left_out == "no logistic regression: 60 examples of 64 features take too long"


def test_of_a_large_dataset_it_learns_from_some_examples_and_says_so(monkeypatch):
    data = dataset("digits", 400)
    numbers = 64 * data.classes * module.FEWEST_PASSES
    monkeypatch.setattr(module, "MOST_WORK", 150 * numbers)
    monkeypatch.setattr(module, "FEWEST_EXAMPLES", 100)

    found, left_out = baseline(data)

    assert not left_out and list(found) == ["majority class", "logistic regression on 150 examples"]
    assert found["logistic regression on 150 examples"]["test"]["accuracy"] > 0.7
    monkeypatch.setattr(module, "FEWEST_EXAMPLES", 200)
    assert "400 examples of 64 features take too long" in baseline(data)[1]


def test_wide_inputs_have_no_ridge_regression(monkeypatch):
    monkeypatch.setattr(module, "MOST_FEATURES", 5)

    found, left_out = baseline(dataset("diabetes"))

    assert list(found) == ["median"]
    assert left_out == "no ridge regression: 10 features take too long"


def test_a_linear_model_that_fails_is_left_out(monkeypatch):
    def failed(x, y):
        return lambda given: np.full((len(given), y.shape[1]), np.nan)

    monkeypatch.setattr(module, "ridge", failed)

    found, left_out = baseline(dataset("diabetes"))

    assert list(found) == ["median"]
    assert left_out == "no ridge regression: its predictions are not finite"


def test_one_class_alone_in_training_has_no_logistic_regression():
    data = dataset("digits")
    data = replace(data, y_train=np.zeros_like(data.y_train))

    _, left_out = baseline(data)

    assert left_out == "no logistic regression: all training examples are of one class"


def test_holes_and_constant_columns_raise_no_warning():
    data = dataset("breast_cancer", 100)
    inputs = data.x_train.copy()
    inputs[:, 0], inputs[:5, 1] = 3, 7
    data = replace(data, x_train=inputs)
    data.x_train[:, 2], data.x_train[:3, 3] = np.nan, np.nan

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = baseline(data)

    assert found["logistic regression"]["test"]["accuracy"] > 0.8


def test_few_passes_through_the_data_are_enough_to_learn():
    data = dataset("digits", 400)
    train, test = rows(data)

    few = logistic(train, data.y_train, data.classes, passes=module.FEWEST_PASSES)

    assert (few(test).argmax(1) == data.y_test).mean() > 0.9


MODELS = {
    "majority class": {"validation": {"accuracy": 0.5, "f1_macro": 0.3}, "test": {"accuracy": 0.6}},
    "logistic regression": {"validation": {"accuracy": 0.9}, "test": {"accuracy": 0.8}},
}
LOSS = Objective("val_loss", "min")


@pytest.mark.parametrize(
    ("value", "unbeaten", "doubt"),
    [
        (0.9, (), ""),
        (
            0.8,
            ("logistic regression",),
            "The best model does not beat the logistic regression (0.8): its accuracy on the test "
            "split is 0.8.",
        ),
        (
            0.55,
            ("majority class", "logistic regression"),
            "The best model does not beat the majority class (0.6) and the logistic regression "
            "(0.8): its accuracy on the test split is 0.55.",
        ),
    ],
)
def test_a_best_model_that_is_no_better_is_called_so(value, unbeaten, doubt):
    found = Baseline.of(MODELS, "", LOSS, {"test": {"accuracy": {"value": value}}})

    assert (found.unbeaten, found.doubt()) == (unbeaten, doubt)
    assert str(found) == "majority class 0.6, logistic regression 0.8 accuracy (test)"
    assert str(Baseline(**found.plain())) == str(found)


def test_without_a_score_of_the_model_nothing_is_compared():
    found = Baseline.of({"majority class": MODELS["majority class"]}, "no more", LOSS, {})

    assert (found.best_model, found.doubt()) == (None, "")
    assert str(found) == "majority class 0.6 accuracy (test); no more"


def test_a_regression_is_better_where_its_error_is_smaller():
    models = {"median": {"test": {"rmse": 2.0, "mae": 1.0, "r2": 0.0}}}

    def beaten(objective, **scores):
        best = {"test": {name: {"value": value} for name, value in scores.items()}}
        return not Baseline.of(models, "", Objective.parse(objective), best).unbeaten

    assert beaten("val_loss", rmse=1.0)
    assert not beaten("val_loss", rmse=3.0)
    assert beaten("val_r2", r2=0.1)
    assert not beaten("val_mae", mae=1.5)


def test_with_folds_it_is_trained_on_all_examples_and_scored_on_the_test_split_alone():
    data = dataset("digits", 100)
    pools = {
        f"{a}_train": np.concatenate([getattr(data, f"{a}_{s}") for s in ("train", "val")])
        for a in "xy"
    }

    found, _ = baseline(data.with_folds(2, 0))

    assert {name: list(scores) for name, scores in found.items()} == {
        "majority class": ["test"],
        "logistic regression": ["test"],
    }
    whole, _ = baseline(replace(data, **pools))
    assert found["logistic regression"]["test"] == whole["logistic regression"]["test"]


def test_with_folds_the_test_split_is_scaled_as_what_is_trained_on():
    data = dataset("diabetes", 60)

    found, _ = baseline(data.with_folds(2, 0))

    whole = data.whole()
    x, test = rows(whole)
    predicted = Ridge(1.0).fit(x, whole.y_train).predict(test)
    error = np.abs(predicted - whole.y_test).mean()
    assert found["ridge regression"]["test"]["mae"] == pytest.approx(error, rel=1e-4)
    assert not np.allclose(whole.y_test, data.y_test)
