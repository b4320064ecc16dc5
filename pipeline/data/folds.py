"""Cuts examples into folds, each validated once by a model that was trained on the others.

With scikit-learn's splitters, so that a person who calls them gets the same parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.arrays import Array, Task
from pipeline.errors import RequestError, quoted


@dataclass(frozen=True)
class Fold:
    """The rows of one fold: those that are trained on, and those that validate."""

    train: Array
    val: Array


@dataclass(frozen=True)
class Folds:
    """All folds, and what they were cut by."""

    by: str
    parts: tuple[Fold, ...]

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def counts(self) -> dict[str, int]:
        """How many examples are cut into folds, and how many of them are validated."""
        val = np.unique(np.concatenate([part.val for part in self.parts]))
        train = np.concatenate([part.train for part in self.parts])
        return {"train": len(np.union1d(train, val)), "val": len(val)}

    def describe(self) -> dict[str, Any]:
        """What is told and recorded of them."""
        return {"count": len(self), "by": self.by}


def cut_folds(
    name: str,
    count: int,
    targets: Array,
    task: Task,
    seed: int,
    *,
    groups: Array | None = None,
    times: Array | None = None,
    class_names: Sequence[str] | None = None,
) -> Folds:
    """Cut rows into folds.

    The same parts come of scikit-learn's splitters by hand. The rows are the training examples
    followed by the validation examples of the hold-out split, as `load(seed)` or
    `Dataset.split(…, seed)` gives them: `y = np.concatenate([data.y_train, data.y_val])`. Then

    - of classes: `StratifiedKFold(count, shuffle=True, random_state=seed).split(y, y)`, of one-hot
      labels with `y.argmax(axis=1)`
    - of a regression: `KFold(count, shuffle=True, random_state=seed).split(y)`
    - of classes in groups: `StratifiedGroupKFold(count, shuffle=True, random_state=seed)
      .split(y, y, groups)`
    - of a regression in groups: `GroupKFold(count, shuffle=True, random_state=seed)
      .split(y, y, groups)`
    - by time: `TimeSeriesSplit(count).split(order)`, whose parts are places in
      `order = np.argsort(times, kind="stable")`

    Args:
        name: of the dataset, for messages.
        count: how many folds, 2 or more.
        targets: labels `(n,)`, one-hot labels `(n, classes)`, or numbers `(n,)` or `(n, k)`.
        task: what they are.
        seed: the experiment's.
        groups: `(n,)`; rows of one group are in one part.
        times: `(n,)`; what validates a fold is later than what was trained on.
        class_names: what the labels 0, 1, … are called.

    Raises:
        RequestError: there are too few rows, or too few of a class, or too few groups.
    """
    rows = len(targets)
    if groups is not None and times is not None:
        raise RequestError(
            f"Dataset {name!r}: folds must be cut by groups or by time; both are given."
        )
    for what, values in (("groups", groups), ("times", times)):
        if values is not None and len(values) != rows:
            raise RequestError(
                f"Dataset {name!r}: {what} must have a value for each of the {rows} training and "
                f"validation rows; got {len(values)}."
            )
    most = rows - 1 if times is not None else rows  # the earliest part validates nothing
    if count > most:
        raise RequestError(
            f"Dataset {name!r}: folds must be {most} at most{' by time' * (times is not None)}, "
            f"with {rows} rows to train and validate on; got {count}."
        )
    if times is not None:
        return Folds("by time", tuple(_by_time(count, times)))
    if groups is not None and count > (found := len(np.unique(groups))):
        raise RequestError(
            f"Dataset {name!r}: folds must not be more than the groups, of which there are "
            f"{found}; got {count}."
        )
    labels = None
    if task == "classification":
        labels = targets.argmax(axis=1) if targets.ndim > 1 else targets
        _check_classes(name, count, labels, class_names)
    from sklearn import model_selection  # it takes a second, which other searches save

    by, splitter = {
        (True, False): ("stratified", model_selection.StratifiedKFold),
        (True, True): ("stratified by group", model_selection.StratifiedGroupKFold),
        (False, False): ("shuffled", model_selection.KFold),
        (False, True): ("by group", model_selection.GroupKFold),
    }[labels is not None, groups is not None]
    cut = splitter(count, shuffle=True, random_state=seed).split(np.arange(rows), labels, groups)
    parts = tuple(Fold(train, val) for train, val in cut)
    if not all(len(part.val) for part in parts):  # scikit-learn balances the classes alone
        raise RequestError(
            f"Dataset {name!r}: each of {count} folds must have a group to validate on, and one "
            "has none; ask for fewer folds."
        )
    return Folds(by, parts)


def _by_time(count: int, times: Array) -> Iterator[Fold]:
    from sklearn.model_selection import TimeSeriesSplit

    order = np.argsort(times, kind="stable")
    for train, val in TimeSeriesSplit(count).split(order):
        yield Fold(order[train], order[val])


def _check_classes(name: str, count: int, labels: Array, class_names: Sequence[str] | None) -> None:
    """Refuse a class that cannot be in every fold."""
    found, sizes = np.unique(labels, return_counts=True)
    label, size = found[sizes.argmin()], int(sizes.min())
    if size < count:
        called = quoted(class_names[label]) if class_names is not None else str(label)
        raise RequestError(
            f"Dataset {name!r}: folds must not be more than the rows of each class; class {called} "
            f"has {size} to train and validate on, and folds is {count}."
        )
