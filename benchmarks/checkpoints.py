"""What a trial's checkpoints cost: the part of its time that goes into writing them.

Run:  python benchmarks/checkpoints.py --n 3

One thread, on the disk of the temporary folder. Ten epochs of MNIST in batches of 32, on a hidden
layer of 64, on five of 512 and on a small convolutional network; and one epoch of each, after which
the trial is stopped, as most are. What is written is the last state, and the best epoch's weights
if they are new. Writes `results/<date>-checkpoints.json`.
"""

import statistics
import tempfile
import time
from pathlib import Path

import recording
import subject

from pipeline.worker.devices import machine

machine.claim(1, 0)

import keras

from pipeline.objective import Objective
from pipeline.worker.session import Job, SearchSpace, Stopped, Until
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.trial import train

GOAL = 3  # percent
DENSE = {"a layer of 64": [64], "five layers of 512": [512] * 5}
SMALL = "a small convolutional network"


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


def space(name):
    def build(hp, data):
        if name == SMALL:
            layers = [
                keras.layers.Conv2D(16, 3, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
            ]
        else:
            layers = [
                keras.layers.Flatten(),
                *(keras.layers.Dense(width, "relu") for width in DENSE[name]),
            ]
        model = keras.Sequential(
            [keras.Input(data.shape), *layers, keras.layers.Dense(data.classes, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return SearchSpace("benchmark", build, None)


def measure(name, epochs, data):
    with tempfile.TemporaryDirectory() as folder, Timed() as timed:
        job = Job(
            "t0000",
            {},
            0,
            10,
            Objective("val_accuracy", "max"),
            Path(folder),
            rungs=(1,) if epochs == 1 else (),
        )
        began = time.monotonic()
        try:
            ending = train(job, space(name), data, Until(epochs))
            assert ending.failure is None, ending.failure
        except Stopped:
            pass
        whole = time.monotonic() - began
    return {
        "trial_s": round(whole, 2),
        "saves": timed.saves,
        "saves_s": round(timed.seconds, 3),
        "percent": round(100 * timed.seconds / whole, 2),
    }


def main():
    arguments = subject.options(__doc__, search_space=None)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    asked = arguments.parse_args()
    data = subject.load_data(asked.dataset, asked.seed)
    names = [*DENSE, *([SMALL] if len(data.shape) == 3 else [])]
    measure(names[0], 1, data)  # what is loaded with the first
    runs = {(name, epochs): [] for name in names for epochs in (1, 10)}
    for _ in range(asked.n):
        for (name, epochs), done in runs.items():
            done.append(measure(name, epochs, data))
            print(name, done[-1], flush=True)
    rows = [
        {"model": name, "epochs": epochs}
        | {
            key: statistics.median(run[key] for run in done)
            for key in ("trial_s", "saves", "saves_s", "percent")
        }
        for (name, epochs), done in runs.items()
    ]
    print(*rows, f"goal: at most {GOAL} percent", sep="\n")
    recording.write(
        f"checkpoints{subject.label(asked)}",
        __doc__.partition("\n")[0],
        "tensorflow",
        "keras",
        "numpy",
        n=asked.n,
        dataset=asked.dataset,
        goal_percent=GOAL,
        rows=rows,
    )


if __name__ == "__main__":
    main()
