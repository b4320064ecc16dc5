"""A search ends with scores, a baseline beside them, and a word where the model is no better."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
    assert baseline.doubt() in warnings.told and "logistic regression" in baseline.unbeaten
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
