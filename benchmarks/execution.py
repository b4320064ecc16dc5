"""What an epoch costs under each execution plan, for models with and without dropout and convolutions, on MNIST.

Run:  python benchmarks/execution.py --n 3
      KERAS_BACKEND=jax python benchmarks/execution.py --n 3
One thread, as a trial has with one CPU. The plans take turns within each repetition; what is compared is the median of
the epochs after the first, which holds tracing and compilation and is given by itself. CPU time stands beside the
wall clock: on a shared machine it is the steadier of the two. Writes `results/<date>-execution[-jax].json`.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import recording

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.worker import devices

devices.claim(1, 0)

import keras

from datasets import mnist
from pipeline.worker.execution import Reporter, execution
from pipeline.worker.plans import PLANS, choose

EPOCHS = 3
BACKEND = keras.backend.backend()
HERE = [plan for plan in PLANS if BACKEND == "tensorflow" or plan != "looped"]  # JAX compiles every loop


def dense(units, dropout=0.0):
    layers = [keras.layers.Flatten()]
    for width in units:
        layers += [keras.layers.Dense(width, "relu"), *([keras.layers.Dropout(dropout)] if dropout else [])]
    return layers


def convolutions():
    return [
        keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.BatchNormalization(), keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.MaxPooling2D(), keras.layers.Flatten(),
    ]  # fmt: skip


# name: layers, batch size, examples
MODELS = {
    "dense 448, batch 32": (lambda: dense([448]), 32, 50_000),
    "dense 448, batch 128": (lambda: dense([448]), 128, 50_000),
    "dense 2 x 256, batch 32": (lambda: dense([256, 256]), 32, 50_000),
    "dense 4 layers to 448, batch 32": (lambda: dense([384, 448, 160, 192]), 32, 50_000),
    "dense 2 x 1024, batch 64": (lambda: dense([1024, 1024]), 64, 50_000),
    "dense 3 x 64, batch 128": (lambda: dense([64, 64, 64]), 128, 50_000),
    "dense 448 with dropout, batch 32": (lambda: dense([448], 0.1), 32, 10_000),
    "dense 2 x 256 with dropout, batch 128": (lambda: dense([256, 256], 0.2), 128, 10_000),
    "convolutions, batch 32": (convolutions, 32, 3_200),
}


class Clock(Reporter):
    """Wall clock and CPU seconds of each epoch, validation included."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((time.monotonic() - self._began[0], time.process_time() - self._began[1]))


def measure(layers, batch_size, count, plan, data):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(data.shape), *layers(), keras.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock()
    with execution(model, 0, clock, plan, verbose=0):
        model.fit(
            data.x_train[:count], data.y_train[:count], validation_data=(data.x_val, data.y_val), epochs=EPOCHS,
            batch_size=batch_size,
        )  # fmt: skip
    assert clock.plan.plan == plan
    auto = {epochs: choose(model, "auto", epochs * count // batch_size, batch_size, []).plan for epochs in (1, 2, 7)}
    return clock.epochs, auto


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    n = arguments.parse_args().n
    data = mnist.load(0)
    rows = []
    for name, (layers, batch_size, count) in MODELS.items():
        taken = {plan: [] for plan in HERE}
        for _ in range(n):
            for plan in HERE:
                epochs, auto = measure(layers, batch_size, count, plan, data)
                taken[plan].append(epochs)
        plans = {
            plan: {
                "epoch_s": round(statistics.median(e[0] for run in runs for e in run[1:]), 3),
                "epoch_cpu_s": round(statistics.median(e[1] for run in runs for e in run[1:]), 3),
                "first_epoch_cpu_s": round(statistics.median(run[0][1] for run in runs), 3),
            }
            for plan, runs in taken.items()
        }
        rows.append({"model": name, "examples": count, "auto_by_epochs": auto, "plans": plans})
        print(rows[-1], flush=True)
    recording.write(
        "execution" + ("-jax" if BACKEND == "jax" else ""),
        __doc__.partition("\n")[0],
        BACKEND, "keras", "numpy",
        n=n, epochs=EPOCHS, backend=BACKEND, rows=rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
