"""The list of what can be named: `--list`."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.components import OURS, PLURAL, listed

CLASS = "package.module:MyClass or my_file.py:MyClass"


def show_list() -> None:
    """Print every component that can be named, with a line on each and the package it is from."""
    console = Console(highlight=False, soft_wrap=True)
    for component, title in PLURAL.items():
        table = Table(box=None, show_header=False, pad_edge=False)
        for each in listed(component):
            origin = "" if each.origin == OURS else f" [{each.origin}]"
            table.add_row(f"  {each.name}", Text(f"{each.line}{origin}"))
        console.print(Text(title, style="bold"))
        console.print(table if table.row_count else f"  none here: name a class, {CLASS}")
