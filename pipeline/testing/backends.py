"""What must hold of a `Backend`, whichever of Keras's backends it stands for.

Keras must compute with it in the process that checks it, so a process can check one alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.backend import BY_ITSELF, PLANS, Backend
from pipeline.worker.backends.batches import Chunks
from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.reporter import Reporter

SEED, EPOCHS, BATCH_SIZE = 5, 3, 16
COUNT = 330  # 20 full batches, and 10 examples
# Compilers order sums differently: after three epochs of 21 float32 updates the losses were apart
# by some 1e-6.
TOLERANCE = 1e-4


def check_backend(backend: Backend) -> None:
    """Check all that must hold of a backend.

    Raises:
        AssertionError: something does not.
    """
    check_what_it_says(backend)
    check_order_of_examples(backend)
    check_plans(backend)
    check_seeds(backend)


def check_what_it_says(backend: Backend) -> None:
    """It stands for Keras's backend, and answers for a model on one device."""
    computes = keras.backend.backend()
    assert backend.name == computes, f"Keras computes with {computes}, not with {backend.name}"
    assert backend.plans[:1] == ("plain",), "every backend has Keras's own `fit`"
    assert set(backend.plans) <= set(PLANS), f"its plans must be among {', '.join(PLANS)}"
    assert backend.title or backend.plans == ("plain",), "a reason for a plan names the backend"
    assert backend.devices_of(_model()) == 1, "a model is on one device unless it is told otherwise"
    assert set(backend.plans_to_measure) <= set(backend.plans), "it must have what is measured"
    assert backend.peak_bytes() >= 0 and isinstance(backend.on_gpu(), bool)
    before = backend.runs_functions_eagerly()
    backend.run_functions_eagerly(before)
    assert backend.runs_functions_eagerly() == before, "a setting that is set again stays"


def check_order_of_examples(backend: Backend) -> None:
    """Each example comes once an epoch, in an order that follows from seed and epoch alone."""
    first = order_of(backend, SEED, 0)
    assert sorted(first) == list(range(COUNT)), "each example must come once an epoch"
    assert order_of(backend, SEED, 0) == first, "the same seed and epoch have the same order"
    assert order_of(backend, SEED, 1) != first, "each epoch has an order of its own"
    assert order_of(backend, SEED + 1, 0) != first, "each seed has an order of its own"
    if len(backend.plans) > 1:
        looped = order_of(backend, SEED, 0, looped=True)
        assert looped == first, "chunks must have the examples in the order that batches have them"


def check_plans(backend: Backend) -> None:
    """Each plan comes to what Keras's own `fit` does on the examples in the same order."""
    x, y = _examples()
    own = _model()
    expected: list[dict[str, float]] = []
    for epoch in range(EPOCHS):
        order = order_of(backend, SEED, epoch)
        history = own.fit(x[order], y[order], batch_size=BATCH_SIZE, shuffle=False, verbose=0)
        expected.append({name: values[-1] for name, values in history.history.items()})
    for plan in (plan for plan in backend.plans if plan in BY_ITSELF):
        made, reporter = _model(), Reporter()
        with planned_fit(made, SEED, reporter, plan, backend=backend, verbose=0):
            history = made.fit(x, y, batch_size=BATCH_SIZE, epochs=EPOCHS)
        chosen = reporter.fit_plan
        assert chosen is not None and chosen.name == plan, f"{plan} was asked for; got {chosen}"
        for epoch, logs in enumerate(expected):
            for name, value in logs.items():
                got = history.history[name][epoch]
                assert np.isclose(got, value, rtol=TOLERANCE, atol=TOLERANCE), (
                    f"{plan}: {name} of epoch {epoch} must be that of Keras, {value}; got {got}"
                )
        for got, wanted in zip(made.get_weights(), own.get_weights(), strict=True):
            assert np.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE), (
                f"{plan}: the weights must be those of Keras"
            )


def check_seeds(backend: Backend) -> None:
    """A seed decides what is drawn; in training the seed and the epoch do."""
    drawn = []
    for seed in (SEED, SEED, SEED + 1):
        backend.set_random_seed(seed)
        drawn.append((float(keras.random.uniform(())), float(np.random.random())))
    assert drawn[0] == drawn[1], "the same seed must draw the same"
    assert drawn[0][0] != drawn[2][0] and drawn[0][1] != drawn[2][1], "another draws another"
    last = _loss_under_dropout(backend, SEED, 0)
    again = _loss_under_dropout(backend, SEED, EPOCHS - 1)
    assert np.isclose(last, again, rtol=1e-6), "an epoch draws the same wherever training began"
    assert abs(last - _loss_under_dropout(backend, SEED + 1, 0)) > 1e-5, (
        "another seed draws another"
    )


@dataclass
class _Order:
    seed: int
    epoch: int
    listeners: list[Callable[[int], Any]] = field(default_factory=list)


def order_of(backend: Backend, seed: int, epoch: int, *, looped: bool = False) -> list[int]:
    """The examples of an epoch, by their numbers, in the order in which a backend has them."""
    parts = [np.arange(COUNT)]
    order = _Order(seed, epoch)
    chunks = Chunks.of(parts, BATCH_SIZE)
    data = backend.shuffled(parts, chunks, order, looped=looped, devices=1)
    for listener in order.listeners:
        listener(epoch)
    whole = isinstance(data, keras.utils.PyDataset)
    batches = [data[step] for step in range(len(data))] if whole else list(data)
    return [int(n) for batch in batches for n in keras.ops.convert_to_numpy(batch[0])]


def _examples() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, 6)).astype("float32")
    return x, (x @ rng.normal(size=(6, 4))).argmax(-1)


def _model() -> Any:
    keras.utils.set_random_seed(3)
    layers = [
        keras.Input((6,)),
        keras.layers.Dense(8, "relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(4, "softmax"),
    ]
    made = keras.Sequential(layers)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    made.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def _loss_under_dropout(backend: Backend, seed: int, initial_epoch: int) -> float:
    """The last epoch's loss of a model that learns nothing, so that it is of what dropout drew."""
    keras.utils.set_random_seed(initial_epoch)  # else the layer's own seed is the same anyway
    layers = [keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(1, "linear")]
    made = keras.Sequential(layers)
    made.set_weights([np.ones(weights.shape) for weights in made.get_weights()])
    made.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = _examples()
    with planned_fit(made, seed, Reporter(), "plain", backend=backend, verbose=0):
        history = made.fit(x, y, batch_size=BATCH_SIZE, initial_epoch=initial_epoch, epochs=EPOCHS)
    return float(history.history["loss"][-1])
