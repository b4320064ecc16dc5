"""Earlier runs, opened as a resume opens them."""

import contextlib
import functools
import os
import sys
from collections import Counter

from pipeline.engine.past import Past


def mend(layout, warned):
    """Have a run put right, and let it go."""
    with Past(layout, warned) as past:
        past.read()


def is_complete(experiment, layout):
    """Whether a resume would find nothing to do."""
    with Past(layout, lambda text: None) as past:
        past.read()
        return past.is_complete(experiment)


_counting: list[tuple[str, Counter[str]]] = []


def _opened(event, arguments):
    if event != "open" or not _counting:
        return
    path, _, flags = arguments
    root, reads = _counting[-1]
    to_read = isinstance(path, str) and flags & os.O_ACCMODE == os.O_RDONLY
    if to_read and path.startswith(root) and not os.path.isdir(path):
        reads[path.removeprefix(root)] += 1


@functools.cache
def _listen():
    sys.addaudithook(_opened)  # which stays for as long as the process lives


@contextlib.contextmanager
def counted_reads(root):
    """How often this process opens each file of a run to read it, by its path there."""
    _listen()
    reads: Counter[str] = Counter()
    _counting.append((f"{root}{os.sep}", reads))
    try:
        yield reads
    finally:
        _counting.pop()
