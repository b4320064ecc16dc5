"""Who may write a run in an object store: one process, for as long as it goes on saying so.

A store has no locks. A run's lease is an object that names its owner and is written anew every few
seconds; who finds one that has not been for a while takes it. How old it is, the store's own clock
says, not the clocks of two machines.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from pipeline.errors import RequestError, StorageError, one_line
from pipeline.records.store.remote import RemotePath

BEAT_S, LEASE_S = 10.0, 60.0
# Two that take it at once both write it: so much later one of them reads that it was not the last.
SETTLE_S = 2.0


class Lease:
    """A run's; `place` is the object, `run` how messages name what it is of."""

    def __init__(self, place: RemotePath, run: object) -> None:
        self._place, self._run = place, run
        self._owner = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None
        self._renewed = 0.0

    def acquire(self, waiting: Callable[[str], None]) -> None:
        """Acquire it, once nobody else is heard of; `waiting` is told why that lasts.

        Raises:
            RequestError: another process lives that has it.
            OSError: the store fails.
        """
        began = self._place.written()
        if began is not None:
            self._outwait(began, waiting)
        written = self._place.written()
        if written is not None and written != began:  # another has taken it meanwhile
            raise self._in_use(self._read())
        try:
            self._write()
            time.sleep(SETTLE_S)
            if (found := self._read()).get("owner") != self._owner:
                raise self._in_use(found)
        except BaseException:  # such as an interrupt
            self._remove()
            raise
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    def check(self) -> None:
        """Look whether it is still this process's, unless that was found out just now.

        Raises:
            StorageError: another has it.
            OSError: the store fails.
        """
        if _now() - self._renewed > 2 * BEAT_S:
            self.renew()

    def release(self) -> None:
        """Let it go, if it was taken; where the store fails it runs out by itself."""
        self._ended.set()
        if self._beating is not None:
            self._beating.join()
            self._remove()
        self._beating = None

    def _outwait(self, began: float, waiting: Callable[[str], None]) -> None:
        """Wait until it would be renewed if its owner lived."""
        left_s = LEASE_S - (self._stores_now() - began)
        if left_s <= 0:
            return
        holder = self._read()
        waiting(
            f"waiting up to {left_s:.0f} s, to see whether {_named(holder)} still has {self._run}"
        )
        until = _now() + left_s
        while _now() < until:
            time.sleep(min(1.0, left_s))
            written = self._place.written()
            if written is None:
                return
            if written != began:
                raise self._in_use(self._read())

    def _stores_now(self) -> float:
        """The time by the store's clock."""
        probe = self._place.parent / f"{self._place.name}-{self._owner}"
        probe.write_bytes(b"")
        now = probe.written()
        probe.unlink(missing_ok=True)
        return now or 0.0

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            # What cannot be reached cannot be taken by another either, and who writes records says
            # that it is gone.
            with contextlib.suppress(OSError, StorageError):
                self.renew()

    def renew(self) -> None:
        """Look whether it is still this process's, and say that it lives.

        Raises what `check` does.
        """
        with self._lock:
            found = self._read()
            if found.get("owner") != self._owner:
                self._renewed = 0.0  # whoever asks is told at once
                raise StorageError(
                    f"{self._run} was taken over by {_named(found)}, as this process was not heard "
                    "of for "
                    f"{LEASE_S:.0f} s. It stops."
                )
            self._write()

    def _write(self) -> None:
        said = {"owner": self._owner, "host": socket.gethostname(), "process": os.getpid()}
        self._place.write_bytes(json.dumps(said).encode())
        self._renewed = _now()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            if self._read().get("owner") == self._owner:
                self._place.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            plain = json.loads(self._place.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return plain if isinstance(plain, dict) else {}

    def _in_use(self, found: dict[str, Any]) -> RequestError:
        return RequestError(
            f"A run directory must belong to one process; {self._run} is in use by another, "
            f"{_named(found)}."
        )


def _named(found: dict[str, Any]) -> str:
    return one_line(
        f"process {found.get('process', 'unknown')} of {found.get('host', 'an unknown host')}"
    )


def _now() -> float:
    """Seconds that go on while this process is frozen, and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
