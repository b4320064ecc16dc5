"""What a dataset is: arrays with a train, a validation and a test split, and what they are.

One idea: the class, the ways to make one of arrays, and the checks that each of them ends with.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from pipeline.data.arrays import (
    TASKS,
    Array,
    Task,
    as_inputs,
    as_targets,
    check_lengths,
    cut,
    split_size,
    standardised,
)
from pipeline.data.batches import named
from pipeline.data.folds import Fold, Folds, cut_folds
from pipeline.data.nests import is_nest
from pipeline.errors import RequestError

SPLITS = ("train", "val", "test")
# examples that suffice to try a model: enough for a batch, and for an epoch that takes no time
FEW = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Three splits of inputs `(n, *shape)` and targets, checked when made.

    Targets are integer labels `(n,)` in 0..classes-1 or one-hot labels `(n, classes)` for a
    classification, real numbers `(n,)` or `(n, k)` for a regression. `standardisation` holds what
    the inputs (and the target) were scaled by: `mean` and `std`, `target_mean` and `target_std`.
    `class_names` are what the labels 0, 1, … were called. `groups` and `times`, `(n,)`, are of the
    training examples followed by the validation examples, and decide how these are cut into folds;
    `folds` are there once they were cut.

    Raises:
        RequestError: the arrays do not fit together; every fault in one message.
    """

    name: str
    x_train: Array
    y_train: Array
    x_val: Array
    y_val: Array
    x_test: Array
    y_test: Array
    task: Task
    classes: int | None = None
    source: str = ""
    licence: str = ""
    standardisation: dict[str, Any] | None = None
    class_names: tuple[str, ...] | None = None
    groups: Array | None = None
    times: Array | None = None
    folds: Folds | None = None

    may_be_empty: ClassVar[tuple[str, ...]] = ()  # of the splits
    no_model: ClassVar[str] = ""  # why a search on it saves none, where it does not

    def __post_init__(self) -> None:
        """Check everything; a model trained on wrong arrays fails later and less clearly."""
        faults = _faults(self)
        if faults:
            raise RequestError(f"Dataset {self.name!r} cannot be used: {'; '.join(faults)}.")

    def __repr__(self) -> str:
        """Say what it is, without the arrays."""
        return f"Dataset({', '.join(f'{k}={v!r}' for k, v in self.describe().items() if v)})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.x_train.shape[1:])

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one target: `()`, or `(k,)` for one-hot labels and several targets."""
        return tuple(self.y_train.shape[1:])

    @property
    def dtype(self) -> str:
        """The inputs' type, by numpy's name."""
        return str(self.x_train.dtype)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest input of the training split."""
        return float(self.x_train.min()), float(self.x_train.max())

    @property
    def counts(self) -> dict[str, int]:
        """Examples in each split; with folds, those that are in any of them."""
        counts = {split: len(getattr(self, f"x_{split}")) for split in SPLITS}
        return counts if self.folds is None else counts | self.folds.counts

    def describe(self) -> dict[str, Any]:
        """Return what the dataset is, without the arrays, fit for JSON."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": self.classes,
            "shape": list(self.shape),
            "target_shape": list(self.target_shape),
            "dtype": self.dtype,
            "range": list(self.range),
            "counts": self.counts,
            "source": self.source,
            "licence": self.licence,
            "standardisation": self.standardisation,
            "class_names": None if self.class_names is None else list(self.class_names),
            "folds": None if self.folds is None else self.folds.describe(),
        }

    def preprocessing(self) -> dict[str, Any]:
        """Facts, fit for JSON: what the saved model takes, and what its outputs mean."""
        names = self.class_names
        if names is None and self.classes is not None:
            names = tuple(map(str, range(self.classes)))
        return {
            "kind": "arrays",
            "task": self.task,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "target_shape": [] if self.task == "classification" else list(self.target_shape),
            "class_names": None if names is None else list(names),
        }

    @property
    def target_scale(self) -> tuple[float, float] | None:
        """Mean and standard deviation of a target that a family scales itself, if it has to."""
        return None

    # What a trial needs of its data; `FitData` has the same.

    def fit_arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What `fit` is called with: positional and keyword arguments."""
        return (self.x_train, self.y_train), {"validation_data": (self.x_val, self.y_val)}

    def first_inputs(self) -> Any:
        """A batch of one training example, for a model that is built by its first call."""
        return self.x_train[:1]

    def measured(self) -> dict[str, tuple[Any, ...]]:
        """Inputs and targets of each split that the best model is measured on."""
        return {"validation": (self.x_val, self.y_val), "test": (self.x_test, self.y_test)}

    def sample(self, count: int = FEW) -> Self:
        """A few examples of each split, those of the smallest and the largest label among them.

        An output too narrow shows at the largest. Each fold of them has all of them.
        """
        chosen = {split: _few_rows(getattr(self, f"y_{split}"), count) for split in SPLITS}
        arrays: dict[str, Any] = {
            f"{a}_{s}": getattr(self, f"{a}_{s}")[rows] for s, rows in chosen.items() for a in "xy"
        }
        folds = None
        if self.folds is not None:
            train, val = np.split(
                np.arange(len(chosen["train"]) + len(chosen["val"])), [len(chosen["train"])]
            )
            folds = replace(self.folds, parts=(Fold(train, val),) * len(self.folds))
        return replace(self, **arrays, groups=None, times=None, folds=folds)

    def recut(self, train: Array, val: Array) -> Self:
        """The same examples, cut anew into a training and a validation split.

        What was standardised feature by feature is so anew, by the new training split alone.

        Args:
            train: rows of the training split followed by the validation split.
            val: likewise.
        """
        arrays: dict[str, Any] = {
            f"{a}_{split}": _rows_of(getattr(self, f"{a}_train"), getattr(self, f"{a}_val"), rows)
            for split, rows in (("train", train), ("val", val))
            for a in "xy"
        }
        kept = np.concatenate([train, val])
        arrays["groups"] = None if self.groups is None else self.groups[kept]
        arrays["times"] = None if self.times is None else self.times[kept]
        scaled_by = dict(self.standardisation or {})
        for a, of in (("x", ""), ("y", "target_")):
            mean, std = (np.asarray(scaled_by.get(f"{of}{part}")) for part in ("mean", "std"))
            fields = [f"{a}_{split}" for split in SPLITS]
            splits = [arrays.get(field, getattr(self, field)) for field in fields]
            if mean.dtype == object or mean.shape != splits[0].shape[1:]:
                continue
            raw = [split.astype(np.float64) * std + mean for split in splits]
            scaled, scaled_by[f"{of}mean"], scaled_by[f"{of}std"] = standardised(raw)
            arrays |= dict(zip(fields, scaled, strict=True))
        return replace(self, **arrays, standardisation=scaled_by or None, folds=None)

    def with_folds(self, count: int, seed: int) -> Self:
        """The same, with training and validation examples cut into folds: see `folds.cut_folds`.

        Raises:
            RequestError: there are too few rows, or too few of a class, or too few groups.
        """
        folds = cut_folds(
            self.name,
            count,
            np.concatenate([self.y_train, self.y_val]),
            self.task,
            seed,
            groups=self.groups,
            times=self.times,
            class_names=self.class_names,
        )
        return replace(self, folds=folds)

    def fold(self, number: int) -> Self:
        """The data of one fold, from 0; all of it where there are no folds."""
        if self.folds is None:
            return self
        part = self.folds.parts[number]
        return self.recut(part.train, part.val)

    def whole(self) -> Self:
        """All training and validation examples to train on, and no others to validate on."""
        rows = np.arange(len(self.x_train) + len(self.x_val))
        return self.recut(rows, rows)

    @classmethod
    def split(
        cls,
        name: str,
        x: Any,
        y: Any,
        seed: int,
        *,
        task: Task | None = None,
        classes: int | None = None,
        source: str = "",
        licence: str = "",
        standardise: bool = False,
        standardise_target: bool = False,
        val: float | int = 0.2,
        test: float | int = 0.2,
    ) -> "Dataset":
        """Cut one pair of arrays into three splits, each class in proportion.

        Args:
            name: what messages and records call it.
            x: inputs, `(n, *shape)`; float64 becomes float32.
            y: targets; strings are numbered in sorted order, and become the names of the classes;
                a column `(n, 1)` is flattened.
            seed: decides which example goes where.
            task: from the targets when not given: integers, booleans, strings and one-hot rows
                are a classification, other floats a regression.
            classes: one more than the largest label when not given.
            source: where the data got from.
            licence: what may be done with them.
            standardise: scale inputs to mean 0 and standard deviation 1 of the training split.
            standardise_target: the same for a regression's target.
            val: a fraction of all examples below 1, or a count.
            test: likewise.
        """
        inputs = as_inputs(name, x)
        (targets,), task, classes, class_names = as_targets(name, [y], task, classes)
        check_lengths(name, inputs, targets)
        rng = np.random.default_rng(seed)
        test_count = split_size(name, "test", test, len(inputs), len(inputs))
        val_count = split_size(name, "val", val, len(inputs), len(inputs) - test_count)
        labels = targets if task == "classification" else None
        rest, in_test = cut(np.arange(len(inputs)), test_count, labels, rng)
        in_train, in_val = cut(rest, val_count, labels, rng)
        return cls._from(
            name,
            [(inputs[rows], targets[rows]) for rows in (in_train, in_val, in_test)],
            standardise,
            standardise_target,
            task=task,
            classes=classes,
            class_names=class_names,
            source=source,
            licence=licence,
        )

    @classmethod
    def with_test(
        cls,
        name: str,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        seed: int,
        *,
        task: Task | None = None,
        classes: int | None = None,
        source: str = "",
        licence: str = "",
        standardise: bool = False,
        standardise_target: bool = False,
        val: float | int = 0.2,
    ) -> "Dataset":
        """Keep a given test split and cut the validation split from the rest; see `split`.

        `val` is a fraction of `train`, or a count.
        """
        x_train, x_test = as_inputs(name, train[0]), as_inputs(name, test[0])
        parts, task, classes, class_names = as_targets(name, [train[1], test[1]], task, classes)
        y_train, y_test = parts
        check_lengths(name, x_train, y_train)
        labels = y_train if task == "classification" else None
        val_count = split_size(name, "val", val, len(x_train), len(x_train))
        rng = np.random.default_rng(seed)
        in_train, in_val = cut(np.arange(len(x_train)), val_count, labels, rng)
        return cls._from(
            name,
            [*((x_train[rows], y_train[rows]) for rows in (in_train, in_val)), (x_test, y_test)],
            standardise,
            standardise_target,
            task=task,
            classes=classes,
            class_names=class_names,
            source=source,
            licence=licence,
        )

    @classmethod
    def _from(
        cls,
        name: str,
        splits: list[tuple[Array, Array]],
        standardise: bool,
        standardise_target: bool,
        **facts: Any,
    ) -> "Dataset":
        """Scale the splits (train, val, test) as asked and make the dataset."""
        if standardise_target and facts["task"] != "regression":
            raise RequestError(
                f"Dataset {name!r}: standardise_target is for a regression; got a {facts['task']}."
            )
        xs, ys = [x for x, _ in splits], [y for _, y in splits]
        used: dict[str, Any] = {}
        if standardise:
            xs, used["mean"], used["std"] = standardised(xs)
        if standardise_target:
            ys, used["target_mean"], used["target_std"] = standardised(ys)
        arrays: dict[str, Any] = {f"x_{split}": x for split, x in zip(SPLITS, xs, strict=True)}
        arrays |= {f"y_{split}": y for split, y in zip(SPLITS, ys, strict=True)}
        return cls(name=name, **arrays, standardisation=used or None, **facts)


