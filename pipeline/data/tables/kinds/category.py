"""A column of categories."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.tables.kinds.kind import Facts, Kind, text_of
from pipeline.data.tables.values import Values

MOST = 100  # categories with a code of their own: each is an input of the model


class Category(Kind):
    """One code a category that the training rows hold, the most frequent first.

    Further categories share one code, "other", where there are more than `MOST`; a missing value
    has one where the table has missing values. What has no code is encoded as none: all 0.
    """

    kind = "category"

    @classmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """Whatever it is."""
        return True

    @classmethod
    def read(cls, series: "pd.Series[Any]", facts: Mapping[str, Any]) -> Values:
        """A number for each different value."""
        codes, names = pd.factorize(text_of(series))
        return Values(np.asarray(codes, np.int64), tuple(map(str, names)))

    @classmethod
    def fit(cls, name: str, table: Values, train: Values, form: Facts) -> Self:
        """The categories of the training rows."""
        distinct = len(np.unique(table.array[~table.missing]))
        counts = np.bincount(train.array[~train.missing], minlength=len(train.names))
        known = [(-count, train.names[i]) for i, count in enumerate(counts) if count]
        categories = [category for _, category in sorted(known)[:MOST]]
        return cls(
            name,
            {
                **form,
                "categories": categories,
                "codes": min(distinct, MOST),
                "other": distinct > MOST,
                "missing": bool(table.missing.any()),
            },
        )

    def rows(self, values: Values) -> Array:
        """The code."""
        facts = self.facts
        none = self.codes
        other = facts["codes"] if facts["other"] else none
        found = values.renumbered(facts["categories"], other)
        missing = facts["codes"] + facts["other"] if facts["missing"] else none
        return np.where(values.missing, missing, found)[:, None].astype(np.float64)

    @property
    def codes(self) -> int:
        """One a category, and those of "other" and of a missing value."""
        return int(self.facts["codes"] + self.facts["other"] + self.facts["missing"])

    def encoding(self) -> str:
        """How many inputs it becomes."""
        more = ["the rest as one"] * self.facts["other"] + ["missing as one"] * self.facts[
            "missing"
        ]
        return f"one-hot, {self.codes} inputs" + (f" ({', '.join(more)})" if more else "")
