"""What a user gives, made into arrays: conversion, label encoding, splitting, scaling."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.data.batches import TO_SEARCH, named
from pipeline.data.conversion import Unfit, as_array, as_dense, is_of, is_sparse
from pipeline.errors import RequestError

Array = NDArray[Any]
Task = Literal["classification", "regression"]
TASKS = ("classification", "regression")


def as_inputs(name: str, x: Any) -> Array:
    """Return x as an array of numbers; float64 becomes float32, what Keras computes in.

    A sparse matrix becomes dense, if it is no larger than `MOST_DENSE_GIB`.
    """
    try:
        array = _as_array(x)
        if array.dtype.kind == "c":
            raise Unfit(f"it holds {array.dtype}", "Give real and imaginary parts as columns")
    except Unfit as error:
        raise RequestError(f"Dataset {name!r}: x must hold numbers; {error}") from error
    return _narrowed(name, "x", array)


class Targets(NamedTuple):
    """Targets of several parts, encoded alike.

    `class_names` are what the labels 0, 1, … were called, where they were strings or truth values.
    """

    parts: list[Array]
    task: Task
    classes: int | None
    class_names: tuple[str, ...] | None


def as_targets(name: str, parts: list[Any], task: Task | None, classes: int | None) -> Targets:
    """Encode the targets of all parts alike, and find their task and number of classes."""
    if task is not None and task not in TASKS:
        raise RequestError(
            f"Dataset {name!r}: task must be one of {', '.join(TASKS)}, got {task!r}."
        )
    arrays = [_targets(name, part) for part in parts]
    arrays = [a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in arrays]
    shapes = {a.shape[1:] for a in arrays}
    if len(shapes) > 1 or any(a.ndim == 0 or len(a) == 0 for a in arrays):
        got = " and ".join(str(a.shape) for a in arrays)
        raise RequestError(f"Dataset {name!r}: y must be (n,) or (n, k) in each part, got {got}.")
    y = np.concatenate(arrays)
    y = np.array(y.tolist()) if y.dtype.kind == "O" else y
    called: tuple[str, ...] | None = None
    if y.dtype.kind in "US" and task != "regression":
        names, numbers = np.unique(y, return_inverse=True)
        called = tuple(str(word, "utf-8") if y.dtype.kind == "S" else str(word) for word in names)
        y, classes = numbers.reshape(y.shape), classes or len(names)
    elif y.dtype.kind == "b" and y.ndim == 1:
        called = ("False", "True")
    inferred = task is None
    if task is None:
        task = "classification" if y.dtype.kind in "biu" or _is_one_hot(y) else "regression"
    if task == "regression":
        y = y.astype(np.float32) if y.dtype.kind in "biu" else _narrowed(name, "y", y)
        classes = None if inferred else classes
    else:
        whole = y.dtype.kind == "f" and y.ndim == 1 and bool((y == np.floor(y)).all())
        y = y.astype(np.int64) if y.dtype.kind == "b" or whole else y
        if classes is None:
            classes = _class_count(name, y, inferred)
    ends = np.cumsum([len(a) for a in arrays])[:-1]
    named = called is not None and task == "classification" and len(called) == classes
    return Targets(np.split(y, ends), task, classes, called if named else None)


def _class_count(name: str, y: Array, inferred: bool) -> int:
    if y.ndim > 1:
        return int(y.shape[1])
    if y.dtype.kind not in "iu":
        return 2  # refused by the dataset's own check, which says what labels must be
    classes = int(y.max()) + 1
    if inferred and classes > len(y):
        raise RequestError(
            f"Dataset {name!r}: integer targets are taken for labels 0..classes-1, got "
            f"{y.min()}..{y.max()} in {len(y)} examples. Return floats for a regression, or number "
            "the classes from 0."
        )
    return classes


def _as_array(given: Any, *, strings: bool = False) -> Array:
    if kind := named(given):
        raise Unfit(f"it is a {kind}", TO_SEARCH)
    return as_dense(given) if is_sparse(given) else as_array(given, strings=strings, nan=False)


def _targets(name: str, y: Any) -> Array:
    """Numbers or strings; a table of one column is a column of them."""
    if is_of(y, "pandas", "DataFrame") and y.shape[1] == 1:
        y = y.iloc[:, 0]
    try:
        return _as_array(y, strings=True)
    except Unfit as error:
        raise RequestError(f"Dataset {name!r}: y must hold numbers or strings; {error}") from error


def _is_one_hot(y: Array) -> bool:
    """Tell whether every row is 0 but for a single 1, as `keras.utils.to_categorical` makes it."""
    if y.ndim != 2 or y.dtype.kind not in "biuf":
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _narrowed(name: str, field: str, array: Array) -> Array:
    if array.dtype != np.float64:
        return array
    try:
        with np.errstate(over="raise"):
            return array.astype(np.float32)
    except FloatingPointError as error:
        raise RequestError(
            f"Dataset {name!r}: {field} must fit into float32, which Keras computes in; its "
            f"largest value is {np.nanmax(abs(array)):.3g}. Scale it first."
        ) from error


def check_lengths(name: str, x: Array, y: Array) -> None:
    """Refuse inputs and targets that do not belong together."""
    if x.ndim == 0 or len(x) != len(y):
        length = len(x) if x.ndim else "a single number"
        turned = x.ndim > 1 and x.shape[1] == len(y)
        raise RequestError(
            f"Dataset {name!r}: x and y must be of one length, got {length} and {len(y)}."
            + " Examples are along the first axis of x, which is one input." * turned
        )


def labels_of(y: Array) -> Array:
    """Integer labels `(n,)` of integer or one-hot labels, or of a column `(n, 1)`."""
    one_hot = y.ndim > 1 and y.shape[1] > 1
    found: Array = y.argmax(axis=1) if one_hot else y.reshape(len(y))
    return found if found.dtype.kind in "iu" else found.astype(np.int64)


def split_size(name: str, split: str, size: float | int, total: int, available: int) -> int:
    """Return a split's size in examples, given as a fraction of `total` or as a count."""
    count = round(size * total) if isinstance(size, float) and 0 < size < 1 else size
    if isinstance(count, bool) or not 0 < count < available or count != int(count):
        raise RequestError(
            f"Dataset {name!r}: {split} must be a fraction in (0, 1), or a count that leaves both "
            f"sides an example, got {size} with {available} examples to cut from."
        )
    return int(count)


