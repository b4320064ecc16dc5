"""How near a trial comes to what the machine can do: one model's epochs against a hand-written XLA
loop's.

Run:  python benchmarks/limit.py --n 3
      python benchmarks/limit.py --dataset digits --units 64 64 --batch-size 16

One thread, on TensorFlow. The example's best model (one hidden layer of 448, Adam, batches of 32,
MNIST's 50,000 images) against the loop in `peers/hand_written.py`, and a small convolutional
network with dropout and batch norm, on 10,000 of them, against Keras's own `fit` on arrays. Each
repetition trains both sides afresh; what is compared is the median of the epochs after the first,
without validation on either side. Writes `results/<date>-limit.json`.
"""

import statistics
import sys
import time
from pathlib import Path

import recording
import subject

sys.path.insert(0, str(Path(__file__).parent / "peers"))

from pipeline.worker.devices import machine

machine.claim(1, 0)

import keras
import numpy as np
import tensorflow as tf
from hand_written import Epochs

from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.reporter import Reporter

EPOCHS = 4
FEW = 10_000  # examples of the convolutional network
GOALS = {"of_the_limit": 0.7, "of_keras_own": 1}


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
    made = keras.Sequential(
        [keras.Input(data.shape), *layers(), keras.layers.Dense(data.classes, "softmax")]
    )
    made.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return made


def dense(units):
    return [keras.layers.Flatten(), *(keras.layers.Dense(width, "relu") for width in units)]


def convolutions():
    return [
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu", padding="same"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.25),
    ]


def ours(data, layers, count, batch_size):
    clock, made = Clock(), model(data, layers)
    with planned_fit(made, 0, clock, verbose=0):
        made.fit(data.x_train[:count], data.y_train[:count], epochs=EPOCHS, batch_size=batch_size)
    return clock.epochs[1:], str(clock.fit_plan)


def kerass_own(data, layers, count, batch_size):
    clock, made = Clock(), model(data, layers)
    x, y = data.x_train[:count], data.y_train[:count]
    made.fit(x, y, epochs=EPOCHS, batch_size=batch_size, verbose=0, callbacks=[clock])
    return clock.epochs[1:]


def hand_written(data, units, batch_size):
    x = data.x_train.reshape(len(data.x_train), -1)
    side = Epochs(units, x, data.y_train, data.classes, batch_size)
    taken = []
    for epoch in range(EPOCHS):
        began = time.monotonic()
        order = tf.constant(np.random.default_rng(epoch).permutation(len(x)).astype("int32"))
        float(side.train(order))
        taken.append(time.monotonic() - began)
    return taken[1:]


def main():
    arguments = subject.options(__doc__, search_space=None)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    arguments.add_argument(
        "--units", type=int, nargs="+", default=[448], help="widths of the hidden layers"
    )
    arguments.add_argument("--batch-size", type=int, default=32)
    asked = arguments.parse_args()
    if keras.backend.backend() != "tensorflow":
        raise SystemExit(
            f"The hand-written loop is TensorFlow's; got KERAS_BACKEND={keras.backend.backend()}."
        )
    data, batch = subject.load_data(asked.dataset, asked.seed), asked.batch_size
    taken, plans = {"dense": [], "hand-written": []}, {}
    if len(data.shape) == 3:
        taken |= {"convolutions": [], "convolutions, Keras's own": []}
    for _ in range(asked.n):
        taken["hand-written"] += hand_written(data, asked.units, batch)
        epochs, plans["dense"] = ours(data, lambda: dense(asked.units), None, batch)
        taken["dense"] += epochs
        if "convolutions" in taken:
            taken["convolutions, Keras's own"] += kerass_own(data, convolutions, FEW, batch)
            epochs, plans["convolutions"] = ours(data, convolutions, FEW, batch)
            taken["convolutions"] += epochs
        print(
            {name: round(statistics.median(seconds), 3) for name, seconds in taken.items()},
            flush=True,
        )
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    ratios = {"of_the_limit": round(medians["hand-written"] / medians["dense"], 2)}
    if "convolutions" in medians:
        ratios["of_keras_own"] = round(
            medians["convolutions, Keras's own"] / medians["convolutions"], 2
        )
    print(f"times the other side's speed {ratios}; goals {GOALS}")
    recording.write(
        f"limit{subject.label(asked)}",
        __doc__.partition("\n")[0],
        "tensorflow",
        "keras",
        "numpy",
        n=asked.n,
        dataset=asked.dataset,
        units=asked.units,
        batch_size=batch,
        epoch_s={name: round(seconds, 3) for name, seconds in medians.items()},
        plans=plans,
        goals=GOALS,
        **ratios,
        spread_s={name: [round(min(s), 3), round(max(s), 3)] for name, s in taken.items()},
    )


if __name__ == "__main__":
    main()
