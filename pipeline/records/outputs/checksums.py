"""Checksums of what the end of a run hands back: the tables and `best/`.

`checksums.json` holds the SHA-256 of each file, by its path in the run. Runs of earlier versions
have none: that there are some is said in `summary.json`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO

from pydantic import TypeAdapter

from pipeline.records.checksummed import Warned, read_checksummed, validate, write_checksummed
from pipeline.records.layout import Layout

_FILES = TypeAdapter(dict[str, dict[str, str]])


def write_checksums(
    layout: Layout, written: Mapping[Path, str], beside: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Record files with their checksums, and what is recorded of others `beside` them.

    Returns all that is recorded, by the paths in the run.
    """
    sums = dict(beside)
    for path, checksum in written.items():
        sums[path.relative_to(layout.root).as_posix()] = checksum
    write_checksummed(layout, layout.checksums, {"sha256": sums})
    return sums


def read_checksums(layout: Layout, warned: Warned | None = None) -> dict[str, str]:
    """The checksum of each file by its path in the run; empty where there are none.

    `warned` is for the process that writes the run: see `checksummed.read_checksummed`.

    Raises:
        ValueError: they are damaged, and so is their copy; says where.
    """
    try:
        plain = read_checksummed(
            layout, layout.checksums, lambda content: validate(_FILES, content), warned
        )
    except FileNotFoundError:
        return {}
    return plain["sha256"]


def sum_of(data: str | Path) -> str:
    """The checksum of a text, or of what a file holds."""
    if isinstance(data, str):
        return hashlib.sha256(data.encode()).hexdigest()
    with data.open("rb") as file:
        return _sha256(file)


def check_sum(file: IO[bytes], expected: str) -> None:
    """Compare an open file with what was recorded of it.

    Raises:
        ValueError: it is something else.
    """
    file.seek(0)
    if _sha256(file) != expected:
        raise ValueError("it is not what was written: its checksum is another")


def _sha256(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
