"""A search ends with scores, a baseline beside them, and a word where the model is no better."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.console.result import result_rows
from pipeline.engine.run import open_run
from pipeline.watch import Watcher
from tests.spaces.few import load

EARLIER = Path(__file__).parents[1] / "records" / "earlier_run"
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


class Warnings(Watcher):
    def __init__(self):
        self.told = []

    def warned(self, text):
        self.told.append(text)


def test_a_search_says_what_its_model_is_worth_and_what_the_simplest_are(search):
    x, y = load()
    warnings = Warnings()

    run = search(dataset=(x, NAMES[y]), trials=1, max_epochs=1, watchers=[warnings])

    scores, baseline = run.scores["test"], run.baseline
    assert list(scores) == ["accuracy", "balanced_accuracy", "f1_macro", "roc_auc"]
    assert scores["accuracy"].value == pytest.approx(run.summary["test"]["accuracy"])
    assert scores["accuracy"].low <= scores["accuracy"].value <= scores["accuracy"].high
    assert list(baseline.models) == ["majority class", "logistic regression"]
    assert (baseline.metric, baseline.split) == ("accuracy", "test")
    assert baseline.best_model == scores["accuracy"].value
    assert result_rows(run)["beaten"] == baseline.doubt() and warnings.told == []
    assert "logistic regression" in baseline.unbeaten
    confusion = pd.read_csv(run.layout.best_confusion)
    assert set(confusion["true"]) == set(NAMES)
    right = confusion[confusion.true == confusion.predicted]["count"].sum()
    assert right / confusion["count"].sum() == pytest.approx(scores["accuracy"].value)

    text = str(run)
    assert "test scores      accuracy 0" in text and "baseline         majority class 0.0" in text
    again = open_run(run.directory)
    assert (again.scores, str(again.baseline)) == (run.scores, str(baseline))
    assert run.faults() == []
    run.layout.best_confusion.write_text("true,predicted,count\n")
    assert "must hold the confusion matrix of the test split" in open_run(run.directory).faults()[0]


def test_a_run_of_an_earlier_version_has_neither(tmp_path):
    run = open_run(shutil.copytree(EARLIER, tmp_path / "run"))

    assert (run.scores, run.baseline) == ({}, None)
    assert "baseline" not in str(run)


@pytest.mark.slow
def test_folds_are_compared_by_a_score_of_the_task_with_weighted_classes(search):
    run = search(
        trials=1,
        max_epochs=2,
        folds=2,
        objective="val_balanced_accuracy",
        class_weight="balanced",
    )

    assert run.summary["check"]["result"] == "equal"
    assert run.summary["check"]["metric"] == "val_balanced_accuracy"
    assert run.baseline.metric == "balanced_accuracy"
    assert {name: list(of) for name, of in run.baseline.models.items()} == {
        "majority class": ["test"],
        "logistic regression": ["test"],
    }
    assert run.baseline.best_model == run.scores["test"]["balanced_accuracy"].value
    assert "val_balanced_accuracy" in run.history


LOGITS = """
import keras


def build(hp, data):
    model = keras.Sequential(
        [keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(data.classes)]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model
"""


@pytest.mark.slow
def test_a_model_whose_outputs_are_not_understood_ends_with_the_reason(search, tmp_path):
    space = tmp_path / "logits.py"
    space.write_text(LOGITS)

    run = search(search_space=str(space), trials=1, max_epochs=1)

    reason = "its outputs are no probabilities, and the loss sparse_categorical_crossentropy takes no logits"
    assert (run.scores, run.summary["no_scores"]) == ({}, reason)
    text = " ".join(str(run).split())
    assert f"test scores none: {reason} baseline majority class 0." in text
    assert (run.baseline.best_model, run.baseline.unbeaten) == (None, [])
