"""KerasTuner's `SklearnTuner`, on scikit-learn's iris."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, make_scorer
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from pipeline import keras_tuner as kt
from pipeline.errors import RequestError
from pipeline.keras_tuner import sklearn_tuner

X, Y = load_iris(return_X_y=True, as_frame=True)


def model_of(kind, trees):
    if kind == "forest":
        return RandomForestClassifier(trees, max_depth=2, random_state=0)
    return RidgeClassifier(1.0)


def build_model(hp):
    kind = hp.Choice("kind", ["forest", "ridge"])
    trees = hp.Int("trees", 3, 12, step=3) if kind == "forest" else 0
    return model_of(kind, trees)


def tuner(tmp_path, build=build_model, **settings):
    oracle = kt.oracles.GridSearchOracle(kt.Objective("score", "max"), max_trials=None)
    place = {"directory": str(tmp_path), "project_name": "iris", "max_concurrent": 1}
    return kt.SklearnTuner(oracle, build, **place | settings)


def trial(**values):
    hp = kt.HyperParameters()
    hp.values |= values
    return SimpleNamespace(trial_id="t0000", hyperparameters=hp)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A tuner whose trials are carried out in this process, in a folder."""
    monkeypatch.setattr(kt.SklearnTuner, "get_trial_dir", lambda self, trial_id: str(tmp_path))
    return tuner(tmp_path / "project")


def test_a_trial_has_the_mean_score_of_the_folds(here):
    scores = here.run_trial(trial(kind="forest", trees=3), X, Y)

    splitter = KFold(5, shuffle=True, random_state=1)
    by_hand = cross_val_score(model_of("forest", 3), X, Y, cv=splitter)
    assert scores == {"score": by_hand.mean()}


def test_a_scorer_a_splitter_weights_and_metrics_are_honoured(here):
    here.scoring, here.cv = make_scorer(balanced_accuracy_score), StratifiedKFold(3)
    here.metrics = [accuracy_score]
    weights = np.where(Y == 1, 5.0, 1.0)
    scores = here.run_trial(trial(kind="ridge"), X, Y, sample_weight=weights)

    assert set(scores) == {"score", "accuracy_score"}
    assert scores["accuracy_score"] != pytest.approx(scores["score"]), "one is weighted by class"
    assert scores != here.run_trial(trial(kind="ridge"), X, Y)


def test_the_saved_model_is_read_without_pickle(here, tmp_path):
    here.run_trial(trial(kind="forest", trees=3), X, Y)
    read = here.load_model(trial())

    assert [p.name for p in tmp_path.glob("*.*")] == ["model.skops"]
    assert type(read) is RandomForestClassifier and read.score(X, Y) > 0.9


def test_a_class_that_is_not_scikit_learns_is_read_once_it_is_trusted(here):
    here.save_model("t0000", make_pipeline(Own(), RidgeClassifier()))

    with pytest.raises(
        RequestError, match="scikit-learn's classes alone to be read; it holds"
    ) as no:
        here.load_model(trial())
    assert "Own" in str(no.value)
    here.trusted = [f"{Own.__module__}.Own"]
    assert type(here.load_model(trial())[0]) is Own


class Own(FunctionTransformer):
    """A step of a user's own."""


def test_a_model_that_is_gone_is_said_to_be_missing(here):
    with pytest.raises(RequestError, match="t0000 must have its model in .*; it is missing"):
        here.load_model(trial())


def test_without_skops_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(sklearn_tuner, "find_spec", lambda name: None)

    with pytest.raises(RequestError, match=r"needs skops, .*: pip install 'kerasweep\[sklearn\]'"):
        tuner(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_tries_every_model_and_hands_the_best_back(ray_cluster, tmp_path):
    tuned = tuner(tmp_path)
    tuned.search(X, Y)

    best = tuned.oracle.get_best_trials(1)[0]
    splitter = KFold(5, shuffle=True, random_state=1)
    expected = {
        (kind, trees): cross_val_score(model_of(kind, trees), X, Y, cv=splitter).mean()
        for kind, trees in [("ridge", None), *(("forest", trees) for trees in (3, 6, 9, 12))]
    }
    scores = {
        (t.hyperparameters.values["kind"], t.hyperparameters.values.get("trees")): t.score
        for t in tuned.oracle.trials.values()
    }
    assert scores == pytest.approx(expected)
    assert best.score == pytest.approx(max(expected.values()))
    assert tuned.get_best_models(1)[0].score(X, Y) > 0.9
