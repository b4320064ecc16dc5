"""Whole searches through the command line on Keras's other backends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.cli.test_runs import epochs_of, in_order, wait_for_reports
from tests.conftest import installed, run_cli

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

# All that has a state, and epochs long enough to be cut off.
SPACE = """
import time

import keras


def build(hp, data):
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Flatten(),
        keras.layers.Dense(hp.Choice("units", [32, 64]), activation="relu"), keras.layers.Dropout(0.2),
        keras.layers.Dense(data.classes, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input(data.shape), *layers])
    rate = hp.Float("learning_rate", 1e-3, 1e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(hp, model, *args, callbacks, **kwargs):
    wait = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: time.sleep(0.5))
    return model.fit(*args, batch_size=64, callbacks=[wait, *callbacks], **kwargs)
"""
ARGUMENTS = (
    "digits",
    "--search-space",
    "space.py",
    "--trials",
    3,
    "--max-epochs",
    3,
    "--searcher",
    "random",
    "--scheduler",
    "none",
)

IN_TENSORFLOW = """
import json, sys
import keras
from pipeline.datasets import digits
assert keras.backend.backend() == "tensorflow"
data = digits.load(0)
model = keras.saving.load_model(sys.argv[1])
print("\\n" + json.dumps(model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)))
"""


@pytest.fixture(scope="module", params=[installed("jax"), installed("torch")])
def searched(request, tmp_path_factory):
    """A backend, and the folder in which a search ran on it undisturbed."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "space.py").write_text(SPACE)
    code, _, errors = run_cli(
        *ARGUMENTS, "--name", "whole", cwd=folder, timeout=400, KERAS_BACKEND=request.param
    )
    assert code == 0, errors
    assert errors == ""
    return request.param, folder


def test_a_search_ends_with_a_model_that_tensorflow_opens(searched):
    backend, folder = searched
    run = folder / "runs" / "whole"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["versions"]["backend"] == backend and backend in summary["versions"]
    assert summary["trials"]["finished"] == 3 and len(pd.read_csv(run / "history.csv")) == 9
    done = subprocess.run(
        [sys.executable, "-c", IN_TENSORFLOW, run / "best" / "model.keras"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    assert summary["test"]["accuracy"] > 0.7
    # Of 359 test images one may lie on the border of two classes.
    assert measured["accuracy"] == pytest.approx(summary["test"]["accuracy"], abs=1.5 / 359)
    assert measured["loss"] == pytest.approx(summary["test"]["loss"], rel=1e-3)


def test_a_search_that_is_killed_and_resumed_has_the_curves_of_one_that_was_not(
    searched, started_cli, cli
):
    backend, folder = searched
    run = folder / "runs" / "killed"
    # One trial at a time: what a process costs on another backend is most of the test.
    alone = ("--max-concurrent", 1, "--name", "killed")
    process = started_cli(*ARGUMENTS, *alone, cwd=folder, KERAS_BACKEND=backend)
    wait_for_reports(run, 4, timeout=300)
    workers = [
        p
        for p in psutil.Process(process.pid).children(recursive=True)
        if p.name().startswith("ray::")
    ]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(workers, timeout=30)
    before = epochs_of(run)
    code, _, errors = cli("--resume", run, cwd=folder, timeout=400, KERAS_BACKEND=backend)
    assert code == 0, errors
    after = epochs_of(run)
    assert len(before) < 9 and after[: len(before)] == before and in_order(after)
    whole, resumed = (
        pd.read_csv(path / "history.csv").sort_values(["trial", "epoch"]).reset_index(drop=True)
        for path in (folder / "runs" / "whole", run)
    )
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(resumed[name], whole[name], rtol=1e-5, err_msg=name)
