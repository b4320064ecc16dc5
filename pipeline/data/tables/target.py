"""The column that is predicted: which task it sets, and its values as targets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array, Task
from pipeline.data.tables.kinds.kind import text_of
from pipeline.data.tables.kinds.number import Number
from pipeline.errors import RequestError, one_line, quoted

MOST_CLASSES = 20  # different whole numbers: more are amounts


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


def understood_target(series: "pd.Series[Any]", task: Task | None, called: str) -> Target:
    """What a target's column says of the task.

    Whole numbers of at most `MOST_CLASSES` values, truth values and words are classes; other
    numbers are amounts.

    Raises:
        RequestError: it has fewer than two values, or is no number where the task needs one.
    """
    known = series.dropna()
    name = str(series.name)
    if known.nunique() < 2:
        got = f"is {quoted(str(known.iloc[0]))} throughout" if len(known) else "has no values"
        raise RequestError(
            f"{called}, column {name!r}: a target must have two values or more; it {got}."
        )
    numbers = not pd.api.types.is_bool_dtype(known.dtype) and Number.suits(known)
    if task is None:
        task = "regression" if numbers and not _are_classes(known) else "classification"
    if task == "regression":
        if not numbers:
            wrong = one_line(str(known.iloc[0]), 40)
            raise RequestError(
                f"{called}, column {name!r}: the target of a regression must be numbers; got "
                f"{wrong!r}."
            )
        return Target(name, task, None)
    if numbers:
        values = np.unique(Number.read(known, Number.form(known)).array)
        return Target(name, task, tuple(f"{value:.15g}" for value in values[~np.isnan(values)]))
    return Target(name, task, tuple(sorted(set(text_of(known).dropna()))))


def read_target(series: "pd.Series[Any]", target: Target, at: Callable[[Any], str]) -> Array:
    """The targets `(n,)`: labels int64, or float32.

    `at` names the place of a row.

    Raises:
        RequestError: a value is of no class, or no number.
    """
    if target.class_names is None:
        numbers = Number.read(series, Number.form(series)).array
        if np.isnan(numbers).any():
            row = int(np.argmax(np.isnan(numbers)))
            raise RequestError(
                f"{at(series.index[row])}, column {target.name!r}: must be a number; got "
                f"{quoted(str(series.iloc[row]))}."
            )
        return numbers.astype(np.float32)
    text = text_of(series)
    if pd.api.types.is_numeric_dtype(series.dtype) and not pd.api.types.is_bool_dtype(series.dtype):
        text = series.map(lambda value: f"{value:.15g}")
    place = {name: label for label, name in enumerate(target.class_names)}
    labels = text.map(place)
    if labels.isna().any():
        row = int(np.argmax(labels.isna().to_numpy()))
        raise RequestError(
            f"{at(series.index[row])}, column {target.name!r}: must be one of the classes that "
            f"train ({one_line(', '.join(target.class_names), 200)}); got "
            f"{quoted(str(series.iloc[row]))}."
        )
    return labels.to_numpy(dtype=np.int64)


def _are_classes(known: "pd.Series[Any]") -> bool:
    values = Number.read(known, Number.form(known)).array
    return bool((values == np.floor(values)).all()) and len(np.unique(values)) <= MOST_CLASSES
