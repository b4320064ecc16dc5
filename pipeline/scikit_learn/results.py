"""`cv_results_` of a search's records."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from pipeline.data.arrays import Array
from pipeline.records.entries.folds import fold_metric
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import COUNTED, TrialRecord

OBJECTIVE = "val_score"


@dataclass(frozen=True)
class Candidate:
    """A configuration, its scores on each fold, and how long it was trained.

    `epochs` are those after which it was scored; `stopped` says that it was ended early.
    """

    params: dict[str, Any]
    scores: list[float]
    epochs: int
    seconds: float
    stopped: bool

    @property
    def mean(self) -> float:
        """The mean over the folds; NaN where it failed."""
        return float(np.mean(self.scores))


def candidates(
    trials: Mapping[str, TrialRecord],
    reports: Sequence[Report],
    folds: int,
    params: Callable[[Mapping[str, Any]], dict[str, Any]],
    best_epoch: bool,
) -> list[Candidate]:
    """The configurations that were tried, in the order in which they were proposed.

    Args:
        trials: the records.
        reports: of all of them.
        folds: how many there are.
        params: makes parameters of what was recorded of a configuration.
        best_epoch: whether the epoch with the best mean counts, in place of the last.
    """
    found = []
    for trial, record in trials.items():
        if record.status not in COUNTED:
            continue
        own = [report for report in reports if report.trial == trial]
        counts = _counting(own, best_epoch) if record.status != "failed" else None
        scores = [math.nan] * folds
        if counts is not None:
            scores = [_score(counts, fold, folds) for fold in range(folds)]
        found.append(
            Candidate(
                params(record.hyperparameters or record.configuration),
                scores,
                0 if counts is None else counts.epoch,
                math.fsum(report.seconds for report in own) / folds,
                record.status == "stopped",
            )
        )
    return found


def _counting(own: Sequence[Report], best_epoch: bool) -> Report | None:
    scored = [report for report in own if report.objective is not None]
    if not scored:
        return None
    return max(scored, key=lambda r: (r.objective, -r.epoch)) if best_epoch else scored[-1]


def _score(report: Report, fold: int, folds: int) -> float:
    name = OBJECTIVE if folds == 1 else fold_metric(fold, OBJECTIVE)
    value = report.metrics.get(name)
    return math.nan if value is None else value


def cv_results(found: Sequence[Candidate]) -> dict[str, Any]:
    """As scikit-learn's searches have it: an array a column, an entry a candidate.

    Of the times only the mean of a fold's training is known, its scoring within.
    """
    nan = np.full(len(found), np.nan)
    results: dict[str, Any] = {
        "mean_fit_time": np.array([one.seconds for one in found]),
        "std_fit_time": nan,
        "mean_score_time": nan.copy(),
        "std_score_time": nan.copy(),
    }
    names = dict.fromkeys(name for one in found for name in one.params)
    results |= {f"param_{name}": _column([one.params for one in found], name) for name in names}
    results["params"] = [one.params for one in found]
    scores = np.array([one.scores for one in found], float)
    results |= {f"split{fold}_test_score": column for fold, column in enumerate(scores.T)}
    results["mean_test_score"] = scores.mean(axis=1)
    results["std_test_score"] = scores.std(axis=1)
    results["rank_test_score"] = _ranks(found)
    results["epochs"] = np.array([one.epochs for one in found], np.int32)
    results["stopped"] = np.array([one.stopped for one in found], bool)
    return results


def _ranks(found: Sequence[Candidate]) -> Array:
    """From 1: finished ones by their means, then those that were stopped, then those that failed.

    Equals share the better rank.
    """
    keys = [
        (math.isnan(one.mean), one.stopped, 0.0 if math.isnan(one.mean) else -one.mean)
        for one in found
    ]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    ranks: Array = rankdata([places[key] for key in keys], method="min").astype(np.int32)
    return ranks


def _column(params: Sequence[Mapping[str, Any]], name: str) -> Any:
    """A parameter's values, masked where a candidate has none."""
    values = [one.get(name) for one in params]
    held = [one[name] for one in params if name in one]
    kinds = {type(value) for value in held}
    dtype: Any = object
    if kinds <= {bool} or kinds <= {int} or kinds <= {int, float}:
        dtype = np.result_type(
            *[np.min_scalar_type(v) if type(v) is bool else type(v) for v in held]
        )
    column = np.ma.MaskedArray(np.empty(len(params), dtype), mask=True)
    for place, (one, value) in enumerate(zip(params, values, strict=True)):
        if name in one:
            column[place] = value
    return column
