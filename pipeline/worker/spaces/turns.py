"""Whose turn it is among the trials of one process: one trains at a time, or several together.

They share the process's CPUs, and what a process has one of: Keras's settings, and the state of the
generators of random numbers. Each trial finds those as it left them.

A trial whose next step may be carried out together with others' asks for that. It is done once no
trial trains by itself, and those that were heard of last are there too.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

# A trial that has reported is waited for so long: the driver's answer takes some 10 ms, and longer
# where a searcher thinks.
GRACE_S = 0.5
# So long does a process wait, after its first trial has begun, for those that its other seats are
# for: what was compiled for fewer would be compiled again.
FIRST_GRACE_S = 1.5


class Turns:
    """The turns of one process.

    Args:
        together: carries out what several trials ask for: requests -> what came of each, or what is
            to be raised where the trial waits.
        seats: how many trials take turns, at most.
    """

    def __init__(
        self,
        together: Callable[[list[Any]], list[Any]] = lambda requests: requests,
        *,
        seats: int = 1,
    ) -> None:
        self.shared, self.carry_out = seats > 1, together
        self.seats, self.begun = seats, 0  # trials that have had a turn
        self.since = time.monotonic()
        self.changed = threading.Condition()
        self.holder: Turn | None = None
        self.queue: deque[Turn] = deque()  # who waits for a turn
        self.asked: dict[Turn, Any] = {}  # what is to be carried out together
        self.away: dict[Turn, float] = {}  # who is about to come back, and since when it is away

    def may_gather(self) -> bool:
        """Whether nobody is to be waited for before what is asked for is carried out."""
        now = time.monotonic()
        back = all(now - since > GRACE_S for since in self.away.values())
        # the first are waited for as well: they are begun one after the other
        there = self.begun >= self.seats or now - self.since > FIRST_GRACE_S
        return self.holder is None and not self.queue and back and there


class Turn:
    """A trial's part in them, as a context too; it begins and ends in the trial's thread.

    Attributes:
        waits: whether it waits for its turn.
        since: when its turn began the last time, by `time.monotonic`.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._left: tuple[Any, Any] | None = None  # what it found last of what all have
        self._done: list[Any] = []  # what came of what it asked for
        self.waits, self.since = False, 0.0
        self._draws, self._begun = True, False

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Wait until no other trial of the process trains."""
        turns = self._turns
        self.waits = True
        with turns.changed:
            turns.away.pop(self, None)
            turns.queue.append(self)
            turns.changed.wait_for(lambda: turns.holder is None and turns.queue[0] is self)
            turns.holder = turns.queue.popleft()
            if not self._begun:
                self._begun = True
                turns.begun += 1
                turns.since = turns.since if turns.begun > 1 else time.monotonic()
        self.since = time.monotonic()
        self.waits = False
        if self._left is not None and self._draws:
            from pipeline.worker.backends.known import current

            settings, numbers = self._left
            settings.restore()
            current().set_random_state(numbers)

    def end(self, *, returns: bool = False) -> None:
        """Let another trial of the process train.

        Args:
            returns: whether the trial's next turn is to be expected soon.
        """
        turns = self._turns
        self._leave()
        with turns.changed:
            turns.holder = None
            if returns:
                turns.away[self] = time.monotonic()
            turns.changed.notify_all()

    def _leave(self) -> None:
        """Keep what it leaves of what all have."""
        if self._turns.shared and self._draws and "keras" in sys.modules:
            from pipeline.worker.backends.known import current
            from pipeline.worker.spaces.settings import Settings

            self._left = Settings(), current().random_state()

    def together(self, request: Any, *, draws: bool = True) -> Any:
        """Have something carried out together with what other trials ask for.

        Args:
            request: what is to be carried out.
            draws: whether code of the user's runs between this and the next request: it may draw
                random numbers, and set something in Keras.

        Returns:
            What came of it, once it is this trial's turn again.

        Raises:
            BaseException: what came of it, if that is one.
        """
        turns = self._turns
        self._leave()  # as it was: what the user's code has left is kept
        self._draws = draws
        self.waits = True
        with turns.changed:
            turns.holder = None
            turns.asked[self] = request
            turns.changed.notify_all()
            while not self._done and not turns.may_gather():
                turns.changed.wait(GRACE_S)
            gathered = {} if self._done else dict(turns.asked)
            if gathered:
                turns.asked.clear()
                turns.holder = self
        if gathered:
            self._carry_out(gathered)
        self.begin()
        done = self._done.pop()
        if isinstance(done, BaseException):
            raise done
        return done

    def _carry_out(self, gathered: "dict[Turn, Any]") -> None:
        """Carry out what was asked for, in this trial's thread."""
        turns = self._turns
        try:
            found = turns.carry_out(list(gathered.values()))
        except BaseException as error:  # such as SystemExit of user code
            found = [error] * len(gathered)
        with turns.changed:
            for turn, done in zip(gathered, found, strict=True):
                turn._done.append(done)
                turns.away[turn] = time.monotonic()  # until its next turn
            turns.holder = None
            turns.changed.notify_all()