def _rows_of(first: Array, second: Array, rows: Array) -> Array:
    """Rows of two arrays that follow one another, which may be larger than memory."""
    found = np.empty((len(rows), *first.shape[1:]), np.result_type(first, second))
    in_first = rows < len(first)
    found[in_first] = first[rows[in_first]]
    found[~in_first] = second[rows[~in_first] - len(first)]
    return found


def as_dataset(loaded: Any, name: str, seed: int) -> Dataset:
    """Make a `Dataset` of what a dataset module's `load` returned.

    Arrays are taken as they are, not standardised; lists, tables and sparse matrices become arrays.

    Args:
        loaded: a `Dataset`; `((x_train, y_train), (x_test, y_test))` as `keras.datasets` gives it,
            where a fifth of the training split becomes the validation split; or `(x, y)`, of which
            validation and test split take a fifth each.
        name: for a dataset that does not bring its own.
        seed: decides which example goes where.

    Raises:
        RequestError: it is none of these, or the arrays cannot be used.
    """
    if isinstance(loaded, Dataset):
        return loaded
    form = form_of(loaded)
    if form is None:
        raise RequestError(
            f"The load of dataset {name!r} must return a pipeline.data.Dataset, "
            f"((x_train, y_train), (x_test, y_test)) or (x, y); got {kind_of(loaded)}."
        )
    first, second = loaded
    if form == "with test":
        return Dataset.with_test(name, first, second, seed)
    return Dataset.split(name, first, second, seed)


