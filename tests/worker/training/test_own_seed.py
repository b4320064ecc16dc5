"""A `build` that seeds Keras itself: its trial is what a loop by hand with that seed trains."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from pipeline.worker.training.repeats import carry_out
from tests.conftest import ROOT, installed
from tests.worker import stage

EPOCHS = 3


def build(hp, data):
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input(data.shape),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(data.classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def by_hand(data):
    fitted = build(None, data).fit(
        data.x_train,
        data.y_train,
        validation_data=(data.x_val, data.y_val),
        epochs=EPOCHS,
        verbose=0,
    )
    return fitted.history


def differences(folder):
    """Between a trial, and one with folds, and loops by hand: shuffled, with dropout."""
    data = stage.dataset("digits")
    notes, _ = stage.run(stage.job(folder / "one", max_epochs=EPOCHS), stage.space(build), data)
    history = by_hand(data)
    found = [
        abs(epoch.metrics[name] - values[i])
        for name, values in history.items()
        for i, epoch in enumerate(notes.epochs)
    ]
    cut = data.with_folds(2, 0)
    task = stage.job(folder / "folds", max_epochs=EPOCHS, repeats=2, folds=2)
    told = stage.Notes(None)
    carry_out(task, stage.space(build), cut, told)
    each = [by_hand(cut.fold(k)) for k in range(2)]
    found += [
        abs(epoch.metrics["val_loss"] - np.mean([h["val_loss"][i] for h in each]))
        for i, epoch in enumerate(told.epochs)
    ]
    return [float(difference) for difference in found]


def test_each_number_is_that_of_a_loop_by_hand(tmp_path):
    found = differences(tmp_path)

    assert len(found) == 5 * EPOCHS and max(found) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed(b) for b in ("jax", "torch")])
def test_so_it_is_on_other_backends(backend, tmp_path):
    code = (
        "import json, sys; from pathlib import Path;"
        "from tests.worker.training.test_own_seed import differences;"
        "print(json.dumps(differences(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(found) == 5 * EPOCHS and max(found) < 1e-6


def test_the_plan_says_why_it_is_plain(tmp_path):
    data = stage.dataset("digits")
    notes, _ = stage.run(stage.job(tmp_path, max_epochs=1), stage.space(build), data)

    assert "its own code sets Keras's seed" in notes.updates[-1].facts.fit_plan
