"""Arrays in NumPy's files: `.npz` with inputs and targets by name, `.npy` with targets beside."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array, Task
from pipeline.data.dataset import SPLITS, Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.files.numpy_reading import opened, plain, read_array, read_matrix
from pipeline.data.request import DataRequest
from pipeline.data.splits import with_splits
from pipeline.data.tables.from_frame import check_names, dataset_of
from pipeline.data.tables.place import Place
from pipeline.data.tables.target import read_target, understood_target
from pipeline.errors import RequestError, did_you_mean, quoted

# What the arrays of an .npz file may be called, alone or with a split: x_train, train_images.
INPUTS = ("x", "data", "inputs", "images", "features")
TARGETS = ("y", "target", "targets", "label", "labels")
SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class _Pair:
    """The names of the arrays that hold inputs and targets of one split."""

    x: str
    y: str


@dataclass(frozen=True, eq=False, kw_only=True)
class ArraysDataset(Dataset):
    """Arrays from a file; `notes` are what a person should know of how it was read."""

    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return what the dataset is, without the arrays, fit for JSON."""
        return super().describe() | {"notes": list(self.notes)}


def read_npz(file: DataFile, seed: int) -> Dataset:
    """The dataset of an `.npz` file.

    Raises:
        RequestError: it cannot be read, or its arrays cannot be used; says which.
    """
    file.request.check_no_table(file.path, "arrays")
    parts, pairs, left_out = _npz_parts(file.path, file.request.target)
    targets = {split: (file.path, pair.y) for split, pair in pairs.items()}
    if isinstance(file.request.test, str):
        if "test" in parts:
            raise RequestError(
                f"--test must not be given beside a test split; {file.path} has {pairs['test'].x}."
            )
        if not file.request.test.lower().endswith(".npz"):
            raise RequestError(
                f"--test must be an .npz file, or a fraction; got {quoted(file.request.test)}."
            )
        given, others, _ = _npz_parts(file.request.test, file.request.target)
        split = next(iter(given))
        parts["test"], targets["test"] = given[split], (file.request.test, others[split].y)
    elif file.request.test is not None and "test" in parts:
        raise RequestError(
            f"--test must not be a fraction where there is a test split; {file.path} has one."
        )
    notes = [f"arrays of {file.path} that were left out: {', '.join(left_out)}"] if left_out else []
    return replace(_dataset(file, parts, targets, seed), notes=tuple(notes))


def read_npy(file: DataFile, seed: int) -> Dataset:
    """The dataset of an `.npy` file: of a matrix, of a structured array, or with targets beside.

    Raises:
        RequestError: it cannot be read, or used.
    """
    target, array = file.request.target, read_matrix(file.path)
    if array.dtype.names is not None:
        check_names(file.request, list(array.dtype.names), file.path)
        return dataset_of(
            _frame(array, file.path), file.request, seed, name=file.__name__, file=file.path
        )
    file.request.check_no_table(file.path, "arrays")
    test = file.request.test
    if target is not None and target.lower().endswith(".npy"):
        x, y, called = array, read_matrix(target), target
        if isinstance(test, str):
            raise RequestError(
                f"--test must be a fraction where targets are in a file of their own; got {test}."
            )
    else:
        x, y, called = _column_cut_off(array, target, file.path)
    _check_pair(x, y, file.path, called)
    parts, targets = {"train": (x, y)}, {"train": (file.path, called)}
    if isinstance(test, str):
        parts["test"], targets["test"] = _test_matrix(test, array, called), (test, called)
    return _dataset(file, parts, targets, seed)


def _test_matrix(path: str, train: Array, target: str) -> tuple[Array, Array]:
    """Inputs and targets of a matrix of test examples, which has the columns of the other."""
    if not path.lower().endswith(".npy"):
        raise RequestError(f"--test must be an .npy file, or a fraction; got {quoted(path)}.")
    array = read_matrix(path)
    if array.dtype.names is not None or array.shape[1:] != train.shape[1:]:
        raise RequestError(
            f"{path} must have the columns of the training examples, {train.shape[1]}; its shape "
            f"is {array.shape}."
        )
    x, y, _ = _column_cut_off(array, target, path)
    return x, y


def _dataset(
    file: DataFile,
    parts: dict[str, tuple[Array, Array]],
    targets: dict[str, tuple[str, str]],
    seed: int,
) -> ArraysDataset:
    """The dataset of arrays; `targets` are, by split, the file and the name of its targets."""
    request = file.request
    task, class_names = request.task, None
    if parts["train"][1].ndim == 1:
        parts, task, class_names = _understood(parts, targets, request)
    made = with_splits(
        ArraysDataset,
        file.__name__,
        parts,
        seed,
        task=task,
        classes=None if class_names is None else len(class_names),
        test=request.test_share,
    )
    return replace(made, class_names=class_names, source=file.path)


