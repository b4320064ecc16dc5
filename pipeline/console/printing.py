"""Lines on the screen: plain text, rows with a heading, errors."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_plain(text: str) -> None:
    """Print to standard output as it is: no markup, no wrapping."""
    Console(soft_wrap=True, highlight=False).print(Text(text))


def print_rows(console: Console, rows: dict[str, str]) -> None:
    """Print one line for each heading, however long: a terminal wraps it, a file keeps it whole."""
    for name, text in rows.items():
        console.print(Text.assemble((f"{name:<15}", "bold"), "  ", text))


def print_error(
    message: str, traceback: str = "", nodes: Sequence[tuple[str, str, str]] = ()
) -> None:
    """Print to standard error: the user's traceback, one line, and a table of faulty nodes."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if traceback:
        console.print(Text(traceback.rstrip()))
    console.print(Text(f"Error: {message}"))
    if nodes:
        table = Table("node", "what is wrong", "what to do", box=None, pad_edge=False)
        for row in nodes:
            table.add_row(*map(Text, row))
        console.print(table, soft_wrap=False)
