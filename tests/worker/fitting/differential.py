"""Models whose every number is compared with that of Keras's own `fit`.

Run: python -m tests.worker.fitting.differential PLAN  (on the backend that KERAS_BACKEND names)
"""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.worker.devices import machine

if __name__ == "__main__":
    machine.claim(1, 0)

import keras
import numpy as np

from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.reporter import Reporter

EPOCHS, SEED, BATCH = 2, 5, 16
COUNT, VAL = 90, 35  # 5 full batches and 10 examples; 2 and 3
layers, losses, metrics, ops = keras.layers, keras.losses, keras.metrics, keras.ops


def f1_of_a_batch(y, p):
    """A function of the user's that looks at a batch as a whole."""
    hit = ops.sum(ops.cast(y, "float32") * ops.round(p))
    return 2 * hit / (ops.sum(ops.cast(y, "float32")) + ops.sum(ops.round(p)) + 1e-7)


def error_of_each(y, p):
    """A function of the user's that has a number for each example."""
    return ops.mean(ops.square(ops.cast(y, "float32") - p), axis=-1)


def largest_error(y, p):
    """A loss of the user's that looks at a batch as a whole."""
    return ops.max(ops.abs(ops.cast(y, "float32") - p))


@dataclass(frozen=True, eq=False)
class Case:
    """A model with its data; `fitting` are more arguments of `fit`."""

    outputs: int
    targets: str  # "column", "numbers", "one-hot" or "classes"
    loss: Any
    metrics: Callable[[], list[Any]] = list
    layers: Callable[[], list[Any]] = list
    compiling: dict[str, Any] = field(default_factory=dict)
    fitting: Callable[[], dict[str, Any]] = dict
    fixed_batch: int | None = None
    sequences: bool = False


def with_weights():
    rng = np.random.default_rng(3)
    return {"sample_weight": rng.random(COUNT).astype("float32") + 0.1}


def with_validation_weights():
    x, y = data("column", VAL, 1)
    return {"validation_data": (x, y, np.linspace(0.1, 2, VAL, dtype="float32"))}


def one_column():
    return [
        *("accuracy", f1_of_a_batch, error_of_each, metrics.F1Score(threshold=0.5)),
        *(metrics.FBetaScore(beta=2.0, name="fbeta"), metrics.AUC(), metrics.AUC(curve="PR")),
        *(metrics.Precision(), metrics.Recall(), metrics.PrecisionAtRecall(0.5)),
        *(metrics.RecallAtPrecision(0.5), metrics.SensitivityAtSpecificity(0.5)),
        *(metrics.SpecificityAtSensitivity(0.5), metrics.TruePositives()),
        *(metrics.TrueNegatives(), metrics.FalsePositives(), metrics.FalseNegatives()),
        *(metrics.BinaryAccuracy(), metrics.BinaryCrossentropy(), metrics.Accuracy()),
        *(metrics.Hinge(), metrics.SquaredHinge()),
        metrics.BinaryIoU(target_class_ids=[0, 1], threshold=0.5),
    ]


def of_numbers():
    return [
        *("mae", error_of_each, metrics.MeanSquaredError(), metrics.RootMeanSquaredError()),
        *(metrics.MeanAbsoluteError(), metrics.MeanAbsolutePercentageError()),
        *(metrics.MeanSquaredLogarithmicError(), metrics.LogCoshError(), metrics.R2Score()),
        *(metrics.Poisson(), metrics.CosineSimilarity(axis=-1)),
    ]


def of_two_numbers():
    return [
        *(metrics.R2Score(class_aggregation=None), metrics.PearsonCorrelation()),
        *(metrics.ConcordanceCorrelation(), metrics.CosineSimilarity()),
    ]


def one_hot():
    return [
        *("accuracy", metrics.F1Score(), metrics.F1Score("macro", name="macro")),
        *(metrics.F1Score("weighted", name="weighted"), metrics.CategoricalAccuracy()),
        *(metrics.TopKCategoricalAccuracy(2), metrics.CategoricalCrossentropy()),
        *(metrics.KLDivergence(), metrics.CategoricalHinge()),
        *(metrics.OneHotIoU(3, [0, 2]), metrics.OneHotMeanIoU(3)),
    ]


def of_classes():
    return [
        *("accuracy", metrics.SparseCategoricalAccuracy(), metrics.SparseCategoricalCrossentropy()),
        metrics.SparseTopKCategoricalAccuracy(2),
        metrics.IoU(3, [0, 2], sparse_y_pred=False, name="iou"),
        metrics.MeanIoU(3, sparse_y_pred=False, name="mean_iou"),
    ]


