"""What a program for several models at once is made of."""

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Form:
    """How the examples of several models come in batches, as far as a program depends on it."""

    batch: int  # examples a batch
    full: int  # full batches at most
    rests: tuple[int, ...]  # examples that last batches have, 0 for none
    even: bool  # whether all have the same number of full batches

    def covers(self, other: "Form") -> bool:
        """Whether what is made for this form does for another."""
        return (
            self.batch == other.batch
            and other.full <= self.full
            and set(other.rests) <= set(self.rests)
            and (not self.even or (other.even and other.full == self.full))
        )


@dataclass(frozen=True)
class Given:
    """The examples of k models as a program takes them.

    Args:
        parts: arrays (k, n, …) as the backend places them; (1, n, …) where all share them.
        orders: (k, n) integers, in which order each has them.
        full: (k,) how many full batches each has.
        rests: (k,) how many examples its last batch has, 0 for none.
        shared: whether all share the arrays.
    """

    parts: tuple[Any, ...]
    orders: Any
    full: Any
    rests: Any
    shared: bool


class Steps(Protocol):
    """The steps of one model, as functions of its state and its numbers."""

    def train(self, state: Any, numbers: Any, batch: Any) -> Any:
        """The state after a training step."""

    def test(self, state: Any, numbers: Any, batch: Any) -> Any:
        """The state after a batch of validation."""

    def reset(self, state: Any) -> Any:
        """The state with its metrics as at the beginning of an epoch."""

    def scores(self, state: Any) -> dict[str, Any]:
        """What the metrics are."""
