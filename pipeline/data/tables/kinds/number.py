"""A column of numbers."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.tables.kinds.kind import Facts, Kind, Misread, Scaled, scale, text_of
from pipeline.data.tables.values import Values
from pipeline.errors import quoted

# What people write where a number is missing.
NO_NUMBER = {"?", "-", "--", ".", "na", "n/a", "nan", "none", "null", "unknown", "missing"}

# So many standard deviations from 0 a number loses digits in float32 that tell it from others: two
# of its seven.
FAR = 100
LARGEST = 3.4e38  # that float32 holds, which Keras computes in


class Number(Kind):
    """A number: missing values become the mean, and are told by an input of their own."""

    kind = "number"

    @classmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """A column of a numeric type, or of text that says numbers."""
        if pd.api.types.is_bool_dtype(series.dtype):
            return False
        if pd.api.types.is_numeric_dtype(series.dtype):
            return True
        if not pd.api.types.is_string_dtype(series.dtype) and series.dtype != object:
            return False
        known = text_of(series).dropna()
        numbers = _numbers(known, cls.form(series))
        odd = known[numbers.isna()].str.lower()
        return bool(numbers.notna().any()) and set(odd) <= NO_NUMBER

    @classmethod
    def form(cls, series: "pd.Series[Any]") -> Facts:
        """What a comma means where numbers have one.

        1,500 and 2,000,000 are thousands; 1,5 and 2,25 have decimals.
        """
        if pd.api.types.is_numeric_dtype(series.dtype):
            return {}
        known = text_of(series).dropna()
        comma = known[known.str.contains(",")]
        if len(comma) and comma.str.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?").all():
            return {"thousands": ","}
        if len(comma) and comma.str.fullmatch(r"[-+]?\d*,\d+").all():
            return {"decimal": ","}
        return {}

    @classmethod
    def read(cls, series: "pd.Series[Any]", facts: Mapping[str, Any]) -> Values:
        """The numbers, NaN where one is missing; an infinity is missing too."""
        if pd.api.types.is_numeric_dtype(series.dtype):
            numbers = series.astype("float64").to_numpy(na_value=np.nan)
        else:
            text = text_of(series)
            found = _numbers(text, facts)
            wrong = found.isna() & text.notna() & ~text.str.lower().isin(NO_NUMBER)
            if wrong.any():
                row = int(np.argmax(wrong.to_numpy()))
                raise Misread(row, "a number", quoted(text.iloc[row]))
            numbers = found.to_numpy(dtype=np.float64, na_value=np.nan)
        far = (np.abs(numbers) > LARGEST) & np.isfinite(numbers)
        if far.any():
            row = int(np.argmax(far))
            raise Misread(row, f"a number of at most {LARGEST:.3g}", quoted(str(series.iloc[row])))
        return Values(np.where(np.isfinite(numbers), numbers, np.nan))

    @classmethod
    def fit(cls, name: str, table: Values, train: Values, form: Facts) -> Self:
        """Mean and standard deviation of the training rows."""
        (mean,), (std,) = scale(train.array[:, None])
        missing = bool(table.missing.any())
        facts = {**form, "mean": mean, "std": std, "missing": missing}
        if abs(mean) > FAR * std:
            facts |= {"mean": 0.0, "minus": mean}
        return cls(name, facts)

    def rows(self, values: Values) -> Array:
        """The number itself; of one far from 0 what it is more than the mean."""
        numbers: Array = values.array - self.facts.get("minus", 0.0)
        return numbers[:, None]

    @property
    def numbers(self) -> list[Scaled]:
        """One."""
        return [Scaled(self.facts["mean"], self.facts["std"], self.facts["missing"])]

    def encoding(self) -> str:
        """How it is scaled."""
        mean = self.facts["mean"] + self.facts.get("minus", 0.0)
        commas = " (commas are decimal)" * ("decimal" in self.facts)
        commas += " (commas part thousands)" * ("thousands" in self.facts)
        return f"scaled: mean {mean:.4g}, std {self.facts['std']:.4g}{commas}"


def _numbers(text: "pd.Series[Any]", facts: Mapping[str, Any]) -> "pd.Series[Any]":
    if "decimal" in facts:
        text = text.str.replace(",", ".", regex=False)
    elif "thousands" in facts:
        text = text.str.replace(",", "", regex=False)
    return pd.to_numeric(text, errors="coerce")
