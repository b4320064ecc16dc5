"""From the rows of a table to a dataset: what each column is, and which rows train."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.files.data_file import TABLES
from pipeline.data.request import DataRequest
from pipeline.data.tables.kinds import COLUMN_KINDS, READ_AS_TEXT
from pipeline.data.tables.kinds.kind import Facts, Misread, kind_class, text_of
from pipeline.data.tables.orders import orders
from pipeline.data.tables.place import Place
from pipeline.data.tables.reading import header_of, read_frame
from pipeline.data.tables.splits import split_rows
from pipeline.data.tables.table_dataset import TableDataset
from pipeline.data.tables.target import missing_target, read_target, understood_target
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
    where = Place(file or name, file is not None)
    assert request.target is not None  # it was checked
    kept = (request.target, request.group, request.time)
    unused = [n for n in request.drop if n in frame.columns and n not in kept]
    frame = frame.drop(columns=unused)
    given = given or {}
    trains = len(_with_target(frame, request.target)[0])
    if "val" in given:
        frame = pd.concat([frame, given["val"][frame.columns]], ignore_index=True)
    tests = given["test"][frame.columns] if "test" in given else None
    there = where
    if isinstance(request.test, str):
        tests, more = _test_rows(request.test, frame, request)
        there, notes = Place(request.test, True), notes + more
    for series in (frame[column] for column in frame.columns):
        _check_single(series, where)
    target = understood_target(frame[request.target], request.task, where)
    frame, more = _with_target(frame, request.target)
    notes += more
    y = read_target(frame[request.target], target, where)
    ordered = orders(frame, tests, request, where, there)
    labels = y if target.task == "classification" else None
    cut = partial(
        split_rows,
        name,
        trains,
        seed=seed,
        labels=labels,
        groups=ordered["groups"],
        times=ordered["times"],
    )
    if tests is not None:
        tests, more = _with_target(tests, request.target)
        notes += more
        train, val = cut(test=None)
        y_test = read_target(tests[request.target], target, there)
    else:
        train, val, held_out = cut(test=request.test_share)
        tests, y_test = frame.iloc[held_out], y[held_out]
    if "val" in given:
        train, val = np.concatenate([train, val]), np.arange(trains, len(frame))
    if (y[train] == y[train[0]]).all():
        raise RequestError(
            f"{where.called}, column {request.target!r}: the rows that train must have two values "
            f"or more; they have one, {frame[request.target].iloc[train[0]]}."
        )
    rows = np.concatenate([train, val])
    # what a test row says decides nothing, not even what a column is taken for
    forms, left_out = _forms(frame.iloc[rows], request, where)
    return TableDataset.of(
        forms,
        _values(frame.iloc[rows], forms, where),
        _values(tests, forms, there),
        (y[train], y[val], y_test),
        name=name,
        task=target.task,
        classes=target.classes,
        class_names=target.class_names,
        target=request.target,
        left_out=left_out,
        notes=notes,
        source=Path(file).name if file else "",
        **{field: None if order is None else order[rows] for field, order in ordered.items()},
    )


def check_names(request: DataRequest, names: list[str], called: str) -> None:
    """Refuse columns that are not there or stand twice, and requests that contradict themselves."""
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
    for setting in ("drop", "column"):
        if request.target in asked[setting]:
            raise RequestError(f"target and {setting} must differ; both name {request.target!r}.")
    if request.group and request.time:
        raise RequestError("group and time must not be given together; give one of them.")


def _with_target(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows that have a target."""
    missing = missing_target(frame[target])
    if not missing.any():
        return frame, ()
    count = int(missing.sum())
    return frame[~missing], (f"{count} rows have no {target} and were left out",)


def _test_rows(
    path: str, frame: pd.DataFrame, request: DataRequest
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The test rows in a file of their own, and what a person should know of how they were read.

    Raises:
        RequestError: it is no table, or lacks a column.
    """
    if not path.lower().endswith(TABLES):
        raise RequestError(
            f"test must be a fraction, or the file of a table ({', '.join(TABLES)}); got "
            f"{quoted(path)}."
        )
    there = set(header_of(path))
    lacking = [name for name in frame.columns if name not in there]
    if lacking:
        raise RequestError(
            f"{path} must have the columns of the training rows; it lacks {', '.join(lacking)}."
        )
    tests, notes = read_frame(path, list(frame.columns), text=text_columns(request))
    return tests, tuple(notes)


def text_columns(request: DataRequest) -> list[str]:
    """Columns that are read as text, since they were said to be of such a kind."""
    return [name for name, kind in request.kinds.items() if kind in READ_AS_TEXT]


def _forms(
    frame: pd.DataFrame, request: DataRequest, where: Place
) -> tuple[dict[str, tuple[str, Facts]], dict[str, str]]:
    """Of each column that is an input its kind and form; of each other one why it is none."""
    forms: dict[str, tuple[str, Facts]] = {}
    left_out: dict[str, str] = {}
    for name in frame.columns:
        series = frame[name]
        if name == request.target:
            continue
        if name == request.group:
            left_out[name] = "it says which rows stay together"
        elif name in request.drop:
            left_out[name] = "it says which rows are later"
        elif series.isna().all():
            left_out[name] = "it has no values"
        elif series.nunique(dropna=False) == 1:
            left_out[name] = f"it is constant: {one_line(str(series.iloc[0]), 40)}"
        elif (kind := request.kinds.get(name) or _kind_of(series)) == "identifier":
            left_out[name] = "an identifier: each row has another"
        elif kind == "text" and not text_of(series).str.contains(r"\w", na=False).any():
            left_out[name] = "it has no words"
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


def _check_single(series: "pd.Series[Any]", where: Place) -> None:
    """Refuse a column whose values are lists, arrays or the like."""
    several: Any = None
    if series.dtype == object:
        kinds = (list, tuple, dict, set, np.ndarray)
        several = series.map(lambda value: isinstance(value, kinds)).to_numpy()
    elif str(series.dtype).startswith(("list", "large_list", "fixed_size_list", "struct", "map")):
        several = series.notna().to_numpy()  # Arrow's
    if several is not None and several.any():
        row = series.index[int(np.argmax(several))]
        raise RequestError(
            f"{where.at(row)}, column {series.name!r}: must be one value; got a "
            f"{type(series[row]).__name__}. Give each part a column of its own, or leave it out: "
            f"--drop {series.name}."
        )


def _values(
    frame: pd.DataFrame, forms: Mapping[str, tuple[str, Facts]], where: Place
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
