"""A checkpoint's file: arrays, and what is plain beside them as JSON, in one `.npz`.

Written whole or not at all, read without unpickling; on a file system or in an object store.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import StorageError
from pipeline.records.layout import PAUSES_S, SPARE, patiently, write_whole
from pipeline.records.store.remote import RemotePath

T = TypeVar("T")


def write(
    path: Path | RemotePath,
    arrays: dict[str, Any],
    plain: dict[str, Any],
    *,
    keep_spare: bool = False,
) -> None:
    """Write one file, and its spare after it if one is to be kept.

    Raises:
        OSError: storage fails; the file is as it was.
    """
    buffer = io.BytesIO()
    np.savez(buffer, state=np.array(json.dumps(plain)), **arrays)
    put(path, buffer.getvalue(), keep_spare=keep_spare)


def put(path: Path | RemotePath, data: bytes, *, keep_spare: bool = False) -> None:
    """Write a file's bytes as another had them, and its spare after it if one is to be kept."""
    write_whole(path, data)
    if keep_spare and isinstance(path, Path):
        write_whole(spare(path), data)


@contextmanager
def reading(path: Path | RemotePath) -> Iterator[Any | None]:
    """The arrays of a file, by name; None where there is no file.

    Raises:
        StorageError: an object store fails.
    """
    source = _source(path)
    if source is None:
        yield None
        return
    # Opened here: NumPy leaves a file open that is no archive.
    file = source.open("rb") if isinstance(source, Path) else source
    with file, np.load(file, allow_pickle=False) as arrays:
        yield arrays


def plain_of(arrays: Any) -> dict[str, Any]:
    """What is plain beside the arrays."""
    return dict(json.loads(str(arrays["state"])))


def plain(path: Path | RemotePath) -> dict[str, Any] | None:
    """What is plain in a file; None where there is none to be read.

    Raises:
        StorageError: an object store fails.
    """
    try:
        with reading(path) as arrays:
            return None if arrays is None else plain_of(arrays)
    except StorageError:
        raise
    except Exception:  # each kind of damage has its own; `Checkpoints.mend` deals with it
        return None


def is_whole(path: Path) -> bool:
    """Whether all of it is as it was written: an archive has a checksum of each of its parts.

    Its list of parts has none: damage there makes a part the comment of another, which ours never
    have, or gives two the same name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.comment for part in parts) or len({p.filename for p in parts}) < len(parts):
                return False
            return archive.testzip() is None and plain(path) is not None
    except Exception:  # each kind of damage has its own
        return False


def exists(path: Path | RemotePath) -> bool:
    """Whether there is such a file.

    Raises:
        StorageError: an object store fails.
    """
    return path.exists() if isinstance(path, Path) else _asked(path, path.written) is not None


def spare(path: Path) -> Path:
    """Where a file's spare is."""
    return path.with_name(SPARE[path.name])


def make_room(path: Path | RemotePath) -> None:
    """Remove what stands there, if anything does."""
    if isinstance(path, Path) and path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _source(path: Path | RemotePath) -> Path | io.BytesIO | None:
    if isinstance(path, Path):
        return path if path.exists() else None
    data = _asked(path, lambda: _data(path))
    return None if data is None else io.BytesIO(data)


def _asked(path: RemotePath, question: Callable[[], T]) -> T:
    """The answer of an object store.

    A store that fails must not pass for a damaged checkpoint, nor for a fault of the user's
    program. It is waited for twice as long as the driver waits for it when it writes the records:
    the driver ends the search.

    Raises:
        StorageError: it does not get better.
    """
    pauses_s = (*PAUSES_S, *PAUSES_S)
    try:
        return patiently(question, pauses_s)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(
            f"{path} could not be read for {sum(pauses_s):.0f} s: {reason}."
        ) from error


def _data(path: RemotePath) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
