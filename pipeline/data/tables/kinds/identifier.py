"""A column that names its row and says nothing about it."""

import re
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.tables.kinds.category import Category
from pipeline.data.tables.kinds.kind import text_of
from pipeline.data.tables.values import Values

LEAST = 20  # rows: fewer may differ by chance
# So large a share of the values stands once; half of them do in a column that is called so.
DIFFERENT, HALF = 0.9, 0.5
CALLED = re.compile(r"(?i:(^|[_\W])id$|^id([_\W]|$)|^uuid$)|[a-z]I[dD]$")


class Identifier(Category):
    """Left out: a model that knows each row by its name has learnt nothing of others."""

    kind = "identifier"

    @classmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """Whether almost every value is another, of whole numbers or of single words.

        Whole numbers count up, or the column is called id.
        """
        known = series.dropna()
        called = CALLED.search(str(series.name)) is not None
        least = HALF if called else DIFFERENT
        if len(known) < LEAST or known.nunique() < least * len(known):
            return False
        if pd.api.types.is_integer_dtype(series.dtype):
            counted = len(known) == len(series) and bool((np.diff(known.to_numpy()) == 1).all())
            return called or counted
        if pd.api.types.is_numeric_dtype(series.dtype):
            return False
        from pipeline.data.tables.kinds.date import Date
        from pipeline.data.tables.kinds.number import Number

        single = not text_of(known).dropna().str.contains(r"\s").mean() > 0.1
        return single and not Number.suits(series) and not Date.suits(series)

    def rows(self, values: Values) -> Array:
        """No number: it is no input."""
        return np.empty((len(values), 0))

    @property
    def codes(self) -> int:
        """None."""
        return 0

    def encoding(self) -> str:
        """How it is not."""
        return "left out"