def cut(rows: Array, count: int, targets: Array | None, rng: np.random.Generator) -> list[Array]:
    """Cut off `count` of the rows: `[the rest, those cut off]`, both in random order.

    With targets, each label is represented in proportion, to within one example. Done here and not
    by scikit-learn, whose stratified split refuses a label with a single example.
    """
    order = rng.permutation(rows)
    if targets is not None:
        labels = labels_of(targets[order])
        by_label = np.argsort(labels, kind="stable")
        _, starts, sizes = np.unique(labels[by_label], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(starts, sizes)
        # Where an example stands among those of its label, in (0, 1); equal places in random order.
        place = (rank + 0.5) / np.repeat(sizes, sizes)
        order = order[by_label][np.lexsort((rng.random(len(order)), place))]
    return [rng.permutation(order[count:]), rng.permutation(order[:count])]


def standardised(splits: list[Array]) -> tuple[list[Array], Any, Any]:
    """Scale every split by the first one's mean and standard deviation, feature by feature."""
    mean, std = scale_of(splits[0])
    return [((s - mean) / std).astype(np.float32) for s in splits], mean.tolist(), std.tolist()


def scale_of(x: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each feature `(n, …)`, of its finite values.

    The deviation of a constant feature counts as 1, as that of one without values, whose mean
    counts as 0.
    """
    x = x.astype(np.float64)
    known = np.isfinite(x)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, x, 0.0).sum(axis=0) / count
    std = np.sqrt((np.where(known, x - mean, 0.0) ** 2).sum(axis=0) / count)
    # rounding may have given a constant feature a deviation
    least = x.min(axis=0, initial=np.inf, where=known)
    most = x.max(axis=0, initial=-np.inf, where=known)
    return mean, np.where(least < most, std, 1.0)
