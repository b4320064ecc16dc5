"""The trials of a search as a table: the hyperparameters that vary, cut to a width."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.console.progress import SearchProgress
from pipeline.console.words import in_words
from pipeline.records.entries.trials import TrialRecord

ROWS = 14  # the trials that run, then the best
GAP = 2  # characters between two columns
LONGEST = 16  # of an objective's name, and of a value
# Lengths for the hyperparameters' names: the first with which all of them fit is taken.
NAMES = (40, 16, 12, 9, 7)


@dataclass(frozen=True)
class TrialsTable:
    """A heading a column, a row a trial, and the status of each row's trial.

    `left_out` are the hyperparameters that vary and have no column, as the width has no place.
    """

    headings: list[str]
    rows: list[list[str]]
    statuses: list[str]
    left_out: list[str]


def trials_table(progress: SearchProgress, width: int | None = None) -> TrialsTable:
    """The trials that run and the best of the others, in at most `width` characters.

    Without a width nothing is cut or left out.
    """
    records = progress.ranked()[:ROWS]
    headings = ["trial", "status", "epoch", progress.objective]
    rows = [_row(progress, record.trial) for record in records]
    cells = {
        name: [in_words(values_of(record).get(name, "")) for record in records]
        for name in varying(progress.records.values())
    }
    if width is None:
        shown = {name: name for name in cells}
    else:
        headings = [cut(heading, LONGEST) for heading in headings]
        cells = {name: [cut(cell, LONGEST) for cell in column] for name, column in cells.items()}
        columns = zip(headings, *rows, strict=True)
        shown = _fitting(cells, width + GAP - sum(map(_taken, columns)))
    for place, row in enumerate(rows):
        row += [cells[name][place] for name in shown]
    return TrialsTable(
        [*headings, *shown.values()],
        rows,
        [progress.status(record.trial) for record in records],
        [name for name in cells if name not in shown],
    )


def values_of(record: TrialRecord) -> dict[str, Any]:
    """A trial's hyperparameters: what it requested, or until that is known what was proposed."""
    return record.hyperparameters or record.configuration


def varying(records: Iterable[TrialRecord]) -> list[str]:
    """The hyperparameters that are not equal in all trials, in the order of their coming.

    One that only some trials requested varies. Of a single trial they are all of its own.
    """
    known = [record for record in records if values_of(record)]
    known = [record for record in known if record.hyperparameters] or known
    trials = [values_of(record) for record in known]
    names = dict.fromkeys(name for values in trials for name in values)
    return [
        name
        for name in names
        if len(trials) == 1
        or any(name not in values or values[name] != trials[0].get(name) for values in trials)
    ]


def cut(text: str, longest: int) -> str:
    """A text without its middle: names differ at their ends."""
    head = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:head]}…{text[head + 1 - longest :]}"


def _row(progress: SearchProgress, trial: str) -> list[str]:
    value = progress.value(trial)
    objective = "" if value is None else f"{value:.5g}"
    return [trial, progress.status(trial), str(progress.epoch(trial)), objective]


def _fitting(cells: dict[str, list[str]], room: int) -> dict[str, str]:
    """The hyperparameters for which there is room, each with its heading.

    Where it is short, those come first that most of the trials have.
    """
    headings: dict[str, str] = {}
    for longest in NAMES:
        headings = _cut_apart(cells, longest)
        if sum(_taken([headings[name], *cells[name]]) for name in cells) <= room:
            return headings
    shown = set()
    for name in sorted(cells, key=lambda name: cells[name].count("")):
        taken = _taken([headings[name], *cells[name]])
        if taken <= room:
            shown.add(name)
            room -= taken
    return {name: heading for name, heading in headings.items() if name in shown}


def _cut_apart(cells: dict[str, list[str]], longest: int) -> dict[str, str]:
    """Each name cut, but not below its values' width, and not where two would be one."""
    cuts = {name: cut(name, max([longest, *map(len, column)])) for name, column in cells.items()}
    made = list(cuts.values())
    return {name: text if made.count(text) == 1 else name for name, text in cuts.items()}


def _taken(column: Iterable[str]) -> int:
    return GAP + max(map(len, column))
