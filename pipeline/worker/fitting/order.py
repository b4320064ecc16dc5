"""The order of a training's examples, made of its seed and the epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.known import current


class Order(keras.callbacks.Callback):
    """Sets, before each epoch, what is random in it.

    The order of the data and every layer's seed generator.

    Keras does not save a seed generator's state with the weights, so it follows from (seed, epoch).
    `seed` is None where the user's own code has seeded Keras: then nothing is set.
    """

    def __init__(self, seed: int | None, backend: Backend | None = None) -> None:
        super().__init__()
        self.seed = seed
        self._backend = backend or current()
        self.epoch = 0
        self._generators: list[Any] = []
        self.steps: int | None = None  # of an epoch, where Keras counts chunks
        self.listeners: list[Callable[[int], None]] = []

    def set_params(self, params: Any) -> None:
        """All callbacks share them, and this is the first."""
        if self.steps is not None:
            params["steps"] = self.steps
        super().set_params(params)

    def on_train_begin(self, logs: Any = None) -> None:
        """Look for the seed generators: of many layers that takes as long as a small epoch."""
        self._generators = [v for v in self.model.variables if v.name == "seed_generator_state"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take up the epoch, and tell the listeners."""
        self.epoch = epoch
        for listener in self.listeners:
            listener(epoch)
        if self.seed is None:
            return
        for place, state in enumerate(self._generators):
            words = np.random.SeedSequence([self.seed, epoch, place]).generate_state(2)
            state.assign((words & 0x7FFFFFFF).astype(state.dtype))
        seed = np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]
        self._backend.seed_layers(int(seed))
