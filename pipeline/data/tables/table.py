"""A table as a dataset, from a file or from memory: what `Experiment(dataset=…)` takes."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.data.arrays import Task
from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.request import KINDS, DataRequest
from pipeline.data.tables.from_frame import check_names, dataset_of, text_columns
from pipeline.data.tables.reading import header_of, read_frame
from pipeline.errors import RequestError, quoted


@dataclass(frozen=True, eq=False)
class Table:
    """A table in memory, and what is asked of it; called with a seed it gives the dataset."""

    frame: pd.DataFrame
    request: DataRequest
    __name__ = "table"  # what messages and records call it

    @property
    def distinctive(self) -> tuple[Any, ...]:
        """What tells one table from another, for a fingerprint."""
        columns = [str(name) for name in self.frame.columns]
        rows = pd.util.hash_pandas_object(self.frame.astype("str"), index=False).to_numpy()
        return columns, rows, vars(self.request)

    def __call__(self, seed: int) -> Dataset:
        """Make the dataset.

        Raises:
            RequestError: it cannot be used; says the place.
        """
        frame = self.frame.reset_index(drop=True)
        frame.columns = frame.columns.map(str)
        check_names(self.request, list(frame.columns), "the table")
        return dataset_of(frame, self.request, seed, name=self.__name__, file=None)


def table(
    data: Any,
    *,
    target: str | None = None,
    drop: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    task: Task | None = None,
    test: str | Path | float | None = None,
    group: str | None = None,
    time: str | None = None,
) -> Any:
    """A table as a dataset: `Experiment(dataset=pipeline.table(frame, target="churned"))`.

    Each column is taken for what it looks like, cut into splits, and prepared by what the training
    rows say.

    Args:
        data: a pandas DataFrame, or the path of a CSV, TSV, Parquet or Feather file.
        target: the column that is to be predicted.
        drop: columns that are left out.
        columns: of columns that would be taken wrongly, the kind by name: number, yes/no, category,
            date, text or identifier.
        task: classification or regression; by the target if None.
        test: a file of test rows, or the fraction of all rows that is kept for the test (0.2).
        group: a column whose rows of one value stay in one split, and in one fold.
        time: a column by which the test rows are later than the rest, and the validation rows later
            than those that train.

    Returns:
        What `Experiment(dataset=…)` takes.

    Raises:
        RequestError: `data` is no table.
    """
    if not isinstance(test, str | Path | float | int | None):
        raise RequestError(
            f"test must be a fraction, or the path of a table; got {type(test).__name__}."
        )
    request = DataRequest(
        target=None if target is None else str(target),
        drop=tuple(map(str, drop)),
        kinds={str(name): kind for name, kind in (columns or {}).items()},
        task=task,
        test=os.path.expanduser(test) if isinstance(test, str | Path) else test,
        group=None if group is None else str(group),
        time=None if time is None else str(time),
    )
    for column, kind in request.kinds.items():
        if kind not in KINDS:
            raise RequestError(
                f"Column {column!r} must be of one of the kinds {', '.join(KINDS)}; got "
                f"{quoted(kind)}."
            )
    if isinstance(data, str | Path):
        return DataFile(str(data), request)
    if not isinstance(data, pd.DataFrame):
        raise RequestError(
            "pipeline.table takes a pandas DataFrame or the path of a table; got "
            f"{type(data).__name__}."
        )
    return Table(data, request)


def read_table(file: DataFile, seed: int) -> Dataset:
    """Read a table from a file.

    Raises:
        RequestError: it cannot be used; says file, line and column.
    """
    header = header_of(file.path)
    check_names(file.request, header, file.path)
    ordering = (file.request.group, file.request.time)
    kept = [n for n in header if n not in file.request.drop or n in ordering]
    frame, notes = read_frame(file.path, kept, seed, text=text_columns(file.request))
    return dataset_of(
        frame, file.request, seed, name=file.__name__, file=file.path, notes=tuple(notes)
    )
