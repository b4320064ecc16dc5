"""Data as they were given, for code of the user's own that is handed them.

On their way they are bytes: a tensor would import its backend where it is unpacked, and what lies
in Ray's store cannot be written.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data import conversion
from pipeline.data.conversion import Array, is_of


@dataclass(frozen=True, eq=False)
class Kept:
    """A table, a list, a tensor or another array as it was given.

    Args:
        content: it, pickled: an array of bytes, which a node holds once.
        shape: of what Keras makes of it; of what it is where that is nothing.
        dtype: likewise.
        as_array: makes it of it.
    """

    content: Array
    shape: tuple[int, ...]
    dtype: str
    as_array: Callable[[Any], Any]

    @classmethod
    def of(cls, part: Any, as_array: Callable[[Any], Any]) -> "Kept":
        """Keep it; `as_array` makes of it what Keras would.

        Raises:
            Unfit: it is neither numbers nor can it be kept as it is.
        """
        try:
            content = np.frombuffer(pickle.dumps(part, 5), np.uint8)
        except Exception:  # each library has its own
            raise conversion.Unfit(
                f"it is a {type(part).__name__}, which cannot be sent as it is", conversion.ARRAY
            ) from None
        try:
            array = as_array(part)
            return cls(content, tuple(array.shape), str(array.dtype), as_array)
        except conversion.Unfit:
            shape = tuple(getattr(part, "shape", ())) or (len(part),)
            return cls(content, shape, "object", as_array)

    def __getitem__(self, rows: slice) -> "Kept":
        whole = self.whole()
        if is_of(whole, "pandas", "DataFrame") or is_of(whole, "pandas", "Series"):
            return Kept.of(whole.iloc[rows], self.as_array)
        if conversion.is_sparse(whole):
            return Kept.of(whole.tocsr()[rows].asformat(whole.format), self.as_array)
        return Kept.of(whole[rows], self.as_array)

    def whole(self) -> Any:
        """It, anew each time."""
        return pickle.loads(self.content.data)

    def array(self) -> Any:
        """What Keras makes of it.

        Raises:
            Unfit: it is no numbers.
        """
        return self.as_array(self.whole())

    def get_config(self) -> dict[str, Any]:
        """What tells it from another: see `digest`."""
        whole = self.whole()
        try:
            values = self.as_array(whole)
        except conversion.Unfit:
            values = whole
        columns = [str(column) for column in getattr(whole, "columns", ())]
        return {"kind": type(whole).__name__, "columns": columns, "values": values}


def is_plain(part: Any) -> bool:
    """Whether it travels as it is: an array of numbers."""
    return type(part) is np.ndarray and part.dtype.kind in "biufc"
