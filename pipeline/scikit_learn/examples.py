"""Examples as an estimator was given them, in the form that our engine takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pipeline.data.arrays import Array, Task, as_inputs
from pipeline.scikit_learn.cross_validated import CrossValidated
from pipeline.scikit_learn.targets import encoded


@dataclass(frozen=True)
class Examples:
    """Inputs `(n, …)` in float32 or whole numbers, and targets: labels from 0, or float32.

    `classes` are what the labels stand for; None of a regression.
    """

    x: Array
    y: Array
    task: Task
    classes: Array | None = None

    @classmethod
    def of(cls, X: Any, y: Array, task: Task) -> Self:
        """Make them of checked arrays.

        Raises:
            EstimatorError: there is one class alone.
            RequestError: numbers are too large for float32.
        """
        x = as_inputs("X", X)
        if task == "regression":
            return cls(x, y.astype("float32"), task)
        classes, labels = encoded(y)
        return cls(x, labels, task, classes)

    @property
    def count(self) -> int | None:
        """How many classes there are."""
        return None if self.classes is None else len(self.classes)

    def cut(self, parts: Sequence[tuple[Array, Array]] = ()) -> CrossValidated:
        """As a dataset, with the folds of a splitter."""
        return CrossValidated.of("X", self.x, self.y, self.task, parts, classes=self.count)
