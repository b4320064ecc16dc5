"""Examples as an estimator was given them, in the form that our engine takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pipeline.data.arrays import Array, Task
from pipeline.scikit_learn.cross_validated import CrossValidated
from pipeline.scikit_learn.targets import encoded


@dataclass(frozen=True)
class Examples:
    """Inputs `(n, …)` and targets, labels from 0 or numbers, as precise as they were given.

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
        """
        if task == "regression":
            return cls(X, y, task)
        classes, labels = encoded(y)
        return cls(X, labels, task, classes)

    @property
    def count(self) -> int | None:
        """How many classes there are."""
        return None if self.classes is None else len(self.classes)

    def cut(self, parts: Sequence[tuple[Array, Array]] = ()) -> CrossValidated:
        """As a dataset, with the folds of a splitter."""
        return CrossValidated.of("X", self.x, self.y, self.task, parts, classes=self.count)
