"""Scores and intervals, held against scikit-learn's."""

import time
import warnings

import numpy as np
import pytest
from sklearn import metrics

from pipeline.records.outputs.scores import TASK_SCORES
from pipeline.worker.scoring import bootstrap
from pipeline.worker.scoring.bootstrap import scored
from pipeline.worker.scoring.class_scores import ClassScores
from pipeline.worker.scoring.number_scores import NumberScores


def classification(n, classes, digits=2, seed=0):
    """Labels and probabilities, many of them alike: two decimals before they are scaled."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    likelihood = rng.random((n, classes)).round(digits) + 0.3 * np.eye(classes)[labels]
    for _ in range(3):  # scikit-learn wants a sum of 1, and may divide by it once more
        likelihood /= likelihood.sum(axis=1, keepdims=True)
    return labels, likelihood


def of_scikit_learn(true, chances):
    predicted, classes = chances.argmax(1), chances.shape[1]
    ranked = chances[:, 1] if classes == 2 else chances
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that no example is of
        return {
            "accuracy": metrics.accuracy_score(true, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(true, predicted),
            "f1_macro": metrics.f1_score(true, predicted, average="macro"),
            "roc_auc": metrics.roc_auc_score(true, ranked, multi_class="ovr"),
        }


def of_numbers(true, predicted):
    return {
        "mae": metrics.mean_absolute_error(true, predicted),
        "rmse": metrics.root_mean_squared_error(true, predicted),
        "r2": metrics.r2_score(true, predicted),
    }


def values(scores):
    return {name: score.value for name, score in scored(scores, 0).items()}


@pytest.mark.parametrize(("n", "classes"), [(50, 2), (200, 3), (400, 12)])
def test_the_scores_of_classes_are_scikit_learns(n, classes):
    true, chances = classification(n, classes)

    assert values(ClassScores(true, chances)) == pytest.approx(
        of_scikit_learn(true, chances), rel=1e-14
    )


def test_a_class_that_is_missing_counts_as_scikit_learn_counts_it():
    true, chances = classification(60, 4)
    chances, true = chances[true != 2], true[true != 2]
    found = scored(ClassScores(true, chances), 0)

    assert found["roc_auc"].value is None
    assert found["roc_auc"].reason == "no example is of class 2"
    named = ClassScores(true, chances, ("a", "b", "c d"))
    assert scored(named, 0)["roc_auc"].reason == "no example is of class 'c d'"
    predicted = chances.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found["balanced_accuracy"].value == pytest.approx(
            metrics.balanced_accuracy_score(true, predicted), rel=1e-14
        )
    assert found["f1_macro"].value == pytest.approx(
        metrics.f1_score(true, predicted, average="macro"), rel=1e-14
    )


@pytest.mark.parametrize("shape", [(80,), (80, 1), (80, 3)])
def test_the_scores_of_numbers_are_scikit_learns(shape):
    rng = np.random.default_rng(0)
    true = rng.normal(size=shape) + 1000
    predicted = true + rng.normal(size=shape)

    assert values(NumberScores(true, predicted)) == pytest.approx(
        of_numbers(true, predicted), rel=1e-11
    )


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_a_constant_target_has_scikit_learns_r2(off):
    true = np.full(20, 0.25)

    assert values(NumberScores(true, true + off))["r2"] == metrics.r2_score(true, true + off)


def test_one_example_has_no_r2():
    found = scored(NumberScores(np.array([1.0]), np.array([2.0])), 0)

    assert (found["r2"].value, found["r2"].reason) == (None, "it needs two examples")
    assert found["mae"].value == 1


def test_the_intervals_are_percentiles_of_the_scores_on_resamples():
    true, chances = classification(90, 3)
    found = scored(ClassScores(true, chances), 5)

    resamples = np.random.default_rng(5).integers(90, size=(bootstrap.RESAMPLES, 90))
    for name, score in (
        ("accuracy", lambda t, c: metrics.accuracy_score(t, c.argmax(1))),
        ("f1_macro", lambda t, c: metrics.f1_score(t, c.argmax(1), average="macro")),
        ("roc_auc", lambda t, c: metrics.roc_auc_score(t, c, multi_class="ovr")),
    ):
        drawn = bootstrap._drawn(ClassScores(true, chances), [name], bootstrap.RESAMPLES, 5)[name]
        theirs = [score(true[rows], chances[rows]) for rows in resamples[:50]]
        assert drawn[:50] == pytest.approx(theirs, rel=1e-12)
        assert (found[name].low, found[name].high) == tuple(np.percentile(drawn, (2.5, 97.5)))


def test_an_interval_is_as_wide_as_theory_says():
    true, chances = classification(2000, 2)
    score = scored(ClassScores(true, chances), 0)["accuracy"]

    half = 1.96 * (score.value * (1 - score.value) / 2000) ** 0.5
    assert score.high - score.value == pytest.approx(half, rel=0.15)
    assert score.value - score.low == pytest.approx(half, rel=0.15)


def test_a_seed_gives_the_same_intervals():
    scores = ClassScores(*classification(60, 3))

    assert scored(scores, 1) == scored(scores, 1) != scored(scores, 2)


def test_ten_thousand_examples_take_less_than_two_seconds():
    scores = ClassScores(*classification(10_000, 10))
    began = time.process_time()
    scored(scores, 0)

    assert time.process_time() - began < 2


def test_what_takes_too_long_to_rank_has_no_interval(monkeypatch):
    monkeypatch.setattr(bootstrap, "MOST_WORK", 30_000)
    found = scored(ClassScores(*classification(200, 12)), 0)

    assert found["roc_auc"].value is not None
    assert found["roc_auc"].low is None
    assert found["roc_auc"].reason == "no interval: there are too many examples and classes"
    assert found["accuracy"].low < found["accuracy"].value < found["accuracy"].high


def test_each_task_has_the_scores_that_are_named():
    assert set(TASK_SCORES["classification"]) == set(ClassScores.names)
    assert set(TASK_SCORES["regression"]) == set(NumberScores.names)
