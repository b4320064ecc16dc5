"""What the tests of a trial share: a little real data, models that take a second, sessions made
from a list."""

import gc
import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.data.dataset import Dataset
from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport
from pipeline.worker.session import Job, SearchSpace, Stopped, TrialUpdate
from pipeline.worker.training.trial import Ending, train

# Every trial collects garbage, and what TensorFlow's import leaves takes a quarter of a second to
# look through.
gc.freeze()

# A restarted trial repeats the same float32 sums on the same numbers: with TensorFlow 2.21 the
# curves are equal to the bit. The tolerance is of some ten roundings of 2**-23, for a library that
# orders a sum differently.
TOLERANCE = 1e-6


def dataset(name: str, count: int = 60) -> Dataset:
    """The first `count` training examples of one of ours, two steps an epoch, and as many of its
    other splits."""
    whole = importlib.import_module(f"pipeline.datasets.{name}").load(0)
    short = {
        f"{a}_{s}": getattr(whole, f"{a}_{s}")[:count]
        for a in "xy"
        for s in ("train", "val", "test")
    }
    return replace(whole, **short)


def one_hot(data: Dataset) -> Dataset:
    return replace(
        data, **{f"y_{s}": np.eye(10)[getattr(data, f"y_{s}")] for s in ("train", "val", "test")}
    )


def digits_model(
    optimizer: Any = "adam",
    *,
    eager: bool = True,
    metrics: Any = ("accuracy",),
    dropout: float = 0.3,
) -> keras.Model:
    """A classifier of digits with everything in it that has a state: dropout, batch normalisation,
    an optimizer."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(16),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )
    # Eager steps are slow, but tracing a graph takes longer than these few.
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=list(metrics), run_eagerly=eager
    )
    return model


def linear_model(optimizer: Any = "sgd") -> keras.Model:
    """The least that learns the digits."""
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True
    )
    return model


def space(build: Any = lambda hp, data: digits_model(), fit: Any = None) -> SearchSpace:
    return SearchSpace("mine", build, fit)


class OnBatches(keras.callbacks.Callback):
    """A callback that acts on every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen += 1


def job(directory: Path, trial: str = "t0000", **settings: Any) -> Job:
    defaults = {
        "configuration": {},
        "seed": 7,
        "max_epochs": 4,
        "objective": Objective("val_loss", "min"),
    }
    return Job(trial=trial, directory=directory / trial, **defaults | settings)


class Notes:
    """A session that writes everything down and ends the trial after `stop` epochs."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop
        self.updates: list[TrialUpdate] = []
        self.failure: Any = None

    @property
    def epochs(self) -> list[EpochReport]:
        return [update.report for update in self.updates]

    def report(self, update: TrialUpdate, checkpoint: Any) -> None:
        self.updates.append(update)
        self.failure = update.failure or self.failure
        if update.report.epoch == self.stop:
            checkpoint()
            raise Stopped


def run(
    task: Job, family: SearchSpace, data: Dataset, stop: int | None = None, **how: Any
) -> tuple[Notes, Any]:
    """Train; what was reported, and how it ended: an `Ending`, or None where the session ended
    it."""
    notes = Notes(stop)
    ending: Ending | None
    try:
        ending = train(task, family, data, notes, **how)
    except Stopped:
        ending = None
    return notes, ending


def curve(epochs: list[EpochReport]) -> list[dict[str, float | None]]:
    return [{"epoch": e.epoch} | e.metrics for e in epochs]


def interrupted(task: Job, family: SearchSpace, data: Dataset) -> list[EpochReport]:
    """The epochs of a trial that is stopped after each of them, and goes on each time with a model
    built anew."""
    return [update.report for update in interrupted_updates(task, family, data)]


def interrupted_updates(task: Job, family: SearchSpace, data: Dataset) -> list[TrialUpdate]:
    """All that such a trial tells."""
    updates: list[TrialUpdate] = []
    for stop in range(1, task.max_epochs + 1):
        notes, ending = run(task, family, data, stop)
        updates += notes.updates
        if ending is not None:
            assert ending.failure is None, ending.failure
            break
    return updates


def assert_same(one: list[EpochReport], other: list[EpochReport]) -> None:
    first, second = curve(one), curve(other)
    assert [p["epoch"] for p in first] == [p["epoch"] for p in second]
    for a, b in zip(first, second, strict=True):
        assert a == pytest.approx(b, rel=TOLERANCE, abs=TOLERANCE)


def differ(one: list[EpochReport], other: list[EpochReport]) -> bool:
    """Whether two curves are apart by far more than the tolerance."""
    values = zip(curve(one), curve(other), strict=False)
    return any(
        abs(a["loss"] - b["loss"]) > 1e3 * TOLERANCE for a, b in values if a["loss"] and b["loss"]
    )
