"""Trials that share a process: their records are those of trials apart, whatever befalls it."""

import signal
from dataclasses import replace

import pytest

from pipeline import Experiment, names
from pipeline.engine import preparation
from pipeline.engine.trials.jobs import Jobs
from pipeline.objective import Objective
from pipeline.records.entries.trials import read_trials
from pipeline.records.settings import read_experiment
from pipeline.worker.spaces.loading import load_dataset, load_search_space
from tests.worker import stage

SPACE = """
import os
import random
import time
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent


class Told(keras.callbacks.Callback):
    def __init__(self, hp):
        super().__init__()
        self.number = hp.get("number")

    def on_epoch_begin(self, epoch, logs=None):
        {befalls}

    def on_epoch_end(self, epoch, logs=None):
        logs["process"] = os.getpid()
        logs["drawn"] = np.random.rand() + random.random()


def once():
    try:
        (HERE / "once").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def build(hp, data):
    rate = 0.01 * (1 + hp.Choice("number", [0, 1, 2]))
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dropout(0.3)])
    model.add(keras.layers.Dense(data.classes, activation="softmax"))
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def fit(hp, model, *args, callbacks, **kwargs):
    return model.fit(*args, callbacks=[Told(hp), *callbacks], **kwargs)
"""


@pytest.fixture
def shared(search, monkeypatch, tmp_path):
    """Run a search whose trials share processes, so many each; what befalls its epochs is code."""

    def run(seats, befalls="pass", **settings):
        monkeypatch.setattr(preparation, "seats_of", lambda *_: (seats, "a test says so"))
        (tmp_path / "mine.py").write_text(SPACE.format(befalls=befalls))
        return search(search_space=str(tmp_path / "mine.py"), **settings)

    return run


def alone(run, trial, epochs):
    """What a trial's first epochs come to in this process, where nothing else trains."""
    experiment = Experiment.from_yaml(read_experiment(run.layout), "experiment.yaml")
    record = read_trials(run.layout)[trial]
    data = load_dataset(experiment.resolved_dataset(), experiment.seed)
    space = load_search_space(names.resolve("search space", experiment.search_space))
    job = Jobs(experiment, Objective("val_accuracy", "max"), run.layout)(
        trial, record.in_force(1) or record.configuration
    )
    job = replace(job, directory=run.layout.root.with_name(f"{trial}-alone"))
    notes, _ = stage.run(job, space, data, epochs)
    return [(e.epoch, e.metrics["val_loss"], e.metrics["drawn"]) for e in notes.epochs]


def told(run, trial):
    """The epochs of a trial, as `alone` says them."""
    history = run.history[run.history["trial"] == trial]
    return list(history[["epoch", "val_loss", "drawn"]].itertuples(index=False, name=None))


@pytest.mark.ray
@pytest.mark.slow
def test_a_population_goes_on_where_one_raises_and_later_its_process_is_killed(shared):
    """Those that are left go on apart, from their checkpoints, and then together again."""
    befalls = f"""
        if epoch == 2 and once():
            os.kill(os.getpid(), {int(signal.SIGKILL)})
        if epoch == 1 and not (HERE / "raised").exists():
            (HERE / "raised").touch()
            raise ValueError("one of mine")
"""
    run = shared(
        3,
        befalls,
        scheduler="pbt",
        perturbation_interval=2,
        trials=3,
        max_epochs=6,
        max_concurrent=3,
        searcher="random",
    )
    failed = run.trials[run.trials["status"] == "failed"]
    assert list(failed["error"]) == ["ValueError: one of mine"]
    left = list(run.trials[run.trials["status"] == "finished"]["trial"])
    assert len(left) == 2
    # Each draws the numbers that it would draw alone, and no epoch is lost or recorded twice.
    for trial in left:
        for epoch, same in zip(told(run, trial), alone(run, trial, 2), strict=False):
            assert epoch == pytest.approx(same)
        assert [epoch for epoch, *_ in told(run, trial)] == [1, 2, 3, 4, 5, 6]
    history = run.history[run.history["trial"].isin(left)]
    generations = history.groupby((history["epoch"] - 1) // 2)["process"].unique()
    processes = [set(found) for found in generations]
    assert [len(found) for found in processes] == [1, 2, 1]
    assert len(set.union(*processes)) == 4
