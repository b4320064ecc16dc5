"""Whose turn it is among the trials of one process: one trains at a time.

They share the process's CPUs, and what a process has one of: Keras's settings, and the state of the
generators of random numbers. Each trial finds those as it left them.
"""

import sys
import threading
import time
from typing import Any


class Turns:
    """The turns of one process.

    Args:
        shared: whether several trials take them.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.lock = threading.Lock()


class Turn:
    """A trial's part in them, as a context too; it begins and ends in the trial's thread.

    Attributes:
        waits: whether it waits for its turn.
        since: when its turn began the last time, by `time.monotonic`.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._left: tuple[Any, Any] | None = None  # what it found last of what all have
        self.waits, self.since = False, 0.0

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Wait until no other trial of the process trains."""
        self.waits = True
        self._turns.lock.acquire()
        self.since = time.monotonic()
        self.waits = False
        if self._left is not None:
            from pipeline.worker.backends.known import current

            settings, numbers = self._left
            settings.restore()
            current().set_random_state(numbers)

    def end(self) -> None:
        """Let another trial of the process train."""
        if self._turns.shared and "keras" in sys.modules:
            from pipeline.worker.backends.known import current
            from pipeline.worker.spaces.settings import Settings

            self._left = Settings(), current().random_state()
        self._turns.lock.release()
