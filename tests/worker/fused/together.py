"""Trainings carried out together and each by itself; see `test_together`.

Run:  KERAS_BACKEND=jax python -m tests.worker.fused.together [CASE ...]

Prints, of each case, the plans and the largest relative difference of a metric in any epoch, as one
line of JSON.
"""

import contextlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.objective import Objective
from pipeline.worker.backends.known import current
from pipeline.worker.fused.programs import Programs
from pipeline.worker.session import Job, SearchSpace, Stopped
from pipeline.worker.training.group import train_group
from pipeline.worker.training.trial import train

layers, optimizers, schedules = keras.layers, keras.optimizers, keras.optimizers.schedules


# An update by one operation differs from Keras's own in the last places: see `test_updates`.
APART = "looped" if "looped" in current().plans else "plain"


class Alone:
    """A session that only listens."""

    def __init__(self, job):
        self.job, self.reports, self.facts, self.failure = job, [], None, None

    def report(self, update, checkpoint):
        self.reports.append(update.report)
        self.facts, self.failure = update.facts, update.failure


def apart(jobs, space, data):
    """Each training by itself, one after the other."""
    sessions = [Alone(replace(job, fit_plan=APART)) for job in jobs]
    for session in sessions:
        with contextlib.suppress(Stopped):  # it failed, and told so
            train(session.job, space, data, session, unwrapped=True)
    return sessions


def together(jobs, space, data):
    """All in company."""
    sessions = [Alone(job) for job in jobs]
    endings = train_group(jobs, space, data, sessions, Programs())
    for session, ending in zip(sessions, endings, strict=True):
        session.failure = ending.failure or session.failure
    return sessions


