"""The tables of a run: a row a trial in `trials.csv`, a row an epoch in `history.csv`."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.objective import Objective
from pipeline.records.entries.reports import BestReports, Report, read_history
from pipeline.records.entries.trials import TrialRecord, read_trials
from pipeline.records.layout import Layout, persist, write_whole
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.checksums import sum_of, write_checksums
from pipeline.records.outputs.columns import (
    HISTORY,
    OBJECTIVE_COLUMN,
    TRIALS,
    Column,
    HistoryRow,
    TrialRow,
)

if TYPE_CHECKING:
    import pandas as pd

_NONE: dict[str, Any] = {}


def trials_table(
    trials: dict[str, TrialRecord], reports: list[Report], objective: Objective
) -> "pd.DataFrame":
    """A row a trial, in the columns `TRIALS`."""
    best = BestReports(objective, reports)
    epochs: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for report in reports:
        epochs[report.trial] = report.epoch
        seconds[report.trial] = seconds.get(report.trial, 0.0) + report.seconds
    rows = [
        TrialRow(record, best.of(trial), epochs.get(trial, 0), seconds.get(trial, 0.0))
        for trial, record in trials.items()
    ]
    taken = {column.name for column in TRIALS}
    name = f"metric/{objective.name}" if objective.name in taken else objective.name
    return _table(TRIALS, rows, in_order, {OBJECTIVE_COLUMN: name})


def history_table(reports: list[Report], trials: dict[str, TrialRecord]) -> "pd.DataFrame":
    """A row an epoch, in the columns `HISTORY`."""
    changing = any(record.changes for record in trials.values())
    rows = [
        HistoryRow(
            report,
            {f"hp/{n}": v for n, v in trials[report.trial].in_force(report.epoch).items()}
            if changing
            else _NONE,
        )
        for report in reports
    ]
    return _table(HISTORY, rows, _met)


def write_tables(layout: Layout, objective: Objective, ledger: Ledger | None = None) -> None:
    """Write `trials.csv` and `history.csv` from what the ledger holds, or else from its files."""
    trials = ledger.trials if ledger else read_trials(layout)
    reports = ledger.reports if ledger else read_history(layout)
    texts = {
        layout.trials_table: trials_table(trials, reports, objective).to_csv(index=False),
        layout.history_table: history_table(reports, trials).to_csv(index=False),
    }
    for path, text in texts.items():
        persist(layout, path, partial(write_whole, path, text))
    write_checksums(layout, {path: sum_of(text) for path, text in texts.items()})


def _table(
    columns: Iterable[Any],
    rows: list[Any],
    ordered: Callable[[Iterable[Mapping[str, Any]]], Iterable[str]],
    titles: Mapping[str, str] = {},
) -> "pd.DataFrame":
    """Args: `ordered` puts the names of several columns in order; `titles` replace names."""
    import pandas as pd

    columns = list(columns)
    own = {titles.get(c.name, c.name) for c in columns if isinstance(c, Column)}
    cells: dict[str, list[Any]] = {}
    dtypes: dict[str, type] = {}
    # By columns: by rows it takes four times as long.
    for column in columns:
        if isinstance(column, Column):
            title = titles.get(column.name, column.name)
            cells[title] = [column.value(row) for row in rows]
            if column.dtype is not object:
                dtypes[title] = column.dtype
        else:
            values = [column.values(row) for row in rows]
            for name in ordered(values):
                title = f"{column.prefix}{name}" if name in own else name
                cells[title] = [each.get(name) for each in values]
    return pd.DataFrame(cells, dtype=object).astype(dtypes)


def in_order(lists: Iterable[Iterable[str]]) -> list[str]:
    """All names, each after the one that came before it where it was first met."""
    names: list[str] = []
    for each in lists:
        place = 0
        for name in each:
            if name in names:
                place = max(place, names.index(name) + 1)
            else:
                names.insert(place, name)
                place += 1
    return names


def _met(rows: Iterable[Iterable[str]]) -> dict[str, None]:
    """The names of all rows in the order in which they come first."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return names