def _understood(
    parts: dict[str, tuple[Array, Array]],
    targets: dict[str, tuple[str, str]],
    request: DataRequest,
) -> tuple[dict[str, tuple[Array, Array]], Task, tuple[str, ...] | None]:
    """Targets as a table's target column would be read: the same numbers are classes."""
    path, called = targets["train"]
    target = understood_target(
        pd.Series(parts["train"][1], name=called), request.task, Place(path, False)
    )
    read = {}
    for split, (x, y) in parts.items():
        path, called = targets[split]
        column, place = pd.Series(y, name=called), Place(path, False)
        read[split] = x, read_target(column, replace(target, name=called), place)
    return read, target.task, target.class_names


def _npz_parts(
    path: str, target: str | None
) -> tuple[dict[str, tuple[Array, Array]], dict[str, _Pair], list[str]]:
    """Inputs and targets of each split in an `.npz` file, their names, and those of the others."""
    with opened(path) as archive:
        if isinstance(archive, np.ndarray):
            raise RequestError(
                f"{path} must be an .npz file; it holds one array, as .npy files do."
            )
        pairs = _pairs(list(archive.files), target, path)
        parts = {
            split: (read_array(archive, pair.x, path), read_array(archive, pair.y, path))
            for split, pair in pairs.items()
        }
    for split, (x, y) in parts.items():
        _check_pair(x, y, path, f"{pairs[split].x} and {pairs[split].y}")
    used = {name for pair in pairs.values() for name in (pair.x, pair.y)}
    return parts, pairs, [name for name in archive.files if name not in used]


def _pairs(names: list[str], target: str | None, path: str) -> dict[str, _Pair]:
    """Which arrays are inputs and targets of which split; `train` is where nothing is said."""
    listed = ", ".join(names) or "none"
    found: dict[str, dict[str, list[str]]] = {"x": {}, "y": {}}
    for name in names:
        words = name.lower().split("_")
        split = next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "train")
        rest = "_".join(word for word in words if word not in SPLIT_WORDS)
        if target is not None and target.lower() in (name.lower(), rest):
            found["y"].setdefault(split, []).append(name)
        elif rest in INPUTS:
            found["x"].setdefault(split, []).append(name)
        elif rest in TARGETS and target is None:
            found["y"].setdefault(split, []).append(name)
    if target is not None and not found["y"]:
        raise RequestError(
            f"target must name an array of {path}; there is no {quoted(target)}. Its arrays: "
            f"{listed}.{did_you_mean(target, names)}"
        )
    others = [name for name in names if not any(name in n for n in found["y"].values())]
    if target is not None and not found["x"] and len(others) == 1:
        found["x"] = {"train": others}
    if not found["x"].keys() & found["y"].keys() & {"train"}:
        raise RequestError(
            f"{path} must have inputs and targets, as x and y, or x_train and y_train; its arrays: "
            f"{listed}. --target NAME names the targets."
        )
    pairs = {}
    for split in SPLITS:
        x, y = found["x"].get(split, []), found["y"].get(split, [])
        if not x and not y:
            continue
        if len(x) != 1 or len(y) != 1:
            came = ", ".join([*x, *y])
            raise RequestError(
                f"{path} must have one array of inputs and one of targets for {split}; it has "
                f"{came}."
            )
        pairs[split] = _Pair(x[0], y[0])
    return pairs


def _check_pair(x: Array, y: Array, path: str, called: str) -> None:
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        lengths = " and ".join(str(len(a)) if a.ndim else "a single number" for a in (x, y))
        raise RequestError(f"{path}: {called} must be of one length; got {lengths}.")


def _column_cut_off(array: Array, target: str | None, path: str) -> tuple[Array, Array, str]:
    """Inputs, targets, and what those are called, of a matrix."""
    if target is None:
        raise RequestError(
            f"{path} needs targets: --target FILE.npy"
            + (f", or the number of a column, 0 to {array.shape[1] - 1}" * (array.ndim == 2))
            + "."
        )
    try:
        column = int(target)
    except ValueError:
        raise RequestError(
            f"target must be an .npy file, or the number of a column of {path}; got "
            f"{quoted(target)}."
        ) from None
    if array.ndim != 2 or array.shape[1] < 2:
        raise RequestError(
            f"{path} must have two axes, and two columns or more, for a target column; its shape "
            f"is {array.shape}."
        )
    if not -array.shape[1] <= column < array.shape[1]:
        raise RequestError(
            f"target must be a column of {path}, 0 to {array.shape[1] - 1}; got {column}."
        )
    return np.delete(array, column, axis=1), array[:, column], str(column)


def _frame(array: Array, path: str) -> pd.DataFrame:
    """A structured array as a table."""
    names = array.dtype.names or ()
    if array.ndim != 1 or any(array.dtype[name].shape for name in names):
        raise RequestError(
            f"{path} must have one value in each field of each row; its type is {array.dtype}."
        )
    return pd.DataFrame({name: plain(array[name]) for name in names})
