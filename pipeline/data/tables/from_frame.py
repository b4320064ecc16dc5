"""From the rows of a table to a dataset: what each column is, and which rows train."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.request import DataRequest
from pipeline.data.splits import CUT
from pipeline.data.tables.kinds import COLUMN_KINDS
from pipeline.data.tables.kinds.kind import Facts, Misread, kind_class
from pipeline.data.tables.reading import header_of, read_frame
from pipeline.data.tables.splits import split_rows
from pipeline.data.tables.table_dataset import TableDataset
from pipeline.data.tables.target import read_target, understood_target
from pipeline.data.tables.values import Values
from pipeline.errors import RequestError, did_you_mean, one_line, quoted


def dataset_of(
    frame: pd.DataFrame,
    request: DataRequest,
    seed: int,
    *,
    name: str,
    file: str | None,
    notes: tuple[str, ...] = (),
    given: Mapping[str, pd.DataFrame] | None = None,
) -> TableDataset:
    """Make the dataset of a table.

    Args:
        frame: the rows, `index` their places in `file`.
        request: what is asked of it; `check_names` has looked at it.
        seed: decides which row goes where.
        name: what messages and records call it.
        file: where it is from, if from a file.
        notes: what a person should know of how it was read.
        given: the rows of `val` and `test` where those are splits already.

    Raises:
        RequestError: it cannot be used; says the place.
    """
    where = _Place(file or name, file is not None)
    assert request.target is not None  # it was checked
    frame = frame.drop(columns=[name for name in request.drop if name in frame.columns])
    given = given or {}
    trains = int(frame[request.target].notna().sum())
    if "val" in given:
        frame = pd.concat([frame, given["val"][frame.columns]], ignore_index=True)
    tests = given["test"][frame.columns] if "test" in given else None
    if isinstance(request.test, str):
        tests = _test_rows(request.test, frame)
    _check_single(frame[request.target], where)
    target = understood_target(frame[request.target], request.task, where.called)
    frame, more = _with_target(frame, request.target)
    notes += more
    forms, left_out = _forms(frame, request, where)
    y = read_target(frame[request.target], target, where.at)
    groups, times = (
        None if column is None else _in_order(frame[column], where)
        for column in (request.group, request.time)
    )
    labels = y if target.task == "classification" else None
    cut = partial(split_rows, name, trains, seed=seed, labels=labels, groups=groups, times=times)
    if tests is not None:
        tests, more = _with_target(tests, request.target)
        notes += more
        train, val = cut(test=None)
        there = _Place(str(request.test or file), True)
        y_test = read_target(tests[request.target], target, there.at)
        test_values = _values(tests, forms, there)
    else:
        size = CUT if request.test is None else float(request.test)
        train, val, held_out = cut(test=size)
    if "val" in given:
        train, val = np.concatenate([train, val]), np.arange(trains, len(frame))
    values = _values(frame, forms, where)
    if tests is None:
        test_values = {name: column[held_out] for name, column in values.items()}
        y_test = y[held_out]
    rows = np.concatenate([train, val])
    return TableDataset.of(
        forms,
        {name: column[rows] for name, column in values.items()},
        test_values,
        (y[train], y[val], y_test),
        name=name,
        task=target.task,
        classes=target.classes,
        class_names=target.class_names,
        target=request.target,
        left_out=left_out,
        notes=notes,
        source=Path(file).name if file else "",
        groups=None if groups is None else groups[rows],
        times=None if times is None else times[rows],
    )


class _Place:
    """Names the line of a row in a file, or the row of a table in memory."""

    def __init__(self, called: str, in_file: bool) -> None:
        self.called, self._in_file = called, in_file

    def at(self, row: Any) -> str:
        lined = self._in_file and self.called.lower().removesuffix(".gz").endswith((".csv", ".tsv"))
        return f"{self.called}, line {row + 2}" if lined else f"{self.called}, row {row}"


def check_names(request: DataRequest, names: list[str], called: str) -> None:
    """Refuse columns that are not there, and a table without its target."""
    listed = ", ".join(names[:20]) + ", …" * (len(names) > 20)
    if request.target is None:
        raise RequestError(
            "A table needs a target, the column that is to be predicted: --target NAME. Columns of "
            f"{called}: {listed}."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RequestError(f"{called} must name each column once; {repeated[0]!r} stands twice.")
    asked = {
        "target": [request.target],
        "drop": list(request.drop),
        "column": list(request.kinds),
        "group": [request.group] if request.group else [],
        "time": [request.time] if request.time else [],
    }
    for setting, columns in asked.items():
        for column in columns:
            if column not in names:
                raise RequestError(
                    f"{setting} must name a column of {called}; there is no {quoted(column)}. Its "
                    f"columns: {listed}." + did_you_mean(column, names)
                )
    if request.target in request.drop:
        raise RequestError(f"target and drop must differ; both name {request.target!r}.")


def _with_target(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows that have a target."""
    missing = frame[target].isna()
    if not missing.any():
        return frame, ()
    count = int(missing.sum())
    return frame[~missing], (f"{count} rows have no {target} and were left out",)


