"""A train function of ours in the place of Keras's, for the time of a `fit`.

It loops over a chunk of batches inside the graph (see `plans`); the data comes in chunks, and what
is left of an epoch batch by batch (see `backends/batches`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.worker.backends.backend import TrainFunction
from pipeline.worker.fitting.left import Loop, compiling_of, left_on


@contextmanager
def in_place(model: Any, make: Callable[[], TrainFunction], *key: Any) -> Iterator[None]:
    """Have the `fit` inside train by what `make` returns, and the model be as it was afterwards.

    As Keras does with its own, a later `fit` of the same `key` takes it up as it was traced, until
    the model is compiled anew; `make_train_function(force=True)` traces it again.
    """
    left, compiling = left_on(model), compiling_of(model)
    held = left.loop
    fits = held is not None and held.key == key and held.compiling is compiling

    def make_train_function(force: bool = False) -> None:
        if force or model.train_function is None:
            model.train_function = make()

    before = model.train_function
    model.train_function = held.train_function if held is not None and fits else None
    # Not by setattr: Keras tracks what is assigned to a model.
    object.__setattr__(model, "make_train_function", make_train_function)
    try:
        yield
    finally:
        object.__delattr__(model, "make_train_function")
        left.loop = Loop(key, compiling, model.train_function)
        model.train_function = before
