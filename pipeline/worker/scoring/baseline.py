"""What the simplest models score on a dataset, beside the best that a search found.

The majority class or the median; and a logistic or ridge regression, where that is cheap.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrays import labels_of, scale_of
from pipeline.data.dataset import Dataset
from pipeline.worker.scoring.linear import logistic, ridge
from pipeline.worker.scoring.task_scores import of_predictions

Array = NDArray[Any]

# A logistic regression takes some 0.5 ns of one CPU for each example, feature and class of each
# pass: 1 s in all at most (AMD EPYC). Of a large dataset it gets as many examples as it can pass
# through that often.
MOST_WORK, FEWEST_PASSES = 2e9, 15
MOST_NUMBERS = 5e7  # in the inputs of the training: 200 MB, once more than the data
FEWEST_EXAMPLES = 1000
MOST_FEATURES = 2000  # of a ridge regression, which solves as many equations

Splits = dict[str, Array]  # of each split, by its name


def baseline(data: Dataset) -> tuple[dict[str, Any], str]:
    """Train the simplest models on the training split, and score them on the others.

    With folds they are trained on training and validation examples together, as is the model that
    is saved, and scored on the test split alone.

    Returns:
        The scores by model, split and name; and why the linear one is left out, empty if it is not.
    """
    folds = data.folds is not None
    data = data.whole() if folds else data  # the test split is prepared as what is trained on
    splits = {"validation": (data.x_val, data.y_val), "test": (data.x_test, data.y_test)}
    if folds:
        del splits["validation"]
    inputs = {name: x for name, (x, _) in splits.items()}
    found = [_constant(data, inputs)]
    reason = _too_much(data)
    if not reason:
        name, predicted = _linear(data, inputs)
        if all(np.isfinite(values).all() for values in predicted.values()):
            found.append((name, predicted))
        else:
            reason = f"no {name}: its predictions are not finite"
    targets = {name: y for name, (_, y) in splits.items()}
    return {name: _scores(data, targets, predicted) for name, predicted in found}, reason


def _scores(data: Dataset, targets: Splits, predicted: Splits) -> dict[str, Any]:
    found = {}
    for split, values in predicted.items():
        scores = of_predictions(data, targets[split], values)
        ones = np.ones((1, scores.examples), int)
        plain = {name: float(value[0]) for name, value in scores(ones).items()}
        found[split] = {n: value if np.isfinite(value) else None for n, value in plain.items()}
    return found


def _constant(data: Dataset, inputs: Splits) -> tuple[str, Splits]:
    if data.task == "regression":
        name, row = "median", np.median(data.y_train, axis=0)
    else:
        name = "majority class"
        row = np.bincount(labels_of(data.y_train), minlength=data.classes or 0) / len(data.y_train)
    return name, {split: np.broadcast_to(row, (len(x), *row.shape)) for split, x in inputs.items()}


def _too_much(data: Dataset) -> str:
    """Why a linear model would take too long, or cannot be; empty where it is cheap."""
    name = "no ridge regression" if data.task == "regression" else "no logistic regression"
    examples, features = len(data.x_train), int(np.prod(data.shape))
    if data.task == "classification" and len(np.unique(labels_of(data.y_train))) < 2:
        return f"{name}: all training examples are of one class"
    if data.task == "regression" and features > MOST_FEATURES:
        return f"{name}: {features:,} features take too long"
    if _affordable(data) < min(examples, FEWEST_EXAMPLES):
        return f"{name}: {examples:,} examples of {features:,} features take too long"
    return ""


def _affordable(data: Dataset) -> int:
    """How many examples a linear model can be trained on."""
    features = max(1, int(np.prod(data.shape)))
    return int(min(MOST_NUMBERS, MOST_WORK / FEWEST_PASSES / (data.classes or 1)) / features)


def _linear(data: Dataset, inputs: Splits) -> tuple[str, Splits]:
    x, y = data.x_train, data.y_train
    more = ""
    if (most := _affordable(data)) < len(x):
        rows = np.random.default_rng(0).choice(len(x), most, replace=False)
        x, y, more = x[rows], y[rows], f" on {most:,} examples"
    mean, std = scale_of(x := x.reshape(len(x), -1))
    train, *others = (
        np.nan_to_num((rows.reshape(len(rows), -1) - mean) / std).astype(np.float32)
        for rows in (x, *inputs.values())
    )
    splits = dict(zip(inputs, others, strict=True))
    if data.task == "regression":
        predict = ridge(train.astype(np.float64), y.reshape(len(y), -1).astype(np.float64))
        shape = data.target_shape
        return f"ridge regression{more}", {
            split: predict(x).reshape(len(x), *shape) for split, x in splits.items()
        }
    classes = data.classes or 0
    passes = int(MOST_WORK / (train.size * classes))
    predict = logistic(train, labels_of(y), classes, passes)
    return f"logistic regression{more}", {split: predict(x) for split, x in splits.items()}
