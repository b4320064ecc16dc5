"""Where pictures are: in files of their own, or in a column of Arrow files."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from pipeline.data.files.arrow_streams import read_streams
from pipeline.errors import quoted

# What Pillow opens: a file by its name, or its bytes.
Encoded = str | Path | io.BytesIO


class Source(Protocol):
    """Pictures by number, in any process."""

    def __len__(self) -> int: ...

    def picture(self, row: int) -> Encoded:
        """One picture, not decoded."""
        ...

    def called(self, row: int) -> str:
        """What messages call it."""
        ...

    def files(self) -> Sequence[str]:
        """The files that hold them, which are others once they change."""
        ...

    @property
    def part(self) -> str:
        """What of the files they are; empty for all of it."""
        ...

    def plain(self) -> dict[str, Any]:
        """What `source_of` makes it of, fit for JSON."""
        ...


@dataclass(frozen=True)
class Files:
    """Pictures in files of their own."""

    paths: Sequence[str | Path]

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, row: int) -> Encoded:
        """One picture's file."""
        return self.paths[row]

    def called(self, row: int) -> str:
        """The file's name, quoted."""
        return quoted(str(self.paths[row]))

    def files(self) -> Sequence[str]:
        """All of them."""
        return [str(path) for path in self.paths]

    @property
    def part(self) -> str:
        """All of each file."""
        return ""

    def plain(self) -> dict[str, Any]:
        """Their names."""
        return {"paths": self.files()}


@dataclass(frozen=True)
class ArrowColumn:
    """Pictures in a column `{"bytes": …, "path": …}` of Arrow stream files, one after the other."""

    arrows: Sequence[str]
    column: str

    @cached_property
    def _values(self) -> Any:
        return read_streams(self.arrows).column(self.column)

    def __len__(self) -> int:
        return len(self._values)

    def picture(self, row: int) -> Encoded:
        """One picture's bytes, or its file where only that was written down."""
        value = self._values[row].as_py() or {}
        content, path = value.get("bytes"), value.get("path")
        return str(path) if path and content is None else io.BytesIO(content or b"")

    def called(self, row: int) -> str:
        """Its row, counted from 0 through all files."""
        return f"row {row} of column {quoted(self.column)} in {os.path.dirname(self.arrows[0])}"

    def files(self) -> Sequence[str]:
        """The Arrow files."""
        return self.arrows

    @property
    def part(self) -> str:
        """The column."""
        return self.column

    def plain(self) -> dict[str, Any]:
        """Files and column."""
        return {"arrows": list(self.arrows), "column": self.column}


def source_of(plain: dict[str, Any]) -> Source:
    """The source that `plain` tells of."""
    return Files(plain["paths"]) if "paths" in plain else ArrowColumn(**plain)
