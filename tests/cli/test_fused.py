"""Searches through the command line whose trials are trained together, on JAX."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import installed, run_cli

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

# A grid whose models are alike; its process is killed in the midst of the third epoch, once.
SPACE = """
import os
import signal
from pathlib import Path

import keras

HERE = Path(__file__).parent


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2 and (HERE / "armed").exists():
            (HERE / "armed").unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def build(hp, data):
    model = keras.Sequential([
        keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(16, activation="relu"),
        keras.layers.Dropout(hp.Choice("dropout", [0.1, 0.4])),
        keras.layers.Dense(data.classes, activation="softmax"),
    ])
    rate = hp.Choice("learning_rate", [1e-3, 1e-2])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(hp, model, *args, callbacks, **kwargs):
    return model.fit(*args, callbacks=[Kill(), *callbacks], **kwargs)
"""
COLUMNS = ["trial", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same grid by Keras's own fit, together, and together with its process killed."""
    folder = tmp_path_factory.mktemp("fused")
    (folder / "space.py").write_text(SPACE)
    found = {}
    for name, plan in (("plain", "plain"), ("fused", "auto"), ("killed", "auto")):
        if name == "killed":
            (folder / "armed").touch()
        storage = folder / name
        code, output, errors = run_cli(
            *("digits", "--search-space", "space.py", "--searcher", "grid", "--scheduler", "none"),
            *("--max-epochs", 4, "--fit-plan", plan, "--storage", storage),
            cwd=folder,
            KERAS_BACKEND="jax",
        )
        assert code == 0, output + errors
        (found[name],) = storage.glob("digits-*")
        assert not (folder / "armed").exists()
    return found


def history(run: Path):
    table = pd.read_csv(run / "history.csv")
    return table[COLUMNS].sort_values(["trial", "epoch"], ignore_index=True)


@pytest.mark.parametrize("backend", [installed("jax")])
@pytest.mark.parametrize("name", ["fused", "killed"])
def test_records_tell_trainings_together_from_trainings_apart_by_their_plan_alone(
    runs, name, backend
):
    apart, together = (json.loads((runs[n] / "summary.json").read_text()) for n in ("plain", name))
    assert list(apart["fit_plans"]) == ["plain: asked for"]
    # Those of a process that was lost go on in processes of their own; in the epoch that was cut
    # off, or in the one before it, if that was not recorded yet.
    after = ", from epoch [23] compiled: bound by the cost of a step" * (name == "killed")
    plan = re.compile(f"fused: with trainings whose models are alike{after}")
    assert all(map(plan.fullmatch, together["fit_plans"]))
    assert sum(together["fit_plans"].values()) == 4
    assert apart.keys() == together.keys()
    assert apart["best"]["hyperparameters"] == together["best"]["hyperparameters"]
    assert together["check"]["result"] == "equal"
    pd.testing.assert_frame_equal(history(runs["plain"]), history(runs[name]), rtol=1e-5, atol=1e-6)
    statuses = pd.read_csv(runs[name] / "trials.csv")["status"]
    assert list(statuses) == ["finished"] * 4


@pytest.mark.parametrize("backend", [installed("jax")])
def test_they_share_a_process_and_no_trial_waits_for_another_in_its_seconds(runs, backend):
    table = pd.read_csv(runs["fused"] / "history.csv")
    assert table["seconds"].max() < 10  # the compilation, in equal parts
    later = table[table["epoch"] > 1]["seconds"]
    assert later.max() < 0.5
