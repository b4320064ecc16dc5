"""A column of texts."""

import re
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.tables.kinds.kind import Facts, Kind, Scaled, scale, text_of
from pipeline.data.tables.values import Values

MOST = 200  # words that are inputs of the model
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
WORDS_A_TEXT = 2.0  # a column whose values have fewer on average is one of categories


class Text(Kind):
    """Whether each of the most frequent words of the training rows stands in it."""

    kind = "text"

    @classmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """A column of text with several words a value, most of whose values differ."""
        if pd.api.types.is_numeric_dtype(series.dtype):
            return False
        known = text_of(series).dropna()
        if known.nunique() < 0.5 * len(known):
            return False
        words = known.head(1000).str.count(r"\w+").mean()
        return bool(words >= WORDS_A_TEXT)

    @classmethod
    def read(cls, series: "pd.Series[Any]", facts: Mapping[str, Any]) -> Values:
        """The numbers of each text's different words."""
        known: dict[str, int] = {}
        found: list[int] = []
        ends = []
        for text in text_of(series).fillna(""):
            found += [
                known.setdefault(word, len(known))
                for word in dict.fromkeys(WORD.findall(str(text).lower()))
            ]
            ends.append(len(found))
        return Values(np.array(found, np.int64), tuple(known), np.array(ends, np.int64))

    @classmethod
    def fit(cls, name: str, table: Values, train: Values, form: Facts) -> Self:
        """The words that the training rows hold."""
        counts = np.bincount(train.array, minlength=len(train.names))
        # a word that stands in one text, or in every one, tells none from another
        told = [
            (-count, train.names[i]) for i, count in enumerate(counts) if 1 < count < len(train)
        ]
        vocabulary = [word for _, word in sorted(told)[:MOST]]
        size = min(MOST, len(np.unique(table.array)))
        made = cls(name, {**form, "words": vocabulary, "size": size})
        mean, std = scale(made.rows(train))
        return cls(name, {**made.facts, "mean": mean, "std": std})

    def rows(self, values: Values) -> Array:
        """1 for each word that stands in the text, `(n, size)`."""
        assert values.ends is not None
        words = values.renumbered(self.facts["words"], -1)
        sizes = np.diff(values.ends, prepend=0)
        row = np.repeat(np.arange(len(values)), sizes)
        held = np.zeros((len(values), self.facts["size"]))
        held[row[words >= 0], words[words >= 0]] = 1.0
        return held

    @property
    def numbers(self) -> list[Scaled]:
        """One a word."""
        pairs = zip(self.facts["mean"], self.facts["std"], strict=True)
        return [Scaled(mean, std, False) for mean, std in pairs]

    def encoding(self) -> str:
        """How many words."""
        return f"which of {len(self.facts['words'])} words it holds"