def form_of(loaded: Any) -> Literal["one pair", "with test"] | None:
    """Whether it is `(x, y)`, or `((x_train, y_train), (x_test, y_test))`; None if neither."""
    if not isinstance(loaded, tuple | list) or len(loaded) != 2:
        return None
    if all(map(_is_pair, loaded)):
        return "with test"
    neither = any(isinstance(part, tuple | str | dict | None) for part in loaded)
    return None if neither else "one pair"


def _is_pair(part: Any) -> bool:
    """Whether it is `(x, y)`; a list is if it holds arrays, and else an array itself."""
    pair = isinstance(part, tuple | list) and len(part) == 2
    return pair and (isinstance(part, tuple) or is_nest(part))


def _few_rows(labels: Array, count: int) -> list[int]:
    rows = list(range(min(count, len(labels))))
    if labels.ndim == 1 and rows:
        rows = list(dict.fromkeys([int(labels.argmin()), int(labels.argmax()), *rows]))[:count]
    return rows


def _faults(data: Dataset) -> list[str]:
    """Everything about the arrays that cannot be right, in words."""
    named = {f"{a}_{split}": getattr(data, f"{a}_{split}") for split in SPLITS for a in "xy"}
    faults = [
        f"{field} must be a numpy array, got {kind_of(value)}"
        for field, value in named.items()
        if not isinstance(value, np.ndarray)
    ]
    if data.task not in TASKS:
        faults.append(f"task must be one of {', '.join(TASKS)}, got {data.task!r}")
    if faults:
        return faults
    for split in SPLITS:
        x, y = named[f"x_{split}"], named[f"y_{split}"]
        if split in data.may_be_empty and len(x) == len(y) == 0:
            continue
        if x.ndim == 0 or y.ndim == 0 or len(x) == 0 or len(y) == 0:
            faults.append(f"the {split} split must not be empty, got {x.shape} and {y.shape}")
        elif len(x) != len(y):
            faults.append(
                f"x_{split} and y_{split} must be of one length, got {len(x)} and {len(y)}"
            )
    for array, what in (("x", "examples"), ("y", "targets")):
        shapes = {split: named[f"{array}_{split}"].shape[1:] for split in SPLITS}
        if len(set(shapes.values())) > 1:
            got = ", ".join(f"{shape} in {split}" for split, shape in shapes.items())
            faults.append(f"{what} must have one shape in every split, got {got}")
    if named["x_train"].ndim == 1:
        faults.append("inputs must have an axis after the first, got (n,); try x[:, None]")
    return faults + _number_faults("x", data) or _target_faults(data)


