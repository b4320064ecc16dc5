"""Lines that are appended as they come, to a file and to its copy.

Where one is damaged, the other says what it said.

Each is a JSON object with its number and a checksum. What has neither, because it was written by
hand or before there were any, is taken if it can be read.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import RequestError
from pipeline.records.checksummed import CHECK, Warned, bytes_of, checksum, rewrite
from pipeline.records.layout import Layout, persist

_NUMBER, _CHECK = b', "line": ', f', "{CHECK}": "'.encode()


class Lines:
    """Lines that are appended, to a file and to its copy; `count` are there."""

    def __init__(self, layout: Layout, path: Path, count: int) -> None:
        self._layout, self._count = layout, count
        copy = layout.copy(path)
        persist(layout, copy, lambda: copy.parent.mkdir(parents=True, exist_ok=True))
        self._files = [_Appended(path), _Appended(copy)]

    def append(self, plain: str) -> None:
        """Append a JSON object."""
        line = _numbered(plain.encode(), self._count + 1) + b"\n"
        for file in self._files:
            persist(self._layout, file.path, lambda file=file: file.append(line))  # type: ignore[misc]
        self._count += 1

    def sync(self) -> None:
        """Wait until what was appended is on the disk."""
        persist(self._layout, self._files[0].path, self._files[0].sync)

    def close(self) -> None:
        """Close both files."""
        for file in self._files:
            file.close()


class _Appended:
    """A file that grows by whole lines.

    What is left of one that could not be written is cut off before the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    def append(self, line: bytes) -> None:
        if os.fstat(self._file.fileno()).st_size != self._size:
            self._file.truncate(self._size)
        size = self._size + len(line)
        while line:  # on a disk that is nearly full a part of it is written, and no error raised
            line = line[self._file.write(line) :]
        self._size = size

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_lines(
    layout: Layout,
    path: Path,
    accept: Callable[[bytes], object],
    warned: Warned | None = None,
    *,
    what: str = "report",
    needed: bool = True,
) -> list[bytes]:
    """Each line of a file, without its number and checksum.

    Those that are damaged or lost from its copy.

    Half a line at the very end is left out: it was not recorded.

    Args:
        layout: the run's.
        path: the file.
        accept: is given each line without a checksum; raises ValueError, TypeError or KeyError if
            it is damaged.
        warned: is told that the copy was needed. Where it is given both are made whole again.
        what: what each line is, for the message.
        needed: whether the run cannot be gone on with where a line is lost. Else `warned` is told
            how many are, and the others are numbered anew.

    Raises:
        RequestError: a line is damaged or missing in both, and is needed or is only read; the
            message names it.
    """
    copy = layout.copy(path)
    own, other = _Read(path, accept), None
    gone: list[int] = []
    if not own.damaged and _size(copy) <= own.size:
        lines = own.lines
    else:
        other = _Read(copy, accept)
        # Lines of before there were numbers count by their place: the file that has all of its
        # lines is right.
        lines = (
            own.lines | other.lines
            if own.damaged and not other.damaged
            else other.lines | own.lines
        )
        last = max(lines, default=0)
        if own.damaged and other.damaged:
            last = max(last, len(own.all), len(other.all))
        gone = [number for number in range(1, last + 1) if number not in lines]
        if gone and (needed or warned is None):
            text = own.all[gone[0] - 1] if gone[0] <= len(own.all) else b""
            raise RequestError(
                f"Each line of {path} must be one {what}; line {gone[0]} is damaged: "
                f"{text.decode(errors='replace')[:60]!r}. Its copy does not have it."
            )
        lost = sorted(lines.keys() - own.lines.keys())
        if warned is not None and gone:
            warned(
                f"{path} was damaged, and so was its copy; {len(gone)} of its {last} lines, from "
                f"line {gone[0]} on, are lost. The run goes on without them."
            )
        elif warned is not None and (lost or (own.damaged and own.all)):
            said = (
                f"{len(lost)} of its {len(lines)} lines, from line {lost[0]} on, are"
                if lost
                else "no line is"
            )
            warned(f"{path} was damaged; {said} from its copy.")
    whole = [lines[number] for number in sorted(lines)]
    if gone:
        whole = [(_numbered(plain, place), plain) for place, (_, plain) in enumerate(whole, 1)]
    if warned is not None:
        data = b"".join(line + b"\n" for line, _ in whole)
        for place, read in ((path, own), (copy, other)):
            there = bytes_of(place) if read is None else read.data
            if (os.path.lexists(place) or data) and there != data:
                rewrite(layout, place, data)
    return [plain for _, plain in whole]


class _Read:
    """What one of the two files holds.

    `lines` are the good ones by number, as they stand and plain.
    """

    def __init__(self, place: Path, accept: Callable[[bytes], object]) -> None:
        self.data = bytes_of(place)
        *self.all, half = (self.data or b"").split(b"\n")
        self.size = len(self.data or b"") - len(half)
        self.lines: dict[int, tuple[bytes, bytes]] = {}
        for place_of, line in enumerate(self.all, start=1):
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                number, plain = _opened(line, place_of, accept)
                self.lines[number] = (line, plain)
        self.damaged = self.data is None or list(self.lines) != list(range(1, len(self.all) + 1))


def _numbered(plain: bytes, number: int) -> bytes:
    """A JSON object as a line: with its number and a checksum."""
    body = plain.rstrip()[:-1] + _NUMBER + str(number).encode()
    return body + _CHECK + checksum(body).encode() + b'"}'


def _opened(line: bytes, place: int, accept: Callable[[bytes], object]) -> tuple[int, bytes]:
    """A line's number, and what it says without that."""
    body, _, check = line.rpartition(_CHECK)
    if not body:
        accept(line)
        return place, line
    if check.decode() != f'{checksum(body)}"}}':
        raise ValueError("it is not what was written: its checksum is another")
    plain, _, number = body.rpartition(_NUMBER)
    return int(number), plain + b"}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