def _test_rows(path: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The test rows in a file of their own.

    Raises:
        RequestError: it lacks a column.
    """
    there = set(header_of(path))
    lacking = [name for name in frame.columns if name not in there]
    if lacking:
        raise RequestError(
            f"{path} must have the columns of the training rows; it lacks {', '.join(lacking)}."
        )
    return read_frame(path, list(frame.columns))[0]


def _forms(
    frame: pd.DataFrame, request: DataRequest, where: _Place
) -> tuple[dict[str, tuple[str, Facts]], dict[str, str]]:
    """Of each column that is an input its kind and form; of each other one why it is none."""
    forms: dict[str, tuple[str, Facts]] = {}
    left_out: dict[str, str] = {}
    for name in frame.columns:
        series = frame[name]
        _check_single(series, where)
        if name == request.target:
            continue
        if name == request.group:
            left_out[name] = "it says which rows stay together"
        elif series.isna().all():
            left_out[name] = "it has no values"
        elif series.nunique(dropna=False) == 1:
            left_out[name] = f"it is constant: {one_line(str(series.iloc[0]), 40)}"
        elif (kind := request.kinds.get(name) or _kind_of(series)) == "identifier":
            left_out[name] = "an identifier: each row has another"
        else:
            forms[name] = (kind, kind_class(kind).form(series))
    if not forms:
        said = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise RequestError(
            f"{where.called} must have a column to predict {request.target!r} from; it has none"
            + (f" ({said})." if said else ".")
        )
    return forms, left_out


def _kind_of(series: "pd.Series[Any]") -> str:
    """What a column looks like."""
    return next(kind for kind in COLUMN_KINDS if kind_class(kind).suits(series))


def _check_single(series: "pd.Series[Any]", where: _Place) -> None:
    """Refuse a column whose values are lists, arrays or the like."""
    if series.dtype != object:
        return
    several = series.map(lambda value: isinstance(value, list | tuple | dict | set | np.ndarray))
    if several.any():
        row = series.index[int(np.argmax(several.to_numpy()))]
        raise RequestError(
            f"{where.at(row)}, column {series.name!r}: must be one value; got a "
            f"{type(series[row]).__name__}. Give each part a column of its own, or leave it out: "
            f"--drop {series.name}."
        )


def _values(
    frame: pd.DataFrame, forms: Mapping[str, tuple[str, Facts]], where: _Place
) -> dict[str, Values]:
    """The columns' values, read as their kinds and forms say."""
    found = {}
    for name, (kind, form) in forms.items():
        try:
            found[name] = kind_class(kind).read(frame[name], form)
        except Misread as error:
            raise RequestError(
                f"{where.at(frame.index[error.row])}, column {name!r}: must be {error.must}; got "
                f"{error.came}. If the column is of another kind: --column {name}=KIND."
            ) from error
    return found


def _in_order(series: "pd.Series[Any]", where: _Place) -> Array:
    """A number for each value, in their order: dates by time, numbers by size, else by name."""
    if series.isna().any():
        place = where.at(series.index[int(np.argmax(series.isna().to_numpy()))])
        raise RequestError(f"{place}, column {series.name!r}: must have a value; it is missing.")
    date = kind_class("date")
    if not pd.api.types.is_numeric_dtype(series.dtype) and date.suits(series):
        values: Array = date.read(series, date.form(series)).array
    else:
        values = series.to_numpy()
    return np.unique(values, return_inverse=True)[1]
