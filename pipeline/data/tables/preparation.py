"""From a table's columns to the inputs of a model: fitted on the training rows alone.

The way has two halves. `rows` makes the numbers of a saved model's input row out of names, dates
and texts, which Keras cannot hold inside a model on every backend. `features` scales them and makes
codes into ones and zeros; a saved model does this in its first layers
(`worker.serving.whole_model`), so that it takes rows as they are. A search does it once, before the
trials.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.data.tables.kinds.kind import Facts, Kind, Scaled, kind_class
from pipeline.data.tables.values import Values


@dataclass(frozen=True)
class Preparation:
    """The fitted columns, in the order of the table."""

    columns: tuple[Kind, ...]

    @classmethod
    def fit(
        cls, forms: Mapping[str, tuple[str, Facts]], values: Mapping[str, Values], train: Array
    ) -> "Preparation":
        """Fit each column on the training rows.

        Args:
            forms: of each column its kind and how it is written.
            values: the columns' values in all rows but those of the test split.
            train: which of these rows train.
        """
        return cls(
            tuple(
                kind_class(kind).fit(name, values[name], values[name][train], form)
                for name, (kind, form) in forms.items()
            )
        )

    @classmethod
    def of_plain(cls, plain: Sequence[Mapping[str, Any]]) -> "Preparation":
        """What `plain` returned."""
        return cls(
            tuple(
                kind_class(facts["kind"])(
                    facts["name"], {k: v for k, v in facts.items() if k not in ("name", "kind")}
                )
                for facts in plain
            )
        )

    def plain(self) -> list[Facts]:
        """The fitted columns for JSON."""
        return [column.plain() for column in self.columns]

    @cached_property
    def _numbers(self) -> list[tuple[int, int, Scaled]]:
        """Column, place in its numbers, how it is scaled; those that tell missing come first."""
        found = [
            (c, i, scaled)
            for c, column in enumerate(self.columns)
            for i, scaled in enumerate(column.numbers)
        ]
        return sorted(found, key=lambda number: not number[2].tells_missing)

    @cached_property
    def _coded(self) -> list[int]:
        """Columns that have codes."""
        return [c for c, column in enumerate(self.columns) if column.codes]

    @property
    def width(self) -> int:
        """Numbers of an input row: first those that are scaled, then a code a column."""
        return len(self._numbers) + len(self._coded)

    @property
    def scaling(self) -> tuple[Array, Array]:
        """What each scaled number of a row is multiplied by, and what is added then; float32."""
        mean = np.array([number.mean for _, _, number in self._numbers], np.float64)
        std = np.array([number.std for _, _, number in self._numbers], np.float64)
        return (1 / std).astype(np.float32), (-mean / std).astype(np.float32)

    @property
    def telling_missing(self) -> int:
        """How many of a row's first numbers have an input that tells if they are missing."""
        return sum(number.tells_missing for _, _, number in self._numbers)

    @property
    def codes(self) -> int:
        """Codes of all columns together; in a row this number is the code of none of them."""
        return sum(column.codes for column in self.columns)

    def row_names(self) -> list[str]:
        """What stands at each place of an input row."""
        several = [len(column.numbers) > 1 for column in self.columns]
        return [
            self.columns[c].name + (f" [{i}]" if several[c] else "") for c, i, _ in self._numbers
        ] + [self.columns[c].name for c in self._coded]

    def rows(self, values: Mapping[str, Values]) -> Array:
        """The input rows of these values, `(n, width)` float32; NaN for a missing number."""
        each = [column.rows(values[column.name]) for column in self.columns]
        parts = [each[c][:, i] for c, i, _ in self._numbers]
        first = 0
        for c in self._coded:
            codes, none = each[c][:, 0], self.columns[c].codes
            parts.append(np.where(codes == none, self.codes, codes + first))
            first += none
        count = len(next(iter(values.values()))) if values else 0
        return np.stack(parts, axis=1).astype(np.float32) if parts else np.empty((count, 0))

    def features(self, rows: Array) -> Array:
        """What the model's first layers make of input rows, `(n, features)` float32."""
        scale, offset = self.scaling
        numbers = rows[:, : len(scale)]
        missing = np.isnan(numbers)
        parts = [
            np.where(missing, np.float32(0), numbers * scale + offset),
            missing[:, : self.telling_missing].astype(np.float32),
        ]
        if self.codes:
            codes = rows[:, len(scale) :].astype(np.int64)
            hot = np.zeros((len(rows), self.codes + 1), np.float32)
            np.put_along_axis(hot, codes, np.float32(1), axis=1)
            parts.append(hot[:, :-1])
        return np.concatenate(parts, axis=1)
