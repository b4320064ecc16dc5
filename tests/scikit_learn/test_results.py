import math

import numpy as np

from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.scikit_learn.results import Candidate, candidates, cv_results


def report(trial, epoch, *splits):
    metrics = {f"split{fold}_val_score": value for fold, value in enumerate(splits)}
    mean = sum(splits) / len(splits)
    return Report(epoch, mean, metrics, 2.0, trial=trial, time=0.0)


def record(trial, status, **values):
    asked = [
        {"kind": "fixed", "name": n, "constant": v, "value": v, "asked_by": "build"}
        for n, v in values.items()
    ]
    return TrialRecord(trial=trial, configuration={}, status=status, requested=asked)


TRIALS = {
    r.trial: r
    for r in [
        record("t0000", "finished", units=4),
        record("t0001", "stopped", units=8, residual=True),
        record("t0002", "finished", units=16),
        record("t0003", "failed", units=32),
        record("t0004", "duplicate", units=4),
    ]
}
REPORTS = [
    report("t0000", 1, 0.9, 0.7),
    report("t0001", 1, 0.95, 0.95),
    report("t0002", 1, 0.6, 0.6),
    report("t0000", 2, 0.5, 0.5),
    report("t0002", 2, 0.7, 0.7),
    report("t0003", 1, 1.0, 1.0),
]


def found(best_epoch=False):
    return cv_results(candidates(TRIALS, REPORTS, 2, dict, best_epoch))


def test_the_last_epoch_counts_and_those_that_were_stopped_rank_below():
    results = found()

    assert results["rank_test_score"].tolist() == [2, 3, 1, 4]
    assert results["mean_test_score"][:3].tolist() == [0.5, 0.95, 0.7]
    assert results["epochs"].tolist() == [2, 1, 2, 0]
    assert results["stopped"].tolist() == [False, True, False, False]
    assert math.isnan(results["mean_test_score"][3]), "it failed"
    assert results["mean_fit_time"].tolist() == [2.0, 1.0, 2.0, 1.0]


def test_the_epoch_of_the_best_mean_counts_if_it_is_asked_for():
    results = found(best_epoch=True)

    assert results["split0_test_score"][:3].tolist() == [0.9, 0.95, 0.7]
    assert results["split1_test_score"][:3].tolist() == [0.7, 0.95, 0.7]
    assert results["std_test_score"][0] == np.std([0.9, 0.7])
    assert results["epochs"].tolist() == [1, 1, 2, 0]
    assert results["rank_test_score"].tolist() == [1, 3, 2, 4]


def test_a_parameter_that_a_candidate_lacks_is_masked():
    results = found()

    assert results["params"][1] == {"units": 8, "residual": True}
    assert results["param_residual"].mask.tolist() == [True, False, True, True]
    assert results["param_residual"][1] is np.True_ or results["param_residual"][1]
    assert results["param_units"].tolist() == [4, 8, 16, 32]
    assert results["param_units"].dtype == np.int64


def test_equal_candidates_share_the_better_rank():
    alike = [Candidate({}, [0.5], 1, 1.0, stopped=False)] * 2
    worse = Candidate({}, [0.1], 1, 1.0, stopped=False)

    assert cv_results([worse, *alike])["rank_test_score"].tolist() == [3, 1, 1]