def _target_faults(data: Dataset) -> list[str]:
    if data.task == "regression":
        faults = _number_faults("y", data)
        if data.classes is not None:
            faults.append(f"a regression has no classes, got classes={data.classes}")
        if len(data.target_shape) > 1:
            faults.append(f"a target must be a number or a row, got shape {data.target_shape}")
        return faults
    if not isinstance(data.classes, int | np.integer) or data.classes < 2:
        return [f"a classification needs 2 classes or more, got classes={data.classes!r}"]
    if data.class_names is not None and len(data.class_names) != data.classes:
        return [f"{data.classes} classes need as many names, got {len(data.class_names)}"]
    if len(data.target_shape) > 1:
        return [
            f"labels must be of shape (n,), or (n, {data.classes}) when one-hot, "
            f"got (n, {', '.join(map(str, data.target_shape))})"
        ]
    check = _one_hot_fault if data.target_shape else _label_fault
    targets = {f"y_{split}": getattr(data, f"y_{split}") for split in SPLITS}
    found = (check(field, y, data.classes) for field, y in targets.items() if len(y))
    return [fault for fault in found if fault][:1]


def _label_fault(field: str, y: Array, classes: int) -> str | None:
    demand = f"labels must be integers 0..{classes - 1}"
    if y.dtype.kind not in "iu":
        return f"{demand}, {field} is {y.dtype}"
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        return (
            f"{demand}, {field} has {low}..{high}; numpy.unique(y, return_inverse=True)[1] numbers "
            "them"
        )
    return None


def _one_hot_fault(field: str, y: Array, classes: int) -> str | None:
    if y.shape[1] != classes:
        return f"one-hot labels need {classes} columns, one a class, {field} has {y.shape[1]}"
    # 1e-3 lets smoothed labels in half precision pass; a row with two labels sums to 2.
    if y.dtype.kind not in "biuf" or (y < 0).any() or (abs(y.sum(axis=1) - 1.0) > 1e-3).any():
        return (
            f"each row of one-hot labels must sum to 1, in {field} some do not; labels of shape "
            "(n,) or task='regression' are possible too"
        )
    return None


def _number_faults(array: str, data: Dataset) -> list[str]:
    """The faults of x or y in the first split that has any: the others have the same."""
    for split in SPLITS:
        field = f"{array}_{split}"
        values = getattr(data, field)
        if values.dtype.kind not in "biuf":
            return [f"{field} must hold numbers, got {values.dtype}"]
        bad = values.size - int(np.isfinite(values).sum()) if values.dtype.kind == "f" else 0
        if bad:
            return [
                f"{field} must hold no NaN and no infinity, got {bad} in {values.size} values; "
                "fill or drop them first"
            ]
    return []


def kind_of(value: Any) -> str:
    """Name what came, in a few words."""
    if isinstance(value, tuple | list):
        inner = [named(part) or type(part).__name__ for part in value[:4]] + ["…"] * (
            len(value) > 4
        )
        return f"a {type(value).__name__} of {len(value)} ({', '.join(inner)})"
    return "None" if value is None else f"a {named(value) or type(value).__name__}"
