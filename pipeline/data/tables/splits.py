"""Which rows of a table train, which validate, and which are kept for the test."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array, Task, cut, split_size
from pipeline.data.request import DataRequest
from pipeline.data.tables.kinds.date import Date

VALIDATION = 0.2  # of all rows


def split_rows(
    name: str,
    frame: pd.DataFrame,
    y: Array,
    task: Task,
    request: DataRequest,
    seed: int,
    *,
    test: float | None,
) -> list[Array]:
    """The rows of each split: `[train, val, test]`, without the last where `test` is None.

    Rows of one value of the column `request.group` are in one split; by the column `request.time`
    what is validated is later than what trains, and what is tested later still. Else they are drawn
    with the seed, each class in proportion.

    Args:
        name: of the dataset, for messages.
        frame: the table.
        y: its targets.
        task: what they are.
        request: names group and time.
        seed: of what is drawn.
        test: the fraction of all rows.

    Raises:
        RequestError: a split would be empty.
    """
    rng = np.random.default_rng(seed)
    rest = np.arange(len(frame))
    parts: list[Array] = []
    for split, size in (("test", test), ("val", VALIDATION)):
        if size is None:
            continue
        whole = len(frame) if test is not None else len(rest)
        count = split_size(name, split, size, whole, len(rest))
        rest, taken = _cut(frame, rest, count, y, task, request, rng)
        parts.insert(0, taken)
    return [rest, *parts]


def _cut(
    frame: pd.DataFrame,
    rows: Array,
    count: int,
    y: Array,
    task: Task,
    request: DataRequest,
    rng: Any,
) -> list[Array]:
    """Cut about `count` of the rows off."""
    if request.time is not None:
        order = rows[np.argsort(ordered(frame[request.time].iloc[rows]), kind="stable")]
        return [order[:-count], order[-count:]]
    if request.group is not None:
        _, groups = np.unique(frame[request.group].iloc[rows].astype("str"), return_inverse=True)
        order = rng.permutation(groups.max() + 1)
        sizes = np.cumsum(np.bincount(groups)[order])
        many = max(1, int(np.searchsorted(sizes, count, side="right")))
        chosen = np.isin(groups, order[:many])
        return [rng.permutation(rows[~chosen]), rng.permutation(rows[chosen])]
    return cut(rows, count, y if task == "classification" else None, rng)


def ordered(series: "pd.Series[Any]") -> Array:
    """Values as numbers in their order: dates by time, numbers by size, all else by name."""
    if not pd.api.types.is_numeric_dtype(series.dtype) and Date.suits(series):
        values: Array = Date.read(series, Date.form(series)).array
    else:
        values = series.to_numpy()
    return np.unique(values, return_inverse=True)[1]
