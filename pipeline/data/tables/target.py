"""The column that is predicted: which task it sets, and its values as targets."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array, Task
from pipeline.data.tables.kinds.kind import Misread, text_of
from pipeline.data.tables.kinds.number import Number
from pipeline.data.tables.place import Place
from pipeline.errors import RequestError, one_line, quoted

MOST_CLASSES = 20  # different whole numbers: more are amounts
REPEATED = 0.5  # of more classes than that at most so large a share of the rows differs


@dataclass(frozen=True)
class Target:
    """What is predicted. `class_names` are the classes' in the order of their labels."""

    name: str
    task: Task
    class_names: tuple[str, ...] | None

    @property
    def classes(self) -> int | None:
        """How many classes there are."""
        return None if self.class_names is None else len(self.class_names)


def missing_target(series: "pd.Series[Any]") -> Array:
    """Which rows have no target, `(n,)` bool; `?` is none among numbers."""
    missing: Array = text_of(series).isna().to_numpy()
    if not missing.all() and _are_numbers(series):
        missing = Number.read(series, Number.form(series)).missing
    return missing


def understood_target(series: "pd.Series[Any]", task: Task | None, where: Place) -> Target:
    """What a target's column says of the task.

    Whole numbers of at most `MOST_CLASSES` values, truth values and words are classes; other
    numbers are amounts.

    Raises:
        RequestError: it has fewer than two values, is no number where the task needs one, or almost
            each row is a class of its own.
    """
    name = str(series.name)
    place = f"{where.called}, column {name!r}"
    known = series[~missing_target(series)]
    distinct = text_of(known).nunique()
    if distinct < 2:
        got = f"is {quoted(str(known.iloc[0]))} throughout" if len(known) else "has no values"
        raise RequestError(f"{place}: a target must have two values or more; it {got}.")
    numbers = _are_numbers(known)
    if task is None:
        task = "regression" if numbers and not _are_classes(known) else "classification"
    if task == "regression":
        if not numbers:
            row, came = _no_number(known)
            raise RequestError(
                f"{where.at(row)}, column {name!r}: the target of a regression must be a number; "
                f"got {quoted(came)}."
            )
        return Target(name, task, None)
    if distinct > max(MOST_CLASSES, REPEATED * len(known)):
        raise RequestError(f"{place}: {_too_many(known, distinct, where, numbers)}")
    if numbers:
        order = np.argsort(Number.read(known, Number.form(known)).array, kind="stable")
        return Target(name, task, tuple(dict.fromkeys(text_of(known).iloc[order])))
    return Target(name, task, tuple(sorted(set(text_of(known)))))


def read_target(series: "pd.Series[Any]", target: Target, where: Place) -> Array:
    """The targets `(n,)`: labels int64, or float32.

    Raises:
        RequestError: a value is of no class, or no number.
    """
    if target.class_names is None:
        try:
            return Number.read(series, Number.form(series)).array.astype(np.float32)
        except Misread as error:
            raise RequestError(
                f"{where.at(series.index[error.row])}, column {target.name!r}: must be "
                f"{error.must}; got {error.came}."
            ) from error
    place = {name: label for label, name in enumerate(target.class_names)}
    labels = text_of(series).map(place)
    if labels.isna().any():
        row = int(np.argmax(labels.isna().to_numpy()))
        raise RequestError(
            f"{where.at(series.index[row])}, column {target.name!r}: must be one of the classes "
            f"that train ({one_line(', '.join(target.class_names), 200)}); got "
            f"{quoted(str(series.iloc[row]))}."
        )
    return labels.to_numpy(dtype=np.int64)


def _are_numbers(series: "pd.Series[Any]") -> bool:
    return not pd.api.types.is_bool_dtype(series.dtype) and Number.suits(series)


def _are_classes(known: "pd.Series[Any]") -> bool:
    values = Number.read(known, Number.form(known)).array
    return bool((values == np.floor(values)).all()) and len(np.unique(values)) <= MOST_CLASSES


def _no_number(known: "pd.Series[Any]") -> tuple[Any, str]:
    """The first value that is no number: its row, and itself."""
    text = text_of(known)
    wrong = pd.to_numeric(text, errors="coerce").isna().to_numpy()
    row = int(np.argmax(wrong))
    return known.index[row], str(text.iloc[row])


def _too_many(known: "pd.Series[Any]", distinct: int, where: Place, numbers: bool) -> str:
    """What to do about almost as many classes as rows."""
    told = f"a class must be that of several rows; {distinct} of {len(known)} values differ."
    if numbers:
        return f"{told} For amounts: --task regression."
    row, came = _no_number(known)
    if pd.to_numeric(text_of(known), errors="coerce").notna().mean() > REPEATED:
        return f"{told} They are numbers, but for {quoted(came)} at {where.at(row)}."
    return f"{told} It may be another column that is to be predicted."
