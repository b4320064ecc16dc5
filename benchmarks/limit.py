"""How near a trial comes to what the machine can do: one model's epochs against a hand-written XLA loop's.

Run:  python benchmarks/limit.py --n 3
One thread. The example's best model (one hidden layer of 448, Adam, batches of 32, MNIST's 50,000 images) against the
loop in `peers/hand_written.py`, and a small convolutional network against Keras's own `fit` on arrays. Each repetition
trains both sides afresh; what is compared is the median of the epochs after the first, without validation on either
side. Writes `results/<date>-limit.json`.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import recording

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "peers")]

from pipeline.worker import devices

devices.claim(1, 0)

import keras
import numpy as np
import tensorflow as tf
from hand_written import Epochs

from datasets import mnist
from pipeline.worker.execution import Reporter, execution

EPOCHS = 4


class Clock(Reporter):
    """Seconds of each epoch's training."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.monotonic() - self._began)


def model(data, layers):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input(data.shape), *layers(), keras.layers.Dense(10, "softmax")])
    made.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def dense():
    return [keras.layers.Flatten(), keras.layers.Dense(448, "relu")]


def convolutions():
    return [
        keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.BatchNormalization(), keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.MaxPooling2D(), keras.layers.Flatten(),
        keras.layers.Dropout(0.25),
    ]  # fmt: skip


def ours(data, layers, count):
    clock, made = Clock(), model(data, layers)
    with execution(made, 0, clock, verbose=0):
        made.fit(data.x_train[:count], data.y_train[:count], epochs=EPOCHS, batch_size=32)
    return clock.epochs[1:], str(clock.plan)


def kerass_own(data, layers, count):
    clock, made = Clock(), model(data, layers)
    made.fit(data.x_train[:count], data.y_train[:count], epochs=EPOCHS, batch_size=32, verbose=0, callbacks=[clock])
    return clock.epochs[1:]


def hand_written(data):
    x = data.x_train.reshape(len(data.x_train), -1)
    side = Epochs([448], x, data.y_train, 32)
    taken = []
    for epoch in range(EPOCHS):
        began = time.monotonic()
        order = tf.constant(np.random.default_rng(epoch).permutation(len(x)).astype("int32"))
        float(side.train(order))
        taken.append(time.monotonic() - began)
    return taken[1:]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    n = arguments.parse_args().n
    data = mnist.load(0)
    taken = {name: [] for name in ("dense", "hand-written", "convolutions", "convolutions, Keras's own")}
    plans = {}
    for _ in range(n):
        taken["hand-written"] += hand_written(data)
        epochs, plans["dense"] = ours(data, dense, None)
        taken["dense"] += epochs
        taken["convolutions, Keras's own"] += kerass_own(data, convolutions, 10_000)
        epochs, plans["convolutions"] = ours(data, convolutions, 10_000)
        taken["convolutions"] += epochs
        print({name: round(statistics.median(seconds), 2) for name, seconds in taken.items()}, flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    recording.write(
        "limit",
        __doc__.partition("\n")[0],
        "tensorflow", "keras", "numpy",
        n=n, epoch_s={name: round(seconds, 3) for name, seconds in medians.items()}, plans=plans,
        of_the_limit=round(medians["hand-written"] / medians["dense"], 2),
        of_keras_own=round(medians["convolutions, Keras's own"] / medians["convolutions"], 2),
        spread_s={name: [round(min(s), 3), round(max(s), 3)] for name, s in taken.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
