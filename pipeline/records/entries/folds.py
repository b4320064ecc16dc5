"""What the reports of a trial with folds say of each fold: names of metrics, and the best epochs.

`split0_val_accuracy` is the objective of the first fold, as scikit-learn calls it, and
`val_accuracy_std` the spread over folds (or over executions, where there are no folds).
"""

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport

Value = TypeVar("Value")

_OF_A_FOLD = re.compile(r"split\d+_(?P<objective>.+)")


def fold_metric(fold: int, objective: str) -> str:
    """What the objective of one fold, from 0, is called."""
    return f"split{fold}_{objective}"


def spread_metric(objective: str) -> str:
    """What the standard deviation of the objective is called."""
    return f"{objective}_std"


def of_folds(metrics: Mapping[str, Value]) -> dict[str, Value]:
    """Each fold's objective among metrics, and their spread; nothing where there are no folds."""
    found = [match for name in metrics if (match := _OF_A_FOLD.fullmatch(name))]
    names = [match[0] for match in found]
    names += [spread_metric(match["objective"]) for match in found[:1]]
    return {name: metrics[name] for name in names if name in metrics}


def median_best_epoch(reports: Iterable[EpochReport], objective: Objective, folds: int) -> int:
    """The median over folds of each fold's best epoch; half an epoch is rounded up.

    Of equal epochs of a fold the earliest is its best.

    Args:
        reports: a trial's.
        objective: what they are compared by.
        folds: how many there are.
    """
    epochs = list(reports)
    best = []
    for fold in range(folds):
        name = fold_metric(fold, objective.name)
        first = min(epochs, key=lambda report: objective.loss(report.metrics.get(name)))
        best.append(first.epoch)
    return max(1, math.floor(statistics.median(best) + 0.5))
