"""What a resume reads is kept twice, each time with a checksum.

Where one is damaged, the other says what it said.

Whole files are JSON objects, or YAML whose checksum stands in a comment at its head. Lines are JSON
objects, each with its number. What has no checksum, because it was written by hand or before there
were any, is taken if it can be read.
"""

import contextlib
import itertools
import json
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import RequestError, one_line
from pipeline.records.layout import Layout, persist, write_whole

T = TypeVar("T")
Warned = Callable[[str], None]

CHECK = "crc32"
_NUMBER, _CHECK = b', "line": ', f', "{CHECK}": "'.encode()


def _checksum(data: str | bytes) -> str:
    return f"{zlib.crc32(data.encode() if isinstance(data, str) else data):08x}"


# Whole files.


def write_kept(layout: Layout, path: Path, content: dict[str, Any] | str) -> None:
    """Write a file, whole or not at all, and then its copy."""
    if isinstance(content, str):
        text = f"# {CHECK}: {_checksum(content)}\n{content}"
    else:
        check = _checksum(json.dumps(content, allow_nan=False))
        text = json.dumps({**content, CHECK: check}, indent=2) + "\n"
    persist(layout, path, lambda: write_whole(path, text))
    # The copy is for what happens to the file later. Were it waited for too, records would take
    # twice as long.
    copy = layout.copy(path)
    persist(layout, copy, lambda: write_whole(copy, text, sync=False))


def read_kept(
    layout: Layout,
    path: Path,
    accept: Callable[[Any], T] = lambda content: content,
    warned: Warned | None = None,
) -> T:
    """What a file says, or its copy where it is damaged or gone.

    Args:
        layout: the run's.
        path: the file.
        accept: makes of its content what is returned; raises ValueError, TypeError or KeyError if
            it cannot.
        warned: is told that the copy was needed. Where it is given both are made whole again.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: there is no good one; says why.
    """
    found: list[tuple[bool, Path, bytes, T]] = []
    faults: list[str] = []
    places = (path, layout.copy(path))
    for place in places:
        if not os.path.lexists(place):
            continue
        try:
            if not place.is_file():
                raise ValueError("it is no file")
            data = place.read_bytes()
            checked, content = _content(data, yaml=path == layout.experiment)
            found.append((checked, place, data, accept(content)))
            if checked:
                break
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            faults.append(one_line(str(error)))
    if not found and not faults:
        raise FileNotFoundError(path)
    if not found:
        raise ValueError(faults[0])
    _, good, data, content = max(found, key=lambda one: one[0])
    if warned is not None:
        if good != path:
            state = "damaged" if os.path.lexists(path) else "missing"
            warned(f"{path} was {state}; its copy took its place.")
        for place in places:
            if place != good and _bytes(place) != data:
                _put(layout, place, data)
    return content


def is_kept(layout: Layout, path: Path) -> bool:
    """Whether there is a file or its copy, damaged or not."""
    return os.path.lexists(path) or os.path.lexists(layout.copy(path))


def _content(data: bytes, *, yaml: bool) -> tuple[bool, Any]:
    """Whether it has a checksum, and what it says without."""
    if yaml:
        head, text = re.match(rf"# {CHECK}: (.*)\n", data.decode()), data.decode()
        check, content = (head[1], text[head.end() :]) if head else (None, text)
        said = content
    else:
        content = read_json(data)
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
        check = content.pop(CHECK, None)
        said = json.dumps(content)
    if check is not None and check != _checksum(said):
        raise ValueError("it is not what was written: its checksum is another")
    return check is not None, content


def read_json(data: bytes) -> Any:
    """Strict JSON: Python's own takes NaN."""

    def refuse(number: str) -> None:
        raise ValueError(f"{number} is no JSON")

    return json.loads(data.decode(), parse_constant=refuse)


def check(kind: TypeAdapter[T], plain: dict[str, Any]) -> T:
    """What was read, as what it must be.

    Raises:
        ValueError: it is something else; says where.
    """
    try:
        return kind.validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(": ".join([*map(str, fault["loc"]), fault["msg"]])) from error


