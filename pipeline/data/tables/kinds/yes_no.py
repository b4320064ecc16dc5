"""A column of yes and no."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.tables.kinds.kind import Misread, text_of
from pipeline.data.tables.kinds.number import Number
from pipeline.data.tables.values import Values
from pipeline.errors import quoted

WORDS = {
    **dict.fromkeys(("yes", "y", "true", "t", "on", "1", "1.0"), 1.0),
    **dict.fromkeys(("no", "n", "false", "f", "off", "0", "0.0"), 0.0),
}


class YesNo(Number):
    """Yes is 1, no is 0; scaled as a number is."""

    kind = "yes/no"

    @classmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """A column of truth values, of 0 and 1, or of words for yes and no."""
        if pd.api.types.is_bool_dtype(series.dtype):
            return True
        # the first values tell of most columns that they are none of these
        if not _words(series.head(100)) <= WORDS.keys():
            return False
        found = _words(series)
        return len(found) == 2 and found <= WORDS.keys()

    @classmethod
    def read(cls, series: "pd.Series[Any]", facts: Mapping[str, Any]) -> Values:
        """1, 0, or NaN where it is missing."""
        text = text_of(series).str.lower()
        found = text.map(WORDS)
        wrong = found.isna() & text.notna()
        if wrong.any():
            row = int(np.argmax(wrong.to_numpy()))
            raise Misread(row, "yes or no", quoted(series.iloc[row]))
        return Values(found.to_numpy(dtype=np.float64, na_value=np.nan))

    @classmethod
    def form(cls, series: "pd.Series[Any]") -> dict[str, Any]:
        """Nothing more: the words are known."""
        return {}

    def encoding(self) -> str:
        """How it is scaled."""
        return f"scaled: {self.facts['mean']:.1%} yes"


def _words(series: "pd.Series[Any]") -> set[str]:
    """What stands in it, each once."""
    return set(text_of(series.dropna().drop_duplicates()).dropna().str.lower())
