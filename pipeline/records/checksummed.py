"""Whole files that a resume reads: each is kept twice, with a checksum.

Where one is damaged, the other says what it said.

They are JSON objects, or YAML whose checksum stands in a comment at its head. What has no checksum,
because it was written by hand or before there were any, is taken if it can be read. `lines` does
the same for files that grow.
"""

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


def checksum(data: str | bytes) -> str:
    """Eight hexadecimal digits."""
    return f"{zlib.crc32(data.encode() if isinstance(data, str) else data):08x}"


def write_checksummed(layout: Layout, path: Path, content: dict[str, Any] | str) -> None:
    """Write a file, whole or not at all, and then its copy."""
    if isinstance(content, str):
        text = f"# {CHECK}: {checksum(content)}\n{content}"
    else:
        check = checksum(json.dumps(content, allow_nan=False))
        text = json.dumps({**content, CHECK: check}, indent=2) + "\n"
    persist(layout, path, lambda: write_whole(path, text))
    # The copy is for what happens to the file later. Were it waited for too, records would take
    # twice as long.
    copy = layout.copy(path)
    persist(layout, copy, lambda: write_whole(copy, text, sync=False))


def read_checksummed(
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
            if place != good and bytes_of(place) != data:
                rewrite(layout, place, data)
    return content


def file_or_copy_exists(layout: Layout, path: Path) -> bool:
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
    if check is not None and check != checksum(said):
        raise ValueError("it is not what was written: its checksum is another")
    return check is not None, content


def read_json(data: bytes) -> Any:
    """Strict JSON: Python's own takes NaN."""

    def refuse(number: str) -> None:
        raise ValueError(f"{number} is no JSON")

    return json.loads(data.decode(), parse_constant=refuse)


def validate(kind: TypeAdapter[T], plain: dict[str, Any]) -> T:
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


def bytes_of(place: Path) -> bytes | None:
    """What a file holds; None where there is none."""
    return place.read_bytes() if place.is_file() else None


def rewrite(layout: Layout, place: Path, data: bytes) -> None:
    """Write a file anew."""
    clear_the_way(layout, place)
    persist(layout, place, lambda: write_whole(place, data))


def clear_the_way(layout: Layout, place: Path) -> None:
    """Put aside what stands in a file's way: a folder of its name, a file where its folder was."""
    for part in (place, *itertools.takewhile(lambda folder: folder != layout.root, place.parents)):
        if os.path.lexists(part) and part.is_dir() == (part == place):
            asides = (
                part.with_name(f"{part.name}.damaged-{number}") for number in itertools.count(1)
            )
            part.rename(next(aside for aside in asides if not os.path.lexists(aside)))
