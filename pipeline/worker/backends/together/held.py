"""The examples of a group as its program takes them."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from pipeline.worker.backends.batches import fed_dtype

# Arrays are held once, or once a group where it has several as one; those that were met first make
# room.
HELD_BYTES = 2**30


class Held:
    """Arrays that were made of others, as long as there is room."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[Sequence[Any], Any]] = {}

    def made_of(
        self, parts: Sequence[Any], identities: Sequence[Hashable], make: Callable[[], Any]
    ) -> Any:
        """What `make` returns, or has returned, for NumPy arrays of these identities."""
        key = tuple(identities)
        if key not in self._held:
            while self._held and self._bytes() + _bytes_as_fed(parts) > HELD_BYTES:
                self._held.pop(next(iter(self._held)))
            # The arrays are kept too, so that no others come to lie where they are.
            self._held[key] = (list(parts), make())
        return self._held[key][1]

    def _bytes(self) -> int:
        return sum(_bytes_as_fed(parts) for parts, _ in self._held.values())


def _bytes_as_fed(parts: Sequence[Any]) -> int:
    return sum(part.size * fed_dtype(part).itemsize for part in parts)
