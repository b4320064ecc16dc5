"""What every kind of column can do: recognise it, fit it on the training rows, encode it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Self

import pandas as pd

from pipeline.data.arrays import Array, scale_of
from pipeline.data.tables.kinds import COLUMN_KINDS
from pipeline.data.tables.values import Values

Facts = dict[str, Any]

# Texts that stand for a missing value, in a file as in a frame: those that pandas takes for it.
MISSING = {
    *("", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>"),
    *("#N/A", "#N/A N/A", "#NA", "#IND", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN"),
}


class Kind(ABC):
    """A column as it was fitted on the training rows.

    Its values are encoded in two steps. `rows` gives the numbers that stand in the input row of a
    saved model. The model's first layers do the rest: a number is brought to mean 0 and standard
    deviation 1 (missing values, NaN in the row, become 0, and are told by an input of their own),
    and a code becomes the 1 among as many 0s as there are codes.

    Args:
        name: the column's.
        facts: what was fitted, as it is written to `best/preprocessing.json`.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, facts: Facts) -> None:
        self.name, self.facts = name, facts

    @classmethod
    @abstractmethod
    def suits(cls, series: "pd.Series[Any]") -> bool:
        """Whether a column looks like this kind. `series` has a value that is not missing."""

    @classmethod
    @abstractmethod
    def read(cls, series: "pd.Series[Any]", facts: Mapping[str, Any]) -> Values:
        """The column's values.

        Args:
            series: the column.
            facts: how it is written: what `form` found.

        Raises:
            Misread: a value is not of this kind.
        """

    @classmethod
    def form(cls, series: "pd.Series[Any]") -> Facts:
        """How the column is written, such as the format of its dates."""
        return {}

    @classmethod
    @abstractmethod
    def fit(cls, name: str, table: Values, train: Values, form: Facts) -> Self:
        """Fit it.

        Args:
            name: the column's.
            table: its values in the whole table but the test rows. They decide the size of the
                encoding, so that all folds have one shape, and nothing else.
            train: its values in the training rows. They decide everything else.
            form: see `form`.
        """

    @abstractmethod
    def rows(self, values: Values) -> Array:
        """The numbers that stand in the model's input row, `(n, width)` float64."""

    @property
    def numbers(self) -> list["Scaled"]:
        """How each number of `rows` is scaled; empty of a column that has codes."""
        return []

    @property
    def codes(self) -> int:
        """How many codes it has; 0 of a column of numbers. Code `codes` stands for none of them."""
        return 0

    @abstractmethod
    def encoding(self) -> str:
        """How it is encoded, in a few words."""

    def plain(self) -> Facts:
        """All of it, for JSON."""
        return {"name": self.name, "kind": self.kind, **self.facts}


@dataclass(frozen=True)
class Scaled:
    """How one number of an input row is scaled: `(value - mean) / std`, and 0 if it is missing.

    `tells_missing` says whether one more input tells if it is missing.
    """

    mean: float
    std: float
    tells_missing: bool


class Misread(ValueError):
    """A value that is not of the kind that its column was said to be.

    Args:
        row: its place, from 0.
        must: what it must be.
        came: the value.
    """

    def __init__(self, row: int, must: str, came: Any) -> None:
        super().__init__(f"must be {must}; got {came!r}")
        self.row, self.must, self.came = row, must, came


def kind_class(kind: str) -> type[Kind]:
    """The class of a kind of column, by its name."""
    module, _, name = COLUMN_KINDS[kind].partition(":")
    found: type[Kind] = getattr(import_module(module), name)
    return found


def scale(numbers: Array) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each column of `(n, k)`, as `scale_of`, for JSON."""
    mean, std = scale_of(numbers)
    return mean.tolist(), std.tolist()


def text_of(series: "pd.Series[Any]") -> "pd.Series[Any]":
    """The values as text without spaces around them; NA where one is missing.

    Whole numbers are written as such, also where holes have made them floats.
    """
    if pd.api.types.is_bool_dtype(series.dtype):
        text = series.astype("str")
    elif pd.api.types.is_integer_dtype(series.dtype):
        text = series.astype("Int64").astype("str")
    elif pd.api.types.is_numeric_dtype(series.dtype):
        text = series.map(lambda value: f"{value:.15g}", na_action="ignore").astype("str")
    else:
        text = series.astype("str").str.strip()
    return text.mask(series.isna() | text.isin(MISSING))
