"""What can be known to be impossible before Ray is started.

Where a run would be written, and what it needs.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.digest import label
from pipeline.errors import RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.records.store.mirror import is_there
from pipeline.records.store.remote import RemotePath, location, unreachable


def directory_of(experiment: Experiment) -> Path | RemotePath:
    """The directory of a new run.

    The name asked for, or one of dataset, search space and time that is free.

    Raises:
        RequestError: the name asked for is taken.
    """
    storage = location(os.path.expanduser(experiment.storage))
    if experiment.name is not None:
        root = storage / experiment.name
        if exists(root):
            raise RequestError(
                f"A new run needs a directory of its own; {root} exists. Go on with it by --resume "
                f"{root}, or choose "
                "another --name."
            )
        return root
    names = f"{label(experiment.dataset)}-{label(experiment.search_space)}"
    stem = f"{names}-{time.strftime('%Y%m%d-%H%M%S')}"
    root, number = storage / stem, 1
    while exists(root):
        number += 1
        root = storage / f"{stem}-{number}"
    return root


def exists(root: Path | RemotePath) -> bool:
    """Whether something is there."""
    if isinstance(root, Path):
        return os.path.lexists(root)
    try:
        return is_there(root)
    except OSError as error:
        raise unreachable(root.parent, error) from error


def check_writable(root: Path | RemotePath) -> None:
    """Try to write where the run will be, and leave nothing behind.

    Raises:
        RequestError: it cannot be written to.
    """
    if isinstance(root, RemotePath):
        probe_there = root.parent / f".probe-{secrets.token_hex(8)}"
        try:
            probe_there.write_bytes(b"")
            probe_there.unlink()
        except OSError as error:
            raise unreachable(root.parent, error) from error
        return
    try:
        with made(root):
            probe = root / ".probe"
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise not_writable(f"{root.parent}: {error}") from error


def not_writable(fault: str) -> RequestError:
    """What to say where storage cannot be written to."""
    return RequestError(
        f"The storage path must be a folder that can be written to; {one_line(fault)}."
    )


@contextmanager
def made(folder: Path) -> Iterator[Path]:
    """A folder, with what is missing on the way to it, for a while.

    What another process put there meanwhile stays.
    """
    missing = []
    try:
        for part in reversed([folder, *folder.parents]):
            if not part.exists():
                part.mkdir()
                missing.append(part)
        yield folder
    finally:
        with suppress(OSError):
            for part in reversed(missing):
                part.rmdir()
