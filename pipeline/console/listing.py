"""The list of what can be named: `--list`."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.experiment import SCHEDULERS, SEARCHERS
from pipeline.names import registered


def show_list() -> None:
    """Print every dataset, search space, searcher and scheduler, with a line on each."""
    console = Console(highlight=False, soft_wrap=True)
    groups: dict[str, dict[str, str]] = {
        "datasets": registered("dataset"),
        "search spaces": registered("search space"),
        "searchers": SEARCHERS,
        "schedulers": SCHEDULERS,
    }
    for title, entries in groups.items():
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, line in entries.items():
            table.add_row(f"  {name}", Text(line))
        console.print(Text(title, style="bold"))
        console.print(table)
