"""What a trial's checkpoints cost: the part of its time that goes into writing them.

Run:  python benchmarks/checkpoints.py
One thread, on the disk of the temporary folder. Ten epochs of MNIST in batches of 32, on a hidden layer of 64 and on
five of 512; and one epoch of each, after which the trial is stopped, as most are. Writes
`results/<date>-checkpoints.json`.
"""

import sys
import tempfile
import time
from pathlib import Path

import recording

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.worker import devices

devices.claim(1, 0)

import keras

from datasets import mnist
from pipeline.objective import Objective
from pipeline.worker.checkpoints import Checkpoints
from pipeline.worker.modules import SearchSpace
from pipeline.worker.session import Job, Stopped, Until
from pipeline.worker.trial import train

MODELS = {"a layer of 64": [64], "five layers of 512": [512] * 5}


class Timed:
    """Seconds and number of the saves inside."""

    def __enter__(self):
        self.seconds, self.saves, self._save = 0.0, 0, Checkpoints.save

        def save(*args, **kwargs):
            began = time.monotonic()
            try:
                self._save(*args, **kwargs)
            finally:
                self.seconds += time.monotonic() - began
                self.saves += 1

        Checkpoints.save = save
        return self

    def __exit__(self, *raised):
        Checkpoints.save = self._save


def space(units):
    def build(hp, data):
        layers = [keras.layers.Flatten(), *(keras.layers.Dense(width, "relu") for width in units)]
        model = keras.Sequential([keras.Input(data.shape), *layers, keras.layers.Dense(10, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return SearchSpace("benchmark", build, None)


def measure(units, epochs, data):
    with tempfile.TemporaryDirectory() as folder, Timed() as timed:
        job = Job("t0000", {}, 0, 10, Objective("val_accuracy", "max"), Path(folder), rungs=(1,) if epochs == 1 else ())
        began = time.monotonic()
        try:
            ending = train(job, space(units), data, Until(epochs))
            assert ending.failure is None, ending.failure
        except Stopped:
            pass
        whole = time.monotonic() - began
    return {
        "epochs": epochs, "trial_s": round(whole, 2), "saves": timed.saves, "saves_s": round(timed.seconds, 3),
        "percent": round(100 * timed.seconds / whole, 2),
    }  # fmt: skip


def main():
    data = mnist.load(0)
    measure([8], 1, data)  # what is loaded with the first
    rows = [{"model": name} | measure(units, epochs, data) for name, units in MODELS.items() for epochs in (1, 10)]
    for row in rows:
        print(row)
    recording.write("checkpoints", __doc__.partition("\n")[0], "tensorflow", "keras", "numpy", n=1, rows=rows)


if __name__ == "__main__":
    main()
