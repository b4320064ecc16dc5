"""What an epoch costs under each fit plan, for models with and without dropout and
convolutions.

Run:  python benchmarks/fit_plans.py --n 3
      KERAS_BACKEND=jax python benchmarks/fit_plans.py --n 3
      python benchmarks/fit_plans.py --dataset digits --search-space cnn --configurations 5 --seed 1

One thread, as a trial has with one CPU. The models are those named here, on MNIST, or are drawn
from a search space. The plans take turns within each repetition; what is compared is the median of
the epochs after the first, which holds tracing and compilation and is given by itself. CPU time
stands beside the wall clock: on a shared machine it is the steadier of the two. `auto` is what is
chosen where seven epochs lie between two rungs, and `auto_of_best` its epoch's time by that of the
fastest plan. Writes `results/<date>-fit-plans[-jax].json`.
"""

import statistics
import time

import numpy as np
import recording
import subject

from pipeline.worker.devices import machine

machine.claim(1, 0)

import keras

from pipeline.space.hyperparameters import HyperParameters
from pipeline.worker.backends.known import current
from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.plans import choose
from pipeline.worker.fitting.reporter import Reporter

EPOCHS = 3
BACKEND = keras.backend.backend()
HERE = current().plans


def dense(units, dropout=0.0):
    layers = [keras.layers.Flatten()]
    for width in units:
        layers += [
            keras.layers.Dense(width, "relu"),
            *([keras.layers.Dropout(dropout)] if dropout else []),
        ]
    return layers


def convolutions():
    return [
        keras.layers.Conv2D(16, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
    ]


# name: layers, batch size, examples; on MNIST
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
        self.epochs.append(
            (time.monotonic() - self._began[0], time.process_time() - self._began[1])
        )


def named(data):
    """The models above: name to what makes one, batch size, examples."""

    def compiled(layers):
        model = keras.Sequential(
            [keras.Input(data.shape), *layers(), keras.layers.Dense(data.classes, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    return {
        name: (lambda layers=layers: compiled(layers), *rest)
        for name, (layers, *rest) in MODELS.items()
    }


def from_space(asked, data):
    """So many of a search space, in batches of its own size."""
    space, rng = subject.load_space(asked.search_space), np.random.default_rng(asked.seed)
    found = {}
    for _ in range(asked.configurations):
        requested, batch_size = subject.drawn(space, data, rng)
        values = {spec.name: value for spec, value in requested}
        found[str(values)] = (
            lambda v=values: space.build(HyperParameters(v), data),
            batch_size,
            len(data.x_train),
        )
    return found


def measure(make, batch_size, count, plan, data):
    """Seconds of each epoch, or how it was carried out instead; and what `auto` would choose."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model, clock = make(), Clock()
    with planned_fit(model, 0, clock, plan, verbose=0):
        model.fit(
            data.x_train[:count],
            data.y_train[:count],
            validation_data=(data.x_val, data.y_val),
            epochs=EPOCHS,
            batch_size=batch_size,
        )
    steps = -(-count // batch_size)
    auto = {epochs: choose(model, "auto", epochs * steps, batch_size, []) for epochs in (1, 2, 7)}
    return clock.epochs if clock.fit_plan.name == plan else str(clock.fit_plan), auto


def main():
    arguments = subject.options(__doc__, search_space=None)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    arguments.add_argument("--search-space", type=subject.lasting, help="draw models from it")
    arguments.add_argument("--configurations", type=int, default=5)
    asked = arguments.parse_args()
    data = subject.load_data(asked.dataset, asked.seed)
    models = from_space(asked, data) if asked.search_space else named(data)
    rows = []
    for name, (make, batch_size, count) in models.items():
        taken = {plan: [] for plan in HERE}
        for _ in range(asked.n):
            for plan in HERE:
                epochs, auto = measure(make, batch_size, count, plan, data)
                taken[plan].append(epochs)
        plans = {
            plan: {
                "epoch_s": round(statistics.median(e[0] for run in runs for e in run[1:]), 3),
                "epoch_cpu_s": round(statistics.median(e[1] for run in runs for e in run[1:]), 3),
                "first_epoch_cpu_s": round(statistics.median(run[0][1] for run in runs), 3),
            }
            for plan, runs in taken.items()
            if not isinstance(runs[0], str)
        }
        served = auto[7].name if auto[7].name in plans else "plain"
        best = min(plan["epoch_cpu_s"] for plan in plans.values())
        rows.append(
            {
                "model": name,
                "examples": count,
                "batch_size": batch_size,
                "auto_by_epochs": {epochs: chosen.name for epochs, chosen in auto.items()},
                "auto": str(auto[7]),
                "auto_of_best": round(plans[served]["epoch_cpu_s"] / best, 2),
                "plans": plans,
                "not_served": {
                    plan: runs[0] for plan, runs in taken.items() if isinstance(runs[0], str)
                },
            }
        )
        print(rows[-1], flush=True)
    jax = "-jax" if BACKEND == "jax" else ""
    asked.search_space = asked.search_space or str(subject.SPACE)  # what `label` leaves out
    recording.write(
        f"fit-plans{jax}{subject.label(asked)}",
        __doc__.partition("\n")[0],
        BACKEND,
        "keras",
        "numpy",
        n=asked.n,
        dataset=asked.dataset,
        epochs=EPOCHS,
        backend=BACKEND,
        rows=rows,
    )


if __name__ == "__main__":
    main()
