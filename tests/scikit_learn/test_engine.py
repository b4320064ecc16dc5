"""A search on Ray: stopped early, of a space with conditions, gone on with."""

import numpy as np
import pytest
from scipy.stats import loguniform

from pipeline import KerasweepSearchCV, open_run
from tests.scikit_learn.models import eager_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = np.where(X[:, 0] > 0, "yes", "no")
SPACE = [
    {"learning_rate": loguniform(1e-4, 1e-1)},
    {"learning_rate": [0.5], "momentum": [0.0, 0.9]},
]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_is_stopped_early_and_gone_on_with(ray_cluster, tmp_path):
    settings = {"storage": str(tmp_path), "name": "searched", "resume": True}
    settings |= {"max_epochs": 3, "cv": 2, "searcher": "random", "max_concurrent": 1}
    search = KerasweepSearchCV(eager_model, SPACE, n_iter=3, **settings).fit(X, Y)
    results = search.cv_results_

    assert len(results["params"]) == 3 and results["stopped"].any()
    assert (results["epochs"][~results["stopped"]] == 3).all()
    ranks = results["rank_test_score"]
    assert ranks[results["stopped"]].min() > ranks[~results["stopped"]].max()
    has_momentum = ["momentum" in parameters for parameters in results["params"]]
    assert results["param_momentum"].mask.tolist() == [not has for has in has_momentum]
    assert not results["stopped"][search.best_index_] and search.refit_epochs_ == 3
    assert search.score(X, Y) == np.mean(search.predict(X) == Y)

    run = open_run(tmp_path / "searched")
    assert run.summary["scored"] == "folds" and run.summary["saved"] is None
    assert run.faults() == [] and not (tmp_path / "searched" / "best").exists()
    longer = KerasweepSearchCV(eager_model, SPACE, n_iter=4, **settings).fit(X, Y)
    assert longer.cv_results_["params"][:3] == results["params"]
    assert len(longer.cv_results_["params"]) == 4
