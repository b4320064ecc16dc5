"""Trials that share a process: their records are those of trials apart, whatever befalls it."""

import signal
from dataclasses import replace

import pytest

from pipeline import Experiment, names
from pipeline.engine import preparation
from pipeline.engine.faults import hangs
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
def test_a_population_whose_process_is_killed_goes_on_apart_and_then_together_again(shared):
    dies = f"epoch == 2 and once() and os.kill(os.getpid(), {int(signal.SIGKILL)})"
    run = shared(
        2,
        dies,
        scheduler="pbt",
        perturbation_interval=2,
        trials=2,
        max_epochs=6,
        searcher="random",
    )
    assert list(run.trials["status"]) == ["finished"] * 2
    trials = [f"t000{number}" for number in range(2)]
    # Each draws the numbers that it would draw alone, and no epoch is lost or recorded twice.
    for trial in trials:
        for epoch, same in zip(told(run, trial), alone(run, trial, 2), strict=False):
            assert epoch == pytest.approx(same)
        assert [epoch for epoch, *_ in told(run, trial)] == [1, 2, 3, 4, 5, 6]
    generations = run.history.groupby((run.history["epoch"] - 1) // 2)["process"].unique()
    processes = [set(found) for found in generations]
    assert [len(found) for found in processes] == [1, 2, 1]
    assert len(set.union(*processes)) == 4


@pytest.mark.ray
@pytest.mark.slow
def test_a_trial_that_raises_or_hangs_ends_and_the_others_of_its_process_go_on(shared, monkeypatch):
    monkeypatch.setattr(hangs, "WORKER_START_S", 20.0)
    befalls = """
        if self.number == 1 and epoch == 1:
            raise ValueError("one of mine")
        if self.number == 2 and epoch == 2 and once():
            time.sleep(1000)
"""
    run = shared(
        3,
        befalls,
        searcher="grid",
        scheduler="none",
        trials=3,
        max_epochs=3,
        max_concurrent=3,
        epoch_timeout_s=4,
    )
    by_number = run.trials.set_index("number")
    assert list(by_number["status"][[0, 1, 2]]) == ["finished", "failed", "finished"]
    assert by_number["error"][1] == "ValueError: one of mine"
    assert list(by_number["epochs"][[0, 1, 2]]) == [3, 1, 3]
    processes = run.history.groupby("epoch")["process"].nunique()
    assert processes[1] == 1 and processes[3] <= 2
