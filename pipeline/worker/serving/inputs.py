"""From things as they are to a saved model's inputs: rows of a table, pictures, arrays."""

import math
import os
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.conversion import Unfit, as_array
from pipeline.data.dataset import kind_of
from pipeline.data.pictures.decoding import Undecodable, decoded, read_pictures
from pipeline.data.pictures.listing import pictures_in
from pipeline.data.tables.kinds import READ_AS_TEXT
from pipeline.data.tables.kinds.kind import Misread, kind_class
from pipeline.data.tables.place import Place
from pipeline.data.tables.preparation import Preparation
from pipeline.data.tables.reading import header_of, read_frame
from pipeline.errors import RequestError, one_line, quoted


class Inputs(Protocol):
    """Makes inputs of what `predict` is given."""

    def __call__(self, given: Any) -> tuple[Array, "pd.Index[Any]"]:
        """The model's inputs `(n, …)`, and what each is called.

        Raises:
            RequestError: something is missing or cannot be; says what.
        """

    def made_up(self, count: int, rng: np.random.Generator) -> Array:
        """So many inputs that mean nothing, and that the model takes."""


class TableRows:
    """Rows of a table, as a DataFrame, a dictionary of columns, a list of dictionaries or a path.

    A category that did not train, and a missing value, are encoded as the plan of the search says:
    as "other" or "missing" where the training rows had such, else as no category at all. A missing
    number counts as the mean. Columns that the model does not take are no fault.
    """

    def __init__(self, preprocessing: Mapping[str, Any], called: str) -> None:
        self.preparation = Preparation.of_plain(preprocessing["columns"])
        self._called = called

    def __call__(self, given: Any) -> tuple[Array, "pd.Index[Any]"]:
        """Encode the rows."""
        frame, place = _frame(given, self.preparation)
        called = place.called
        columns = [column.name for column in self.preparation.columns]
        lacking = [name for name in columns if name not in frame.columns]
        if lacking:
            raise RequestError(
                f"{called} must have the columns that {self._called} was trained on; it lacks "
                f"{one_line(', '.join(lacking), 400)}."
            )
        values = {}
        for column in self.preparation.columns:
            try:
                read = kind_class(column.kind).read
                values[column.name] = read(frame[column.name], column.facts)
            except Misread as error:
                raise RequestError(
                    f"{place.at(frame.index[error.row])}, column {column.name!r}: must be "
                    f"{error.must}; got {error.came}."
                ) from error
        index = given.index if isinstance(given, pd.DataFrame) else pd.RangeIndex(len(frame))
        return self.preparation.rows(values), index

    def made_up(self, count: int, rng: np.random.Generator) -> Array:
        """Numbers as far apart as those that trained; each code is one of its column's."""
        scale, offset = self.preparation.scaling
        parts: list[Array] = [(rng.normal(size=(count, len(scale))) - offset) / scale]
        first = 0
        for codes in (column.codes for column in self.preparation.columns if column.codes):
            parts.append(rng.integers(first, first + codes, size=(count, 1)))
            first += codes
        return np.concatenate(parts, axis=1).astype(np.float32)


def read_rows(path: str, preparation: Preparation, most_bytes: float | None = None) -> pd.DataFrame:
    """Read the columns of a file that a model takes, as they were read when it was trained.

    Args:
        path: of the file.
        preparation: what was fitted on the training rows.
        most_bytes: as `read_frame`'s.

    Raises:
        RequestError: it cannot be read; says the line.
    """
    names = set(header_of(path))
    there = [column for column in preparation.columns if column.name in names]
    text = [column.name for column in there if column.kind in READ_AS_TEXT]
    held = [column.name for column in there] or None
    return read_frame(path, held, most_bytes=most_bytes, text=text)[0]


def _frame(given: Any, preparation: Preparation) -> tuple[pd.DataFrame, Place]:
    """Rows as a table, and how messages call a row."""
    if isinstance(given, str | os.PathLike):
        path = os.path.expanduser(os.fspath(given))
        # all of it, however large: each row wants its answer
        return read_rows(path, preparation, math.inf), Place(path, True)
    if isinstance(given, pd.DataFrame):
        frame = given.rename(columns=str).reset_index(drop=True)
        doubled = frame.columns[frame.columns.duplicated()]
        if len(doubled):
            raise RequestError(
                f"The table must name each column once; {quoted(doubled[0])} stands twice."
            )
        return frame, Place("The table", False)
    if isinstance(given, dict | list):
        rows = given if isinstance(given, list) else []
        if other := [row for row in rows if not isinstance(row, dict)]:
            raise RequestError(
                f"A list of rows must hold dictionaries; it holds {kind_of(other[0])}."
            )
        try:
            return pd.DataFrame(given), Place("The table", False)
        except ValueError as error:
            raise RequestError(f"Rows must make a table; {one_line(str(error))}.") from error
    raise RequestError(
        "Rows must be a DataFrame, a dictionary of columns, a list of dictionaries or the path of "
        f"a table; got {type(given).__name__}."
    )


class PictureFiles:
    """Pictures: the path of one, a list of paths, a folder of them, a file's bytes, or pixels."""

    def __init__(self, preprocessing: Mapping[str, Any], called: str) -> None:
        height, width = preprocessing["size"]
        self._shape = (height, width, preprocessing["channels"])
        self._arrays = Arrays({"shape": self._shape, "dtype": "uint8"}, called)

    def __call__(self, given: Any) -> tuple[Array, "pd.Index[Any]"]:
        """Decode and resize them."""
        height, width, channels = self._shape
        if isinstance(given, bytes):
            try:
                picture = decoded(BytesIO(given), (height, width), channels)
            except Undecodable as error:
                raise RequestError(
                    f"A picture must be one that can be decoded; {error}."
                ) from error
            return picture[None], pd.RangeIndex(1)
        if hasattr(given, "shape"):
            return self._arrays(given)
        paths = pictures_in(given)
        index = pd.Index(paths, name="picture")
        return read_pictures(paths, (height, width), channels), index

    def made_up(self, count: int, rng: np.random.Generator) -> Array:
        """Pixels of any brightness."""
        return rng.integers(256, size=(count, *self._shape)).astype(np.uint8)


class Arrays:
    """An array of examples."""

    def __init__(self, preprocessing: Mapping[str, Any], called: str) -> None:
        self._shape, self._dtype = tuple(preprocessing["shape"]), preprocessing["dtype"]
        self._called = called

    def made_up(self, count: int, rng: np.random.Generator) -> Array:
        """Numbers around 0; of whole numbers, which may be places in a list, 0 and 1."""
        shape = (count, *self._shape)
        whole = np.dtype(self._dtype).kind in "iub"
        drawn = rng.integers(2, size=shape) if whole else rng.normal(size=shape)
        return drawn.astype(self._dtype)

    def __call__(self, given: Any) -> tuple[Array, "pd.Index[Any]"]:
        """Check them."""
        must = f"{self._called} takes arrays of shape (n, {', '.join(map(str, self._shape))})"
        try:
            array = as_array(given)
        except Unfit as error:
            raise RequestError(f"{must}; {error}") from error
        if array.shape[1:] != self._shape or array.ndim == 0:
            raise RequestError(f"{must}; got {array.shape}.")
        return np.asarray(array, self._dtype), pd.RangeIndex(len(array))


WAYS: dict[str, Any] = {"table": TableRows, "pictures": PictureFiles, "arrays": Arrays}
