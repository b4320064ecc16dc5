"""A table that was read, cut and prepared."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.data.dataset import Dataset
from pipeline.data.tables.kinds.kind import Facts
from pipeline.data.tables.preparation import Preparation
from pipeline.data.tables.values import Values


@dataclass(frozen=True, eq=False, kw_only=True)
class TableDataset(Dataset):
    """A dataset whose inputs are a table's columns, prepared by what its training rows say.

    Args:
        target: the column that is predicted.
        forms: of each column its kind and how it is written.
        values: the columns' values in the training rows, followed by the validation rows.
        test_values: those of the test rows.
        preparation: what was fitted on the training rows.
        left_out: a line for each column that is no input, saying why.
        notes: what a person should know of how the table was read.
    """

    target: str
    forms: Mapping[str, tuple[str, Facts]]
    values: Mapping[str, Values]
    test_values: Mapping[str, Values]
    preparation: Preparation
    left_out: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        forms: Mapping[str, tuple[str, Facts]],
        values: Mapping[str, Values],
        test_values: Mapping[str, Values],
        y: tuple[Array, Array, Array],
        **facts: Any,
    ) -> "TableDataset":
        """Fit the preparation and make the inputs.

        Args:
            forms: see the class.
            values: likewise.
            test_values: likewise.
            y: targets of the training, the validation and the test rows.
            facts: everything else.
        """
        train, val = np.split(np.arange(len(y[0]) + len(y[1])), [len(y[0])])
        preparation = Preparation.fit(forms, values, train)
        inputs = preparation.features(preparation.rows(values))
        return cls(
            forms=forms,
            values=values,
            test_values=test_values,
            preparation=preparation,
            x_train=inputs[train],
            x_val=inputs[val],
            x_test=preparation.features(preparation.rows(test_values)),
            y_train=y[0],
            y_val=y[1],
            y_test=y[2],
            **facts,
        )

    def recut(self, train: Array, val: Array) -> "TableDataset":
        """The same rows, cut anew; what is fitted is fitted on these training rows alone."""
        y = np.concatenate([self.y_train, self.y_val])
        kept = np.concatenate([train, val])
        # the whole table decides how many codes there are: no fold's part of it
        preparation = Preparation.fit(self.forms, self.values, train)
        inputs = preparation.features(preparation.rows(self.values))
        return replace(
            self,
            values={name: values[kept] for name, values in self.values.items()},
            preparation=preparation,
            x_train=inputs[train],
            x_val=inputs[val],
            x_test=preparation.features(preparation.rows(self.test_values)),
            y_train=y[train],
            y_val=y[val],
            groups=None if self.groups is None else self.groups[kept],
            times=None if self.times is None else self.times[kept],
            folds=None,
        )

    @property
    def target_scale(self) -> tuple[float, float] | None:
        """Mean and standard deviation of a regression's target in the training rows."""
        if self.task != "regression":
            return None
        std = float(self.y_train.std(dtype=np.float64))
        return float(self.y_train.mean(dtype=np.float64)), std or 1.0

    @property
    def _scale(self) -> dict[str, float] | None:
        scale = self.target_scale
        return None if scale is None else {"mean": scale[0], "std": scale[1]}

    def measured(self) -> dict[str, tuple[Any, ...]]:
        """Input rows and targets of each split that the saved model is measured on."""
        val = {name: values[self._val_rows] for name, values in self.values.items()}
        return {
            "validation": (self.preparation.rows(val), self.y_val),
            "test": (self.preparation.rows(self.test_values), self.y_test),
        }

    @property
    def _val_rows(self) -> Array:
        return np.arange(len(self.y_train), len(self.y_train) + len(self.y_val))

    def preprocessing(self) -> dict[str, Any]:
        """What makes a table's rows into the input rows of a saved model, fit for JSON."""
        return {
            "kind": "table",
            "target": self.target,
            "task": self.task,
            "class_names": None if self.class_names is None else list(self.class_names),
            "target_scale": self._scale,
            "row": self.preparation.row_names(),
            "columns": self.preparation.plain(),
            "left_out": list(self.left_out),
        }

    def describe(self) -> dict[str, Any]:
        """What the dataset is, with its columns."""
        missing = {
            name: int(values.missing.sum() + self.test_values[name].missing.sum())
            for name, values in self.values.items()
        }
        columns = [
            {
                "name": column.name,
                "kind": column.kind,
                "missing": missing[column.name],
                "encoding": column.encoding(),
            }
            for column in self.preparation.columns
        ]
        columns += [
            {"name": name, "kind": "left out", "missing": None, "encoding": why}
            for name, why in self.left_out.items()
        ]
        return super().describe() | {
            "target": self.target,
            "target_scale": self._scale,
            "columns": columns,
            "notes": list(self.notes),
        }
