"""The tutorial's double loop: each number of a search is that of scikit-learn and Keras by hand."""

import itertools

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from pipeline import KerasweepSearchCV
from tests.scikit_learn.models import create_model

GRID = {"learning_rate": [0.1, 0.01], "dropout_rate": [0.5]}
EPOCHS, FOLDS, BATCH = 2, 5, 64
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


@pytest.fixture(scope="module")
def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def trained(parameters, train, held_out):
    model = create_model(**parameters)
    fitted = model.fit(*train, validation_data=held_out, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    found = model.predict(held_out[0], verbose=0)[:, 0] > 0.5
    return np.array([fitted.history[name] for name in METRICS]), np.mean(found == held_out[1])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_grid_of_learning_rate_and_dropout_in_five_folds_is_the_double_loop(ray_cluster, cancer):
    x, y = cancer
    search = KerasweepSearchCV(
        create_model,
        GRID,
        max_epochs=EPOCHS,
        cv=FOLDS,
        scheduler="none",
        fit_params={"batch_size": BATCH},
        max_concurrent=1,  # one process that imports Keras
    ).fit(x, y)
    results = search.cv_results_

    loop = itertools.product(sorted(GRID["dropout_rate"]), GRID["learning_rate"])
    assert results["params"] == [{"dropout_rate": d, "learning_rate": r} for d, r in loop]
    for place in (0, 1):
        of_folds, scores = [], []
        for train, test in StratifiedKFold(FOLDS).split(x, y):
            curves, score = trained(
                results["params"][place], (x[train], y[train]), (x[test], y[test])
            )
            of_folds.append(curves)
            scores.append(score)
        splits = [results[f"split{fold}_test_score"][place] for fold in range(FOLDS)]
        np.testing.assert_allclose(splits, scores, atol=1e-9)
        assert results["mean_test_score"][place] == pytest.approx(np.mean(scores))
        epochs = search.history_[search.history_.trial == f"t{place:04d}"]
        np.testing.assert_allclose(
            epochs[list(METRICS)].to_numpy().T, np.mean(of_folds, axis=0), atol=1e-6
        )

    assert search.best_score_ == results["mean_test_score"].max()
    assert search.best_params_ == results["params"][results["mean_test_score"].argmax()]
    assert search.refit_epochs_ == EPOCHS and search.n_splits_ == FOLDS
    by_hand = create_model(**search.best_params_)
    by_hand.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    np.testing.assert_allclose(
        search.predict_proba(x)[:, 1], by_hand.predict(x, verbose=0)[:, 0], atol=1e-6
    )
    assert search.score(x, y) == np.mean(search.predict(x) == y) > 0.9
