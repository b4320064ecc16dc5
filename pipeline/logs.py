"""The logger `kerasweep`: silent by default; a search writes it into its run's directory.

Lines of before the directory is there are held until it is.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path
from types import MappingProxyType
from typing import Any

LOGGER = logging.getLogger("kerasweep")

MOST_BYTES = 4 * 2**20  # of the file, and once more of the one before it
HELD = 1000  # lines
LONGEST_LINE = 1000  # characters of a line
# A full disk is met again with each line: what is not written is lost for so long.
UNWRITTEN_S = 60.0
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


@contextmanager
def held() -> Iterator[None]:
    """Hold what is logged, for the file that `written_to` names."""
    memory = _Held(HELD, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
    with _heard(LOGGER, logging.DEBUG, memory):
        yield


@contextmanager
def written_to(
    path: Path,
    others: Mapping[str, int] = MappingProxyType({}),
    left_out: tuple[str, ...] = (),
) -> Iterator[None]:
    """Write what is logged to the end of a file, and nowhere else but where the caller says.

    A file that cannot be written ends nothing.

    Args:
        path: the file.
        others: names of other libraries' loggers, each with its level, for the time of the search.
        left_out: how lines of theirs begin that are not written.
    """
    file = _File(path)
    file.addFilter(lambda line: not (left_out and str(line.msg).startswith(left_out)))
    with ExitStack() as stack:
        stack.callback(file.close)
        for memory in [each for each in LOGGER.handlers if isinstance(each, _Held)]:
            memory.setTarget(file)
            memory.flush()
            LOGGER.removeHandler(memory)
        stack.enter_context(_heard(LOGGER, logging.DEBUG, file))
        for name, level in others.items():
            inner = any(name.startswith(f"{other}.") for other in others)
            stack.enter_context(_heard(logging.getLogger(name), level, None if inner else file))
        yield


@contextmanager
def _heard(logger: logging.Logger, level: int, handler: logging.Handler | None) -> Iterator[None]:
    """Give a logger a level and a handler, while those that it has write what they wrote before."""
    before, propagated = logger.level, logger.propagate
    others = [(each, each.level) for each in logger.handlers]
    wrote = logger.getEffectiveLevel()
    logger.setLevel(level)
    logger.propagate = handler is None and propagated
    for other, its in others:
        other.setLevel(max(its, wrote))
    if handler is not None:
        logger.addHandler(handler)
    try:
        yield
    finally:
        if handler is not None:
            logger.removeHandler(handler)
        for other, its in others:
            other.setLevel(its)
        logger.setLevel(before)
        logger.propagate = propagated


class _Held(MemoryHandler):
    """Ours: a caller's own MemoryHandler stays as it is."""


class _Short(logging.Formatter):
    """Cuts what is long."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        traceback = record.exc_info or record.exc_text
        return line if traceback or len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."


class _File(RotatingFileHandler):
    """A file of bounded size, which nobody has to read and nothing fails for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8", delay=True)
        self.setFormatter(_Short(FORMAT))
        self._again = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless one could not be written a moment ago."""
        if time.monotonic() >= self._again:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Let go of the file, and of what it was to hold."""
        self._again = time.monotonic() + UNWRITTEN_S
        stream: Any = self.stream
        with suppress(Exception):
            stream.close()
        self.stream = None

    def close(self) -> None:
        """Close it; what could not be written is lost."""
        with suppress(OSError, ValueError):
            super().close()
