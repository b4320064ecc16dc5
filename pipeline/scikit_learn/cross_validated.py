"""Examples that are cut into given folds: all of them train, none is kept for a test.

As scikit-learn's searches have them: the folds are what a splitter's `split(X, y)` gives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.data.arrays import Array, Task
from pipeline.data.dataset import Dataset
from pipeline.data.folds import Fold, Folds
from pipeline.errors import RequestError

HANDED_BACK_THERE = "whoever gave the folds trains the best configuration on all examples"


@dataclass(frozen=True, eq=False, kw_only=True)
class CrossValidated(Dataset):
    """Examples without a test split; before a fold is chosen, without a validation split too."""

    may_be_empty: ClassVar[tuple[str, ...]] = ("val", "test")
    no_model: ClassVar[str] = HANDED_BACK_THERE

    @classmethod
    def of(
        cls,
        name: str,
        x: Array,
        y: Array,
        task: Task,
        parts: Sequence[tuple[Array, Array]] = (),
        *,
        classes: int | None = None,
        class_names: tuple[str, ...] | None = None,
    ) -> "CrossValidated":
        """All examples, with the folds that they are cut into.

        Args:
            name: what messages and records call it.
            x: inputs, `(n, *shape)`.
            y: labels `(n,)` from 0, or numbers `(n,)` or `(n, k)`.
            task: what they are.
            parts: of each fold the rows that train, and those that validate; one alone is no fold,
                but the training and the validation split.
            classes: how many there are.
            class_names: what the labels were called.
        """
        whole = cls(
            name=name,
            x_train=x,
            y_train=y,
            x_val=x[:0],
            y_val=y[:0],
            x_test=x[:0],
            y_test=y[:0],
            task=task,
            classes=classes,
            class_names=class_names,
            folds=Folds("as given", tuple(Fold(train, val) for train, val in parts)),
        )
        return whole if len(parts) > 1 else whole.fold(0) if parts else whole.whole()

    def with_folds(self, count: int, seed: int) -> Self:
        """Itself: it has its folds.

        Raises:
            RequestError: another number is asked for.
        """
        if self.folds is None or len(self.folds) != count:
            held = 1 if self.folds is None else len(self.folds)
            raise RequestError(
                f"Dataset {self.name!r}: folds must be the {held} that it has; got {count}."
            )
        return self

    def whole(self) -> Self:
        """All examples to train on."""
        return self.recut(np.arange(len(self.x_train) + len(self.x_val)), np.arange(0))

    def measured(self) -> dict[str, tuple[Any, ...]]:
        """The validation split, where a fold was chosen."""
        return {"validation": (self.x_val, self.y_val)} if len(self.x_val) else {}