def examples(shape=(6,), count=200, classes=3, targets="class"):
    """A dataset of `count` training examples that have a pattern."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count + 70, *shape)).astype("float32")
    score = x.reshape(len(x), -1)[:, :classes]
    y = {
        "class": score.argmax(-1).astype("int32"),
        "number": score.sum(-1).astype("float32"),
    }[targets]
    task = "classification" if targets == "class" else "regression"
    ends = {"train": slice(count), "val": slice(count, count + 40), "test": slice(count + 40, None)}
    arrays = {f"x_{name}": x[rows] for name, rows in ends.items()}
    arrays |= {f"y_{name}": y[rows] for name, rows in ends.items()}
    of_classes = {"classes": classes} if targets == "class" else {}
    return Dataset(name="made", task=task, **arrays, **of_classes)


def dense(hp, data):
    return [
        layers.Dense(16, "relu"),
        layers.Dropout(hp.Float("rate", 0.1, 0.6)),
        layers.Dense(3, "softmax"),
    ]


def compiled(
    made, hp, optimizer=None, loss="sparse_categorical_crossentropy", metrics=("accuracy",)
):
    rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    made.compile((optimizer or optimizers.Adam)(rate), loss, metrics=list(metrics))
    return made


def of_layers(make, shape=(6,), **compiling):
    def build(hp, data):
        made = keras.Sequential([keras.Input(shape), *make(hp, data)])
        return compiled(made, hp, **compiling)

    return build


def with_optimizer(make):
    """A dense model, its optimizer made of a learning rate and of `hp`."""

    def build(hp, data):
        made = keras.Sequential([keras.Input((6,)), *dense(hp, data)])
        return compiled(made, hp, optimizer=lambda rate: make(rate, hp))

    return build


def convolutional(hp, data):
    return [
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.SpatialDropout2D(hp.Float("rate", 0.1, 0.5)),
        layers.Flatten(),
        layers.Dense(3, "softmax"),
    ]


def recurrent(hp, data):
    return [
        layers.GRU(8, return_sequences=True),
        layers.LSTM(8),
        layers.Dropout(hp.Float("rate", 0.1, 0.5)),
        layers.Dense(3, "softmax"),
    ]


def normalised(hp, data):
    # Without a bias: its gradient would be what rounding leaves, of which Adam makes whole steps.
    return [
        layers.Dense(16, use_bias=False),
        layers.BatchNormalization(momentum=hp.Float("momentum", 0.8, 0.99)),
        layers.LeakyReLU(0.1),
        layers.GaussianNoise(hp.Float("stddev", 0.05, 0.3)),
        layers.Dense(3, "softmax"),
    ]


def regularised(hp, data):
    l1, l2 = hp.Float("l1", 1e-5, 1e-2), hp.Float("l2", 1e-4, 1e-1)
    return [
        layers.Dense(16, "relu", kernel_regularizer=keras.regularizers.L1L2(l1, l2)),
        layers.Dense(16, "relu", kernel_regularizer=keras.regularizers.L2(l2)),
        layers.Dense(3, "softmax", bias_regularizer=keras.regularizers.L1(l1)),
    ]


def functional(hp, data):
    inputs = keras.Input((6,))
    hidden = layers.Dense(16, "relu")(inputs)
    hidden = layers.Add()([hidden, layers.Dense(16)(inputs)])
    hidden = layers.Dropout(hp.Float("rate", 0.1, 0.5))(hidden)
    return compiled(keras.Model(inputs, layers.Dense(3, "softmax")(hidden)), hp)


def weighted(hp, data):
    inputs = keras.Input((6,))
    out = layers.Rescaling(hp.Float("scale", 0.5, 2.0))(
        layers.Dense(1)(layers.Dense(8, "relu")(inputs))
    )
    made = keras.Model(inputs, out)
    weight = hp.Float("weight", 0.1, 2.0)
    made.compile(optimizers.Adam(1e-2), "mse", loss_weights=[weight], metrics=["mae"])
    return made


def drawn(**ranges):
    """Numbers by name, of two configurations that differ in each."""
    rng = np.random.default_rng(5)
    names = {"learning_rate": (1e-3, 2e-2), **ranges}
    return [{n: float(rng.uniform(*bounds)) for n, bounds in names.items()} for _ in range(2)]


RATE = {"rate": (0.1, 0.5)}
OPTIMIZERS = {
    "SGD": lambda rate, hp: optimizers.SGD(rate, momentum=hp.Float("m", 0.5, 0.99)),
    "SGD, Nesterov, clipped": lambda rate, hp: optimizers.SGD(
        rate, momentum=0.9, nesterov=True, clipnorm=hp.Float("m", 0.01, 2.0)
    ),
    "RMSprop": lambda rate, hp: optimizers.RMSprop(
        rate, rho=hp.Float("m", 0.5, 0.99), momentum=0.5, centered=True
    ),
    "Adagrad": lambda rate, hp: optimizers.Adagrad(rate, epsilon=hp.Float("m", 1e-8, 1e-2)),
    "Adadelta": lambda rate, hp: optimizers.Adadelta(rate, rho=hp.Float("m", 0.8, 0.99)),
    "Adam": lambda rate, hp: optimizers.Adam(
        rate, beta_1=hp.Float("m", 0.5, 0.99), beta_2=hp.Float("n", 0.9, 0.9999), amsgrad=True
    ),
    "AdamW": lambda rate, hp: optimizers.AdamW(
        rate, weight_decay=hp.Float("m", 1e-4, 1e-1), global_clipnorm=hp.Float("n", 0.1, 3.0)
    ),
    "Adamax": lambda rate, hp: optimizers.Adamax(rate, beta_2=hp.Float("m", 0.9, 0.999)),
    "Nadam": lambda rate, hp: optimizers.Nadam(rate, beta_1=hp.Float("m", 0.5, 0.99)),
    "Ftrl": lambda rate, hp: optimizers.Ftrl(rate),
    "Lion": lambda rate, hp: optimizers.Lion(rate / 10, beta_1=hp.Float("m", 0.5, 0.99)),
    "Lamb": lambda rate, hp: optimizers.Lamb(rate, beta_1=hp.Float("m", 0.5, 0.99)),
    "Adafactor": lambda rate, hp: optimizers.Adafactor(rate),
    "an average of the weights": lambda rate, hp: optimizers.Adam(
        rate, use_ema=True, ema_momentum=hp.Float("m", 0.5, 0.99), ema_overwrite_frequency=3
    ),
    "accumulated gradients": lambda rate, hp: optimizers.Adam(rate, gradient_accumulation_steps=3),
    "clipped values": lambda rate, hp: optimizers.Adam(rate, clipvalue=0.001),
}
SCHEDULES = {
    "ExponentialDecay": lambda rate, hp: schedules.ExponentialDecay(
        rate, 5, hp.Float("m", 0.5, 0.99)
    ),
    "InverseTimeDecay": lambda rate, hp: schedules.InverseTimeDecay(rate, 5, hp.Float("m", 0.1, 2)),
    "PolynomialDecay": lambda rate, hp: schedules.PolynomialDecay(
        rate, 20, hp.Float("m", 1e-5, 1e-3), power=2.0
    ),
    "CosineDecay": lambda rate, hp: schedules.CosineDecay(rate, 20, hp.Float("m", 0.01, 0.5)),
    "CosineDecayRestarts": lambda rate, hp: schedules.CosineDecayRestarts(
        rate, 7, alpha=hp.Float("m", 0.01, 0.5)
    ),
    "PiecewiseConstantDecay": lambda rate, hp: schedules.PiecewiseConstantDecay(
        [5, 9], [0.01, 0.005, 0.001]
    ),
}


METRICS = (
    "accuracy",
    "sparse_top_k_categorical_accuracy",
    keras.metrics.SparseCategoricalCrossentropy(),
    keras.metrics.MeanMetricWrapper(keras.losses.sparse_categorical_crossentropy, name="own"),
)

# Of the number `m`, where the others' would be none of theirs.
BOUNDS = {
    "SGD, Nesterov, clipped": (0.1, 1.0),
    "Adagrad": (1e-8, 1e-2),
    "Adadelta": (0.85, 0.99),
    "AdamW": (1e-3, 1e-1),
    "Adamax": (0.9, 0.999),
    "InverseTimeDecay": (0.1, 2.0),
}

# name -> (build, data, configurations)
CASES = {
    "dense": (of_layers(dense), examples(), drawn(**RATE)),
    "no full batch": (of_layers(dense), examples(count=20), drawn(**RATE)),
    "full batches alone": (of_layers(dense), examples(count=128), drawn(**RATE)),
    "convolutional": (
        of_layers(convolutional, (10, 10, 1)),
        examples((10, 10, 1)),
        drawn(**RATE),
    ),
    "recurrent": (of_layers(recurrent, (5, 4)), examples((5, 4)), drawn(**RATE)),
    "normalised": (
        of_layers(normalised),
        examples(),
        drawn(momentum=(0.8, 0.99), stddev=(0.05, 0.3)),
    ),
    "regularised": (of_layers(regularised), examples(), drawn(l1=(1e-5, 1e-3), l2=(1e-4, 1e-2))),
    "functional": (functional, examples(), drawn(**RATE)),
    "several metrics": (of_layers(dense, metrics=METRICS), examples(), drawn(**RATE)),
    "loss weights": (
        weighted,
        examples(targets="number"),
        drawn(scale=(0.5, 2.0), weight=(0.1, 2.0)),
    ),
    **{
        name: (
            with_optimizer(make),
            examples(),
            drawn(m=BOUNDS.get(name, (0.6, 0.95)), n=(0.95, 0.9995), **RATE),
        )
        for name, make in OPTIMIZERS.items()
    },
    **{
        name: (
            with_optimizer(lambda rate, hp, make=make: optimizers.Adam(make(rate, hp))),
            examples(),
            drawn(m=BOUNDS.get(name, (0.01, 0.5)), **RATE),
        )
        for name, make in SCHEDULES.items()
    },
}


def jobs(folder, configurations, **settings):
    """A job for each configuration."""
    objective = settings.pop("objective", Objective("val_loss", "min"))
    given = {"max_epochs": 2, "fit_plan": "fused", **settings}
    return [
        Job(
            f"trial_{number:05d}",
            configuration,
            1,
            given["max_epochs"],
            objective,
            folder / str(number),
            fit_plan=given["fit_plan"],
        )
        for number, configuration in enumerate(configurations)
    ]


def largest_difference(one, other):
    """The largest relative difference of a metric in any epoch."""
    pairs = [
        (a.metrics[name], b.metrics[name])
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first.reports, second.reports, strict=True)
        for name in {**a.metrics, **b.metrics}
    ]
    return max(abs(a - b) / max(abs(a), 1e-3) for a, b in pairs)


def outcome(name):
    """What a case came to: all together, and one of them apart, in turn the first and the second.

    A program is made of the first; to train another apart costs another compilation.
    """
    build, data, configurations = CASES[name]
    one = list(CASES).index(name) % 2
    with tempfile.TemporaryDirectory() as folder:
        space = SearchSpace("case", build)
        first = apart(jobs(Path(folder, "apart"), configurations)[one:][:1], space, data)
        second = together(jobs(Path(folder, "together"), configurations), space, data)
    failed = [session.failure.reason for session in second if session.failure]
    plans = sorted({str(m.facts.fit_plan) for m in second if m.facts})
    return {
        "plans": plans,
        "failed": failed,
        "difference": None if failed else largest_difference(first, second[one:][:1]),
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        print(json.dumps({"case": name, **outcome(name)}), flush=True)