def damaged(path: Path, what: str, error: ValueError) -> RequestError:
    """The error of a file that must hold something."""
    return RequestError(f"{path} must hold {what}; it is damaged: {error}.")


def _bytes(place: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    return place.read_bytes() if place.is_file() else None


def _put(layout: Layout, place: Path, data: bytes) -> None:
    """Write a file anew."""
    clear(layout, place)
    persist(layout, place, lambda: write_whole(place, data))


def clear(layout: Layout, place: Path) -> None:
    """Put aside what stands in a file's way: a folder of its name, a file where its folder was."""
    for part in (place, *itertools.takewhile(lambda folder: folder != layout.root, place.parents)):
        if os.path.lexists(part) and part.is_dir() == (part == place):
            asides = (
                part.with_name(f"{part.name}.damaged-{number}") for number in itertools.count(1)
            )
            part.rename(next(aside for aside in asides if not os.path.lexists(aside)))


# Lines.


class Lines:
    """Lines that are appended, to a file and to its copy; `count` are there."""

    def __init__(self, layout: Layout, path: Path, count: int) -> None:
        self._layout, self._count = layout, count
        copy = layout.copy(path)
        persist(layout, copy, lambda: copy.parent.mkdir(parents=True, exist_ok=True))
        self._files = [_Appended(path), _Appended(copy)]

    def append(self, plain: str) -> None:
        """Append a JSON object."""
        body = plain[:-1].encode() + _NUMBER + str(self._count + 1).encode()
        line = body + _CHECK + _checksum(body).encode() + b'"}\n'
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

    Raises:
        RequestError: a line is damaged or missing in both; the message names it.
    """
    copy = layout.copy(path)
    own, other = _Read(path, accept), None
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
        for number in range(1, last + 1):
            if number not in lines:
                text = own.all[number - 1] if number <= len(own.all) else b""
                raise RequestError(
                    f"Each line of {path} must be one {what}; line {number} is damaged: "
                    f"{text.decode(errors='replace')[:60]!r}. Its copy does not have it."
                )
        lost = sorted(lines.keys() - own.lines.keys())
        if warned is not None and (lost or (own.damaged and own.all)):
            said = (
                f"{len(lost)} of its {len(lines)} lines, from line {lost[0]} on, are"
                if lost
                else "no line is"
            )
            warned(f"{path} was damaged; {said} from its copy.")
    whole = [lines[number] for number in sorted(lines)]
    if warned is not None:
        data = b"".join(line + b"\n" for line, _ in whole)
        for place, read in ((path, own), (copy, other)):
            there = _bytes(place) if read is None else read.data
            if (os.path.lexists(place) or data) and there != data:
                _put(layout, place, data)
    return [plain for _, plain in whole]


class _Read:
    """What one of the two files holds.

    `lines` are the good ones by number, as they stand and plain.
    """

    def __init__(self, place: Path, accept: Callable[[bytes], object]) -> None:
        self.data = _bytes(place)
        *self.all, half = (self.data or b"").split(b"\n")
        self.size = len(self.data or b"") - len(half)
        self.lines: dict[int, tuple[bytes, bytes]] = {}
        for place_of, line in enumerate(self.all, start=1):
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                number, plain = _opened(line, place_of, accept)
                self.lines[number] = (line, plain)
        self.damaged = self.data is None or list(self.lines) != list(range(1, len(self.all) + 1))


def _opened(line: bytes, place: int, accept: Callable[[bytes], object]) -> tuple[int, bytes]:
    """A line's number, and what it says without that."""
    body, _, check = line.rpartition(_CHECK)
    if not body:
        accept(line)
        return place, line
    if check.decode() != f'{_checksum(body)}"}}':
        raise ValueError("it is not what was written: its checksum is another")
    plain, _, number = body.rpartition(_NUMBER)
    return int(number), plain + b"}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
