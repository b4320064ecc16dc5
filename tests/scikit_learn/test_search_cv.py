"""`KerasweepSearchCV` as scikit-learn's users meet it."""

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import (
    check_dict_unchanged,
    check_estimator,
    check_estimators_pickle,
)

from pipeline import KerasweepSearchCV
from pipeline.errors import EstimatorError
from pipeline.scikit_learn import search_cv
from pipeline.scikit_learn.results import Candidate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = np.where(X[:, 0] > 0, "yes", "no")


def small(hp, data):
    keras.utils.set_random_seed(1)
    units = 1 if data.task == "regression" else data.classes
    model = keras.Sequential(
        [
            keras.Input(data.shape),
            keras.layers.Dense(units, activation=None if units == 1 else "softmax"),
        ]
    )
    loss = "mse" if units == 1 else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.3), loss, run_eagerly=True)
    return model


def by_keywords(units=8, batch_size=16):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy", run_eagerly=True)
    return model


def forest(n_estimators=5):
    return RandomForestClassifier(n_estimators, random_state=0)


def quick(build=small, *args, **settings):
    return KerasweepSearchCV(build, *args, **{"n_iter": 1, "max_epochs": 2, "cv": 2} | settings)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_scikit_learns_checks_of_an_estimator_pass(in_this_process):
    search = quick(max_epochs=1, scheduler="none")

    check_estimator(
        search,
        on_skip=None,
        expected_failed_checks={
            "check_classifiers_regression_target": "real numbers are searched as a regression, "
            "unless task='classification' says otherwise"
        },
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", [check_dict_unchanged, check_estimators_pickle])
def test_some_of_them_pass_on_ray_too(check, ray_cluster):
    check("KerasweepSearchCV", quick(max_epochs=1, scheduler="none"))


@pytest.mark.slow
def test_it_works_in_a_pipeline_with_columns_of_text_under_cross_validation(in_this_process):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(town=np.where(X[:, 1] > 0, "Ulm", "Bonn"))
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["town"]), remainder=StandardScaler()
    )
    whole = make_pipeline(columns, quick(max_epochs=3))

    scores = cross_val_score(whole, frame, Y, cv=2)
    fitted = whole.fit(frame, Y)

    assert scores.shape == (2,) and scores.min() > 0.6
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert set(fitted.predict(frame)) == {"no", "yes"}
    assert fitted.predict_proba(frame).shape == (60, 2)


def test_scores_are_of_the_last_epoch_on_the_splitters_own_parts(in_this_process):
    splitter = KFold(3, shuffle=True, random_state=4)
    search = quick(cv=splitter, scoring="f1_macro", scheduler="none", max_epochs=3).fit(X, Y)

    assert search.n_splits_ == 3 and search.refit_epochs_ == 3
    columns = [f"split{fold}_val_score" for fold in range(3)]
    last = search.history_.iloc[-1][columns].to_numpy(float)
    assert [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)] == last.tolist()
    assert search.best_score_ == pytest.approx(last.mean())
    assert search.score(X, Y) > 0.5


def test_one_split_is_enough_and_the_best_epoch_can_count(in_this_process):
    split = ShuffleSplit(1, test_size=0.3, random_state=1)
    search = quick(cv=split, use_best_epoch=True, max_epochs=4).fit(X, Y)

    assert search.n_splits_ == 1
    assert search.best_score_ == search.history_.val_score.max()
    assert search.refit_epochs_ == search.history_.val_score.idxmax() + 1


def test_a_regression_is_scored_by_r2_in_the_targets_unit(in_this_process):
    y = 1000 + 100 * X[:, 0]
    search = quick(cv=2).fit(X, y)

    assert is_regressor(search) and not hasattr(search, "predict_proba")
    assert search.best_score_ < 0, "two epochs come nowhere near"
    assert search.predict(X).shape == (60,)


def test_a_scikit_learn_estimator_is_cross_validated_as_a_trial(in_this_process):
    search = quick(forest, {"n_estimators": [7]}, cv=3, scoring="roc_auc").fit(X, Y)
    by_hand = cross_val_score(forest(7), X, Y, cv=3, scoring="roc_auc")

    assert [search.cv_results_[f"split{k}_test_score"][0] for k in range(3)] == by_hand.tolist()
    assert search.best_params_ == {"n_estimators": 7}
    assert type(search.best_estimator_) is RandomForestClassifier
    assert search.predict(X).tolist() == forest(7).fit(X, Y).predict(X).tolist()


def test_epochs_and_batch_size_among_the_parameters_are_for_fit(in_this_process):
    search = quick(by_keywords, {"epochs": [3], "batch_size": [30]}, max_epochs=None).fit(X, Y)

    assert search.cv_results_["epochs"].tolist() == [3]
    assert search.best_params_ == {"batch_size": 30, "epochs": 3}
    assert search.best_estimator_.model_.optimizer.iterations == 3 * 2


@pytest.mark.slow
def test_a_search_space_of_ours_is_named(in_this_process):
    search = quick("mlp", max_epochs=1).fit(X, Y)

    assert search.best_params_["num_layers"] == 2
    assert search.best_estimator_.model_.layers[1].units == 256
    assert search.predict(X).shape == (60,)


def test_it_is_cloned_and_pickled(in_this_process):
    search = quick().fit(X, Y)
    again = pickle.loads(pickle.dumps(search))

    assert again.predict(X).tolist() == search.predict(X).tolist()
    assert clone(search).get_params() == search.get_params()
    assert not hasattr(clone(search), "cv_results_")


@pytest.fixture
def found(monkeypatch):
    """Two candidates that were found, the second better."""
    candidates = [Candidate({}, [score] * 2, 1, 1.0, stopped=False) for score in (0.5, 0.6)]
    monkeypatch.setattr(search_cv, "searched", lambda *_: (candidates, pd.DataFrame()))


def test_without_a_refit_there_is_nothing_to_predict_with(found):
    search = quick(refit=False).fit(X, Y)

    assert search.best_index_ == 1 and search.best_score_ == 0.6
    assert not hasattr(search, "predict") and not hasattr(search, "best_estimator_")


def test_refit_may_choose(found):
    search = quick(refit=lambda results: int(results["mean_test_score"].argmin())).fit(X, Y)

    assert search.best_index_ == 0 and not hasattr(search, "best_score_")
    with pytest.raises(EstimatorError, match="place of a candidate, from 0 to 1; it returned 2."):
        quick(refit=lambda results: 2).fit(X, Y)


def test_labels_that_are_several_an_example_are_refused():
    with pytest.raises(EstimatorError, match=r"one label an example, \(n,\); got \(60, 3\)."):
        quick().fit(X, np.ones((60, 3), int))


def test_what_it_is_for_is_known_before_it_is_fitted():
    assert is_classifier(quick()) and is_regressor(quick(task="regression"))


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (
            quick(small, {"units": [1]}),
            "param_distributions must be None where build says by itself",
        ),
        (
            quick(by_keywords, {"unit": [1]}),
            "Unknown parameter of by_keywords 'unit'. Known: batch_size, epochs, units. Did you mean 'units'?",
        ),
        (quick(scoring=["accuracy"]), "scoring must be the name of one score"),
        (quick(resume=True), "resume needs a storage where the records are kept; got None."),
        (quick(resume=True, storage="runs"), "resume needs the name of the run in storage"),
        (quick(task="ranking"), "task must be classification, regression or None; got 'ranking'."),
        (quick(cv=StratifiedKFold(40)), "n_splits=40 cannot be greater than"),
    ],
)
def test_what_cannot_be_is_a_value_error_before_anything_is_started(search, said):
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        search.fit(X, Y)
