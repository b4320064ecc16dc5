"""Where a row is: its line in a file, or its number in a table in memory."""

from typing import Any


class Place:
    """Names the rows of a table by their index, as `read_frame` makes it.

    Args:
        called: the file, or what messages call a table in memory.
        in_file: whether it is a file.
    """

    def __init__(self, called: str, in_file: bool) -> None:
        self.called = called
        text = called.lower().removesuffix(".gz").endswith((".csv", ".tsv"))
        self._row = "line" if in_file and text else "row"

    def at(self, row: Any) -> str:
        """The place of the row of this index."""
        return f"{self.called}, {self._row} {row}"
