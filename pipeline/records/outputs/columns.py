"""The columns of `trials.csv` and `history.csv`: each stands here, once.

A new column of what is recorded already is one entry of `TRIALS` or `HISTORY`; of what only a
worker can measure it is a file in `pipeline.facts`. The tables and the reference page follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipeline.facts import described
from pipeline.records.entries.folds import of_folds
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord

Row = TypeVar("Row")

OBJECTIVE_COLUMN = "<objective>"  # in the table, the metric's name


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column: its name, what it says, and its value in a row.

    `dtype` is pandas's. A column of objects keeps an integer an integer beside a missing value.
    """

    name: str
    says: str
    value: Callable[[Row], Any]
    dtype: type = object


@dataclass(frozen=True)
class Columns(Generic[Row]):
    """As many columns as a run has names of a kind: its hyperparameters, its metrics.

    `values` are a row's, by name. A name that another column has gets `prefix`.
    """

    name: str
    says: str
    values: Callable[[Row], Mapping[str, Any]]
    prefix: str = ""


@dataclass(frozen=True)
class TrialRow:
    """What a row of `trials.csv` is made from."""

    record: TrialRecord
    best: Report | None
    epochs: int
    seconds: float

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Those in force at the best epoch, where they changed on the way."""
        if self.best is None:
            return self.record.hyperparameters
        return self.record.in_force(self.best.epoch)


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What a row of `history.csv` is made from."""

    report: Report
    in_force: Mapping[str, Any]  # hyperparameters, where any trial's change on the way


def _of_fact(name: str, says: str) -> Column[TrialRow]:
    return Column(name, says, lambda row: (row.record.measured or {}).get(name))


TRIALS: tuple[Column[TrialRow] | Columns[TrialRow], ...] = (
    Column("trial", "the trial's id", lambda row: row.record.trial),
    Column(
        "status",
        "`finished`, `stopped`, `failed`, `running` or `duplicate`",
        lambda row: row.record.status,
    ),
    Columns(
        "<hyperparameter>",
        "a column for each that any trial requested, empty where a trial did not; "
        "`hp/<hyperparameter>` if another column has the name",
        lambda row: row.hyperparameters,
        prefix="hp/",
    ),
    Column(
        OBJECTIVE_COLUMN,
        "the best value of the objective; `metric/<objective>` if another column has the name",
        lambda row: row.best.objective if row.best else None,
        float,
    ),
    Column(
        "best_epoch",
        "the epoch of that value",
        lambda row: row.best.epoch if row.best else None,
    ),
    Columns(
        "split<k>_<objective>",
        "the objective of each fold at that epoch, and `<objective>_std`, their standard "
        "deviation, in a run with `--folds`",
        lambda row: of_folds(row.best.metrics) if row.best else {},
        prefix="metric/",
    ),
    Column("epochs", "how many epochs were trained", lambda row: row.epochs, int),
    Column("seconds", "how long they took in all", lambda row: round(row.seconds, 3), float),
    *(_of_fact(name, says) for name, says in described().items()),
    Column("error", "why the trial failed", lambda row: row.record.error),
)

HISTORY: tuple[Column[HistoryRow] | Columns[HistoryRow], ...] = (
    Column("trial", "the trial's id", lambda row: row.report.trial),
    Column("epoch", "how many epochs the trial had completed", lambda row: row.report.epoch),
    Columns(
        "<metric>",
        "a column for each, empty where it was not reported or not finite; in a run with "
        "`--folds` the mean over folds, beside `split0_<objective>` and so on, the objective of "
        "each fold, and `<objective>_std`, their standard deviation",
        lambda row: row.report.metrics,
    ),
    Column("seconds", "how long the epoch took", lambda row: round(row.report.seconds, 4)),
    Columns(
        "hp/<hyperparameter>",
        "its value in that epoch, in a search that changes values on the way (`pbt`)",
        lambda row: row.in_force,
    ),
)
