"""A column of dates, with or without the time of day."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.tables.kinds.kind import Facts, Kind, Misread, Scaled, scale, text_of
from pipeline.data.tables.values import Values
from pipeline.errors import quoted

# As dates are written, in the order in which they are tried; the first that fits all is taken, so
# that 03/04/2024 is of March where nothing in the column says otherwise.
FORMATS = (
    "ISO8601",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%m/%d/%y",
    "%d/%m/%y",
)
DAY_S = 86_400.0
# The numbers that a date becomes. A cycle is told by its sine and cosine, so that December is
# beside January.
CYCLES = ("month", "weekday", "time of day")


class Date(Kind):
    """Days since the first date of the training rows, and its place in the year, week and day."""

    kind = "date"

    @classmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """A column of a date type, or of text that has one of `FORMATS` throughout."""
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            return True
        if pd.api.types.is_numeric_dtype(series.dtype):
            return False
        return bool(cls.form(series))

    @classmethod
    def form(cls, series: "pd.Series[Any]") -> Facts:
        """The format; nothing where there is none."""
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            return {"format": "ISO8601"}
        known = text_of(series).dropna()
        # 2024 alone is a number
        if not known.head(100).str.contains(r"\d.*[-/. ].*\d").all():
            return {}
        found = (f for f in FORMATS if _parsed(known.head(100), f).notna().all())
        return next(({"format": f} for f in found if _parsed(known, f).notna().all()), {})

    @classmethod
    def read(cls, series: "pd.Series[Any]", facts: Mapping[str, Any]) -> Values:
        """Seconds since 1970 in UTC."""
        text = text_of(series)
        written = facts.get("format", "ISO8601")
        dates = _parsed(series if _is_date(series) else text, written)
        wrong = dates.isna() & text.notna()
        if wrong.any():
            row = int(np.argmax(wrong.to_numpy()))
            raise Misread(row, f"a date ({written})", quoted(text.iloc[row]))
        # in seconds, which reach further than the years 1677 to 2262 of nanoseconds
        seconds = dates.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
        return Values(np.where(dates.isna(), np.nan, seconds.astype(np.int64).astype(np.float64)))

    @classmethod
    def fit(cls, name: str, table: Values, train: Values, form: Facts) -> Self:
        """The first date, and how its numbers are scaled."""
        known = table.array[~table.missing]
        timed = bool((known % DAY_S != 0).any())
        first = float(np.nanmin(train.array)) if not train.missing.all() else 0.0
        facts = {**form, "first": str(np.datetime64(int(first), "s")), "time_of_day": timed}
        mean, std = scale(_numbers(train.array, first, timed))
        missing = bool(table.missing.any())
        return cls(name, {**facts, "mean": mean, "std": std, "missing": missing})

    def rows(self, values: Values) -> Array:
        """Days since the first date, and sine and cosine of each cycle."""
        first = float(np.datetime64(self.facts["first"], "s").astype(np.int64))
        return _numbers(values.array, first, self.facts["time_of_day"])

    @property
    def numbers(self) -> list[Scaled]:
        """Each is scaled; that the date is missing is told once."""
        pairs = zip(self.facts["mean"], self.facts["std"], strict=True)
        return [
            Scaled(mean, std, self.facts["missing"] and not place)
            for place, (mean, std) in enumerate(pairs)
        ]

    def encoding(self) -> str:
        """Which numbers it becomes."""
        cycles = ", ".join(CYCLES[: 2 + self.facts["time_of_day"]])
        return f"days since {self.facts['first'][:10]}, {cycles} (written {self.facts['format']})"


def _is_date(series: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_any_dtype(series.dtype)


def _parsed(series: "pd.Series[Any]", written: str) -> "pd.Series[Any]":
    if _is_date(series):
        return pd.to_datetime(series, utc=True)
    return pd.to_datetime(series, format=written, errors="coerce", utc=True)


def _numbers(seconds: Array, first: float, timed: bool) -> Array:
    """`(n, 5)`, or `(n, 7)` with the time of day."""
    known = ~np.isnan(seconds)
    dates = pd.DatetimeIndex(np.where(known, seconds, 0.0).astype("datetime64[s]"))
    turns = [
        (dates.month - 1) / 12,
        dates.day_of_week / 7,
        *([(dates.hour * 3600 + dates.minute * 60 + dates.second) / DAY_S] if timed else []),
    ]
    angles = [2 * np.pi * np.asarray(turn, np.float64) for turn in turns]
    columns = [(seconds - first) / DAY_S]
    columns += [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.where(known[:, None], np.stack(columns, axis=1), np.nan)