CASES = {
    "one column": Case(1, "column", "binary_crossentropy", one_column),
    "one-hot classes": Case(3, "one-hot", "categorical_crossentropy", one_hot),
    "classes": Case(3, "classes", "sparse_categorical_crossentropy", of_classes),
    "numbers": Case(1, "numbers", "mse", of_numbers),
    "two numbers": Case(2, "two numbers", "mse", of_two_numbers),
    "a loss of the user's": Case(1, "numbers", largest_error),
    "a loss for each example": Case(1, "numbers", error_of_each),
    "a sum as loss": Case(1, "numbers", losses.MeanSquaredError(reduction="sum")),
    "classes that are left out": Case(
        3, "classes", losses.SparseCategoricalCrossentropy(ignore_class=1)
    ),
    "eager": Case(
        1, "column", "mse", lambda: ["mae", f1_of_a_batch], compiling={"run_eagerly": True}
    ),
    "weights of examples": Case(
        1,
        "column",
        "mse",
        lambda: ["mae"],
        compiling={"weighted_metrics": ["mse", "mae"]},
        fitting=with_weights,
    ),
    "weights of classes": Case(
        3,
        "classes",
        "sparse_categorical_crossentropy",
        lambda: ["accuracy"],
        fitting=lambda: {"class_weight": {0: 2.0, 1: 0.5, 2: 1.0}},
    ),
    "weights of validation": Case(
        1,
        "column",
        "mse",
        lambda: ["mae"],
        compiling={"weighted_metrics": ["mse"]},
        fitting=with_validation_weights,
    ),
    "batch normalisation": Case(
        1, "numbers", "mse", lambda: ["mae"], layers=lambda: [layers.BatchNormalization()]
    ),
    "a fixed batch": Case(
        1, "numbers", "mse", lambda: ["mae"], fixed_batch=5, fitting=lambda: {"batch_size": 5}
    ),
    "a stateful model of a fixed batch": Case(
        1,
        "numbers",
        "mse",
        layers=lambda: [layers.LSTM(3, stateful=True)],
        fixed_batch=5,
        fitting=lambda: {"batch_size": 5},
        sequences=True,
    ),
    "masked steps": Case(
        1,
        "numbers",
        "mse",
        lambda: ["mae"],
        layers=lambda: [layers.Masking(), layers.LSTM(3)],
        sequences=True,
    ),
    **{
        f"the loss {name}": Case(1, "column", name)
        for name in (
            *("binary_focal_crossentropy", "mae", "mape", "msle", "huber", "log_cosh", "poisson"),
            *("hinge", "squared_hinge", "cosine_similarity", "dice", "tversky"),
        )
    },
    **{
        f"the loss {name}": Case(3, "one-hot", name)
        for name in ("categorical_focal_crossentropy", "categorical_hinge", "kl_divergence")
    },
}

# What Keras itself cannot train: on PyTorch a layer's state is changed in place, under its gradient
# (3.15).
NOT_TRAINED = {"torch": ("a stateful model of a fixed batch",)}


def data(targets, count, seed, *, sequences=False):
    """Inputs and targets, made of a seed."""
    rng = np.random.default_rng(seed)
    x = rng.random((count, 4), "float32")
    if sequences:
        x = rng.random((count, 5, 4), "float32")
        x[:, 3:] *= (np.arange(count) % 2)[:, None, None]  # of every second one two steps are zero
    flat = x.reshape(count, -1)
    if targets in ("numbers", "two numbers"):
        y = flat[:, : 1 if targets == "numbers" else 2] * 2 + 0.3
        return x, y.astype("float32")
    classes = (flat[:, 0] * 3).astype("int32")
    if targets == "column":
        return x, (flat[:, :1] > 0.5).astype("float32")
    return x, np.eye(3, dtype="float32")[classes] if targets == "one-hot" else classes


def made(case):
    """The model of a case, from the same weights and with the same names each time."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    shape = (5, 4) if case.sequences else (4,)
    given = (
        keras.Input(shape)
        if case.fixed_batch is None
        else keras.Input(batch_shape=(case.fixed_batch, *shape))
    )
    last = {"numbers": None, "two numbers": None, "column": "sigmoid"}.get(case.targets, "softmax")
    model = keras.Sequential([given, *case.layers(), layers.Dense(case.outputs, last)])
    model.compile(
        keras.optimizers.SGD(0.05),
        case.loss,
        metrics=case.metrics(),
        **{"weighted_metrics": []} | case.compiling,
    )
    return model


def order(count, epoch):
    """The order of an epoch's examples, as ours has it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        seed = tf.constant([SEED, epoch], tf.int64)
        return tf.random.experimental.stateless_shuffle(tf.range(count), seed=seed).numpy()
    return np.random.default_rng([SEED, epoch]).permutation(count)


def ours(case, plan):
    """What our `fit` reports, and the plan that was in force."""
    model, reporter = made(case), Reporter()
    x, y = data(case.targets, COUNT, 0, sequences=case.sequences)
    with planned_fit(model, SEED, reporter, plan, verbose=0):
        history = model.fit(x, y, **fitting(case) | {"epochs": EPOCHS}).history
    return history, reporter.fit_plan


@functools.cache  # each plan is held against it
def keras_own(case):
    """What Keras's `fit` reports, an epoch at a time, of the same examples in the same order."""
    model = made(case)
    x, y = data(case.targets, COUNT, 0, sequences=case.sequences)
    history = {}
    for epoch in range(EPOCHS):
        places = order(COUNT, epoch)
        given = fitting(case)
        if "sample_weight" in given:
            given["sample_weight"] = given["sample_weight"][places]
        done = model.fit(x[places], y[places], shuffle=False, verbose=0, **given)
        for name, values in done.history.items():
            history.setdefault(name, []).extend(values)
    return history


def fitting(case):
    val = data(case.targets, VAL, 1, sequences=case.sequences)
    return {"batch_size": BATCH, "validation_data": val} | case.fitting()


def differences(case, plan):
    """The metrics that are not the same, with both values; sums of float32 are rounded anew."""
    (one, in_force), other = ours(case, plan), keras_own(case)
    served = plan != "auto" and not case.compiling.get("run_eagerly")
    if served and in_force.name != plan:
        return {"plan": (plan, str(in_force))}
    if one.keys() != other.keys():
        return {"names": (sorted(one), sorted(other))}
    return {
        name: (one[name], other[name])
        for name in one
        if not np.allclose(one[name], other[name], rtol=2e-5, atol=2e-6, equal_nan=True)
    }


def main(plan):
    """Print each case that differs; exit status 1 if any does."""
    left_out = NOT_TRAINED.get(keras.backend.backend(), ())
    cases = {name: case for name, case in CASES.items() if name not in left_out}
    found = {name: told for name, case in cases.items() if (told := differences(case, plan))}
    for name, told in found.items():
        print(name, told)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
