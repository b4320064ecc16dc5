"""A function in a thread of its own that runs only while it is waited for."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from pipeline.worker.backends.known import current


class Coroutine:
    """Runs a function in a thread of its own, from one pause to the next.

    One thread at a time: who calls `advance` waits until the function pauses or ends. The process's
    generators of random numbers are put back as the function left them, so that it draws what it
    would draw alone. Set `draws` to False where it will not draw from them: it takes some tenths of
    a millisecond.

    Args:
        name: of the thread.
        run: the function. It pauses by calling `pause`.
    """

    def __init__(self, name: str, run: Callable[[], Any]) -> None:
        self._run = run
        self._thread = threading.Thread(target=self._begin, name=name, daemon=True)
        self._resumed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._paused: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._random: tuple[Any, ...] | None = None  # where it stood at the last pause
        self.result: Any = None  # what the function returned, or the exception that it raised
        self.ended = False
        self.draws = True

    @property
    def begun(self) -> bool:
        """Whether it had a turn."""
        return self._thread.ident is not None

    def advance(self, value: Any = None) -> Any:
        """Let it run to its next pause.

        Args:
            value: what the pause that it waits in returns; an exception is raised there.

        Returns:
            What it paused with; None where it ended.
        """
        if not self.draws:
            return self._go_on(value)
        backend = current()
        outside = backend.random_state()
        if self._random is not None:
            backend.set_random_state(self._random)
        asked = self._go_on(value)
        self._random = backend.random_state()
        backend.set_random_state(outside)
        return asked

    def _go_on(self, value: Any) -> Any:
        if self.begun:
            self._resumed.put(value)
        else:
            self._thread.start()
        return self._paused.get()

    def pause(self, asked: Any) -> Any:
        """Called in its thread: give the turn back, until the next `advance`.

        Raises:
            BaseException: what `advance` was given, if that is one.
        """
        self._paused.put(asked)
        value = self._resumed.get()
        if isinstance(value, BaseException):
            raise value
        return value

    def end(self, error: BaseException) -> None:
        """Raise an exception where it waits, until it is over."""
        while self.begun and not self.ended:
            self.advance(error)

    def _begin(self) -> None:
        try:
            self.result = self._run()
        except BaseException as error:  # such as SystemExit of user code
            self.result = error
        self.ended = True
        self._paused.put(None)
