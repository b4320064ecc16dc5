"""The order of a training's examples, made of its seed and the epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.tensorflow_data import Chunks, rows


class Order(keras.callbacks.Callback):
    """Sets, before each epoch, what is random in it.

    The order of the data and every layer's seed generator.

    Keras does not save a seed generator's state with the weights, so it follows from (seed, epoch).
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.epoch = 0
        self.steps: int | None = None  # of an epoch, where Keras counts chunks
        self.listeners: list[Callable[[int], None]] = []

    def set_params(self, params: Any) -> None:
        """All callbacks share them, and this is the first."""
        if self.steps is not None:
            params["steps"] = self.steps
        super().set_params(params)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take up the epoch, and tell the listeners."""
        self.epoch = epoch
        for listener in self.listeners:
            listener(epoch)
        generators = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for place, state in enumerate(generators):
            words = np.random.SeedSequence([self.seed, epoch, place]).generate_state(2)
            state.assign((words & 0x7FFFFFFF).astype(state.dtype))
        if keras.backend.backend() == "torch":  # its dropout draws from PyTorch's own generator
            import torch

            torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0]))


class OrderedBatches(keras.utils.PyDataset):
    """Chunks, then batches, for the other backends, in an order made of (seed, epoch)."""

    def __init__(self, parts: list[Any], chunks: Chunks, order: Order) -> None:
        super().__init__()
        self.parts, self.order = parts, order
        self._epoch, self._indices = -1, np.arange(0)
        self._starts = chunks.starts(len(parts[0]))

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        if self._epoch != self.order.epoch or not len(self._indices):
            self._epoch = self.order.epoch
            rng = np.random.default_rng([self.order.seed, self._epoch])
            self._indices = rng.permutation(len(self.parts[0]))
        end = self._starts[step + 1] if step + 1 < len(self._starts) else None
        chosen = self._indices[self._starts[step] : end]
        return tuple(rows(part, chosen) for part in self.parts)
