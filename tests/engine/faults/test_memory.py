"""A node holds the data once: trials on a large array need little more memory than on a small one."""

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TRIALS = 2

FILE = '''
import os
import time
from pathlib import Path

import keras
import numpy as np
import psutil

HERE = Path({folder!r})

def load():
    rng = np.random.default_rng(0)
    return rng.random(({rows}, 1000), np.float32), rng.integers(0, 10, {rows})

class Memory(keras.callbacks.Callback):
    """Once all trials are under way: what this one holds for itself."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            (HERE / f"{{os.getpid()}}.started").touch()
            until = time.monotonic() + 200
            while len(list(HERE.glob("*.started"))) < {trials} and time.monotonic() < until:
                time.sleep(0.1)
        if epoch == 2:
            (HERE / f"{{os.getpid()}}.held").write_text(str(psutil.Process().memory_full_info().uss))

def build(hp, data):
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input(data.shape), *layers])
    model.compile(keras.optimizers.SGD(hp.Float("learning_rate", 0.001, 0.1)), "sparse_categorical_crossentropy")
    return model

def fit(hp, model, *args, callbacks, **kwargs):
    return model.fit(*args, batch_size=100, callbacks=[Memory(), *callbacks], **kwargs)
'''


@pytest.fixture
def memory_of(search, tmp_path):
    """Bytes that the trials hold together, beside what they share."""

    def run(rows, plan):
        folder = tmp_path / str(rows)
        folder.mkdir()
        file = folder / "space.py"
        file.write_text(FILE.format(rows=rows, folder=str(folder), trials=TRIALS))
        search(
            dataset=str(file),
            search_space=str(file),
            objective="val_loss",
            scheduler="none",
            searcher="hyperopt",  # under which no trials share a process
            trials=TRIALS,
            max_epochs=3,
            max_concurrent=TRIALS,
            cpus_per_trial=0.5,
            fit_plan=plan,
        )
        held = [int(file.read_text()) for file in folder.glob("*.held")]
        assert len(held) == TRIALS
        return sum(held)

    return run


@pytest.mark.parametrize("plan", ["auto", "compiled"])
def test_trials_hold_a_large_array_once(plan, memory_of):
    small, large = memory_of(1_000, plan), memory_of(105_000, plan)  # 4 MB, and 420 MB
    assert large < 1.1 * small
