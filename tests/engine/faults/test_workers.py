"""Workers: ready before they are needed, kept for the next trial, replaced when they hold too much
memory."""

import json

import pytest

pytestmark = pytest.mark.ray

SPACE = """
import os
import keras
import numpy as np
import tensorflow as tf

KEPT = []

keras.config.set_dtype_policy("mixed_bfloat16")  # holds for every model of this file

def build(hp, data):
    keras.config.set_epsilon(keras.config.epsilon() * 2)  # must not reach the next trial
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.SGD(hp.Float("learning_rate", 0.01, 0.1)), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])
    return model

def fit(hp, model, *args, **kwargs):
    if {leak_mib}:
        KEPT.append(np.ones({leak_mib} * 2**17))
    with open({log!r}, "a") as log:
        found = f"{{keras.config.epsilon():.1e}} {{tf.config.functions_run_eagerly()}}"
        log.write(f"{{os.getpid()}} {{model.layers[-1].compute_dtype}} {{found}}\\n")
    history = model.fit(*args, **kwargs)
    tf.config.run_functions_eagerly(True)  # must not reach it either
    return history
"""


@pytest.fixture
def fits(search, tmp_path):
    """Search over three trials, one at a time; (process, dtype, epsilon, eager) of each `fit`, the
    helper's first."""

    def run(leak_mib=0, **settings):
        log = tmp_path / "fits"
        (tmp_path / "mine.py").write_text(SPACE.format(log=str(log), leak_mib=leak_mib))
        found = search(
            search_space=str(tmp_path / "mine.py"),
            trials=3,
            max_epochs=1,
            max_concurrent=1,
            scheduler="none",
            **settings,
        )
        assert list(found.trials["status"]) == ["finished"] * 3
        return [line.split() for line in log.read_text().splitlines()]

    return run


@pytest.mark.slow
def test_a_worker_is_kept_and_keras_settings_of_the_file_hold_for_each_trial(fits):
    lines = fits()
    trials = [line for line in lines if line[0] != lines[0][0]]
    assert len(trials) == 3 and len({process for process, *_ in trials}) == 1
    assert {tuple(rest) for _, *rest in lines} == {("bfloat16", "2.0e-07", "False")}


@pytest.mark.slow
def test_a_worker_that_has_doubled_and_holds_more_than_half_its_share_is_replaced(fits):
    lines = fits(leak_mib=1024, cpus_per_trial=0.01)
    trials = [process for process, *_ in lines if process != lines[0][0]]
    assert len(trials) == len(set(trials)) == 3


@pytest.mark.slow
def test_workers_were_started_before_the_search_space_was_checked(cli, tmp_path):
    space, log = tmp_path / "mine.py", tmp_path / "imported"
    space.write_text(
        f"""
import gc, json, time
import keras
import psutil

with open({str(log)!r}, "a") as file:
    file.write(json.dumps([psutil.Process().create_time(), time.time(), gc.get_freeze_count()]) + "\\n")
time.sleep(2)  # else the first worker is free again before the second trial begins

def build(hp, data):
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.compile(hp.Choice("optimizer", ["sgd", "adam"]), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""
    )
    code, _, errors = cli(
        "digits",
        "--search-space",
        space,
        "--trials",
        2,
        "--max-epochs",
        1,
        "--cpus",
        2,
        cwd=tmp_path,
    )
    assert code == 0, errors
    (_, checked, settled), *trials = [json.loads(line) for line in log.read_text().splitlines()]
    assert settled  # the helper's process had imported all before it was the helper's
    created = {began for began, *_ in trials}
    assert len(created) == 2 and max(created) < checked
