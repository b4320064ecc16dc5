"""Groups and times of a table's rows, by which it is cut into splits and folds."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.request import DataRequest
from pipeline.data.tables.kinds.kind import kind_class, text_of
from pipeline.data.tables.place import Place
from pipeline.errors import RequestError, quoted


def orders(
    frame: pd.DataFrame,
    tests: pd.DataFrame | None,
    request: DataRequest,
    where: Place,
    there: Place,
) -> dict[str, Array | None]:
    """Numbers of the rows' groups and times, `(n,)`, where they are asked for.

    Raises:
        RequestError: test rows of their own are of groups that train, or no later than these.
    """
    found: dict[str, Array | None] = {"groups": None, "times": None}
    places = ((frame, where), *([(tests, there)] if tests is not None else []))
    if request.group is not None:
        parts = [_names(part[request.group], place) for part, place in places]
        shared = sorted(set(parts[0]) & set(parts[1])) if len(parts) > 1 else []
        if shared:
            raise RequestError(
                f"{there.called} must have no rows of a group that trains; {len(shared)} values of "
                f"{request.group!r} are in both, {shared[0]!r} among them."
            )
        found["groups"] = np.unique(parts[0], return_inverse=True)[1]
    if request.time is not None:
        times = [_times(part[request.time], place) for part, place in places]
        if len(times) > 1 and times[1].min() <= times[0].max():
            raise RequestError(
                f"{there.called} must have rows that are all later by {request.time!r} than those "
                f"of {where.called}; some are not."
            )
        found["times"] = np.unique(times[0], return_inverse=True)[1]
    return found


def _names(series: "pd.Series[Any]", where: Place) -> Array:
    """The values as text.

    Raises:
        RequestError: one is missing.
    """
    _check_whole(series, where)
    return text_of(series).to_numpy(dtype=object)


def _times(series: "pd.Series[Any]", where: Place) -> Array:
    """Numbers in the order of the values: numbers as they are, dates as seconds.

    Raises:
        RequestError: one is missing, or they are neither.
    """
    _check_whole(series, where)
    date, number = kind_class("date"), kind_class("number")
    for kind in (number, date):
        if kind.suits(series):
            return kind.read(series, kind.form(series)).array
    raise RequestError(
        f"{where.called}, column {series.name!r}: must be numbers, or dates in one format, to say "
        f"what is later; got {quoted(str(series.iloc[0]))}."
    )


def _check_whole(series: "pd.Series[Any]", where: Place) -> None:
    missing = text_of(series).isna().to_numpy()
    if missing.any():
        place = where.at(series.index[int(np.argmax(missing))])
        raise RequestError(f"{place}, column {series.name!r}: must have a value; it is missing.")
