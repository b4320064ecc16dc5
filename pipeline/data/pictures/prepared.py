"""Pictures as one array in a file, decoded once and found again while nothing changed.

The array is at `<storage>/.prepared/<digest>`; the digest is of the files' names, sizes and times,
and of the size that is asked for. It is written whole or not at all. What was not
used for long is removed, as far as there is more than 10 GiB.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil

from pipeline.data.arrays import Array
from pipeline.data.files.cache import cache_folder
from pipeline.data.pictures.decoding import COLOUR, GREY, check, decode_into, headers
from pipeline.data.pictures.shares import WORTH_PIXELS, decode_in_processes, usable_processes
from pipeline.data.pictures.sources import Source
from pipeline.errors import RequestError, StorageError

FORM = 1  # of what is written: another is prepared anew
PREPARED = ".prepared"  # beside the runs
UNFINISHED = ".new-"  # of a preparation that goes on
UNFINISHED_LEFT_S = 3600.0  # it is touched every few seconds; what is so old was killed
EVERY_S = 3.0  # between two words on how far it is, and touches of the folder
SAY_EVERY = 0.1  # of the pictures: else there is nothing to say
ARRAY, FACTS = "pictures.npy", "facts.json"
# So much is kept for other searches, and whatever was used so lately: a search that runs, or that
# is gone on with, would have to decode it again.
MOST_BYTES, LATELY_S = 10 * 2**30, 7 * 86_400.0

Told = Callable[[str], None]


@dataclass(frozen=True)
class Facts:
    """What the pictures were before they were made alike: (height, width) in pixels."""

    smallest: tuple[int, int]
    largest: tuple[int, int]
    grey: int  # how many


@dataclass(frozen=True)
class Prepared:
    """Pictures as an array uint8 `(n, height, width, channels)`, mapped from the file in `folder`.

    `asked` is whether their size was asked for; else it is the median.
    """

    array: Array
    facts: Facts
    folder: Path
    asked: bool


def prepared_folder(storage: str) -> Path:
    """Where prepared arrays are kept: beside the runs, or on this machine if those are remote."""
    if "://" not in storage:
        return Path(storage) / PREPARED
    return cache_folder() / "prepared"


def prepare(
    source: Source,
    size: tuple[int, int] | None,
    storage: str,
    told: Told = lambda what: None,
) -> Prepared:
    """The pictures as an array: the one that is there, or a new one.

    Args:
        source: the pictures.
        size: height and width in pixels; None for the medians of those of the pictures.
        storage: where the runs are.
        told: hears how far it is.

    Raises:
        RequestError: a file cannot be read or decoded, or there is no room for the array.
        StorageError: it cannot be written.
    """
    within = prepared_folder(storage)
    folder = within / _digest(source, size)
    try:
        if folder.is_dir():
            _mark_used(folder)
        else:
            _make(folder, source, size, told)
            _remove_unused(within)
        array = np.load(folder / ARRAY, mmap_mode="r", allow_pickle=False)
        facts = json.loads((folder / FACTS).read_text())
    except OSError as error:
        raise StorageError(
            f"Prepared pictures must be kept in {within}: {error.strerror or error}."
        ) from error
    except (ValueError, EOFError) as error:  # somebody wrote there
        raise RequestError(
            f"{folder} holds no prepared pictures. Remove it: they are prepared anew."
        ) from error
    smallest, largest = tuple(facts["smallest"]), tuple(facts["largest"])
    return Prepared(array, Facts(smallest, largest, facts["grey"]), folder, size is not None)


def _digest(source: Source, size: tuple[int, int] | None) -> str:
    found = hashlib.sha256(json.dumps([FORM, size, source.part]).encode())
    for path in source.files():
        try:
            stat = os.stat(path)
        except OSError as error:
            raise RequestError(f"A picture must be readable; {path}: {error.strerror}.") from error
        known = [os.path.abspath(path), stat.st_size, stat.st_mtime_ns]
        found.update(json.dumps(known).encode())
    return found.hexdigest()[:32]


def _make(folder: Path, source: Source, size: tuple[int, int] | None, told: Told) -> None:
    told(f"reading the sizes of {len(source):,} pictures")
    found = headers(source)
    heights, widths = [h.height for h in found], [h.width for h in found]
    grey = sum(h.grey for h in found)
    if size is None:
        size = round(statistics.median(heights)), round(statistics.median(widths))
    shape = len(source), *size, GREY if grey == len(source) else COLOUR
    _check_memory(shape)
    facts = Facts((min(heights), min(widths)), (max(heights), max(widths)), grey)
    pixels = sum(h.height * h.width for h in found)
    with _unfinished(folder) as unfinished:
        _decode(unfinished, shape, source, pixels, told)
        (unfinished / FACTS).write_text(json.dumps(asdict(facts)) + "\n")


def _mark_used(folder: Path) -> None:
    with contextlib.suppress(OSError):  # of somebody else's folder
        os.utime(folder)


def _remove_unused(within: Path) -> None:
    """Remove what was not used for longest, as far as there is more than is kept."""
    held = []
    for folder in within.iterdir():
        with contextlib.suppress(OSError):  # another process was faster
            if not folder.name.startswith(UNFINISHED):
                size = (folder / ARRAY).stat().st_size
                held.append((folder.stat().st_mtime, size, folder))
    room = MOST_BYTES
    for used, size, folder in sorted(held, reverse=True):
        room -= size
        if room < 0 and time.time() - used > LATELY_S:
            removed = within / f"{UNFINISHED}{secrets.token_hex(8)}"
            with contextlib.suppress(OSError):
                folder.rename(removed)  # at once, so that nobody finds half of it
            shutil.rmtree(removed, ignore_errors=True)


def _decode(folder: Path, shape: tuple[int, ...], source: Source, pixels: int, told: Told) -> None:
    array = np.lib.format.open_memmap(folder / ARRAY, "w+", np.uint8, shape)
    with open(folder / ARRAY, "r+b") as file:
        # a full disk is met here, and not as a signal where the mapped file is written
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    touched, said = time.monotonic(), 0.0

    def heard(done: int) -> None:
        nonlocal touched, said
        if time.monotonic() - touched > EVERY_S:
            touched = time.monotonic()
            os.utime(folder)  # somebody is at it
            if done / len(source) >= said + SAY_EVERY:
                said = done / len(source)
                told(f"decoding {len(source):,} pictures: {said:.0%}")

    told(f"decoding {len(source):,} pictures into {folder.parent}")
    processes = usable_processes()
    if pixels < WORTH_PIXELS or processes == 1:
        faults = []
        for done, fault in enumerate(decode_into(array, source, range(len(source))), start=1):
            faults.append(fault)
            heard(done)
    else:
        faults = decode_in_processes(folder / ARRAY, source, heard, processes)
    check(faults, len(source))
    array.flush()


def _check_memory(shape: tuple[int, ...]) -> None:
    """Refuse what does not fit: the splits are copies of the array, in Ray's store."""
    size, free = int(np.prod(shape, dtype=float)), psutil.virtual_memory().available
    if 2 * size > free:
        raise RequestError(
            f"Pictures must fit into memory twice; {shape[0]:,} of {shape[1]}x{shape[2]} take "
            f"{size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free. Make them smaller: "
            "--image-size."
        )


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A folder to be filled, which is at `folder` once it is, and not before.

    Where another process was faster its folder stays: it holds the same. What holds nothing in the
    end, and was not there before, is removed.
    """
    new = [within for within in folder.parents if not within.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > UNFINISHED_LEFT_S:
                shutil.rmtree(left, ignore_errors=True)
    unfinished = folder.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    unfinished.mkdir(parents=True)  # another, who failed, may just have removed its folder
    try:
        yield unfinished
        for path in (*unfinished.iterdir(), unfinished):
            _sync(path)
        try:
            unfinished.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        _sync(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds something
            for within in new:
                within.rmdir()


def _sync(path: Path) -> None:
    """Wait until it is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
