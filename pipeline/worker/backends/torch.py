"""PyTorch: Keras's own `fit`, with the threads and the part of a GPU that a trial has."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.worker.backends.backend import Backend, Share


@dataclass(frozen=True)
class Torch(Backend):
    """PyTorch."""

    name: str = "torch"
    title: ClassVar[str] = "PyTorch"

    def claim(self, share: Share) -> bool:
        """Its threads, and the part of the first GPU's memory."""
        import torch

        torch.set_num_threads(share.threads)
        sees = bool(torch.cuda.is_available())
        if sees and share.fraction is not None:
            torch.cuda.set_per_process_memory_fraction(share.fraction)
        return sees

    def peak_bytes(self) -> int:
        """What its allocator had reserved."""
        import torch

        return int(torch.cuda.max_memory_reserved()) if torch.cuda.is_available() else 0

    def on_gpu(self) -> bool:
        """Whether it has CUDA."""
        import torch

        return bool(torch.cuda.is_available())

    def random_state(self) -> tuple[Any, ...]:
        """PyTorch's own generator is among them: shuffling and dropout draw from it."""
        import torch

        return *super().random_state(), torch.get_rng_state()

    def set_random_state(self, state: tuple[Any, ...]) -> None:
        """Set what `random_state` returned."""
        import torch

        super().set_random_state(state)
        torch.set_rng_state(state[-1])

    def seed_layers(self, seed: int) -> None:
        """Keras's dropout draws from PyTorch's own generator."""
        import torch

        torch.manual_seed(seed)
