"""A search while it runs: a live table in a terminal or a notebook, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.console.notebook import NotebookDisplay, in_notebook
from pipeline.console.plan import plan_rows
from pipeline.console.printing import print_plain, print_rows
from pipeline.console.progress import Counting
from pipeline.console.table import trials_table, values_of
from pipeline.console.words import in_one_line, short
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.store.remote import RemotePath
from pipeline.watch import SearchPlan, Watcher

HEARTBEAT_S = 10.0  # between two lines where there is no terminal
REFRESH_S = 0.5


def display(*, quiet: bool) -> Watcher:
    """The display for where the user looks, a notebook or elsewhere; `quiet`: warnings alone."""
    return NotebookDisplay() if in_notebook() and not quiet else Display(quiet=quiet)


class Display(Counting):
    """Shows a run while it goes on. With `quiet` it shows warnings alone."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__()
        self.console = Console(highlight=False, soft_wrap=True, force_jupyter=False)
        self.quiet = quiet
        self._drawn = self._said = time.monotonic()
        self._live: Live | None = None

    def preparing(self, what: str) -> None:
        """Print a line for each step."""
        self._say(f"{what[0].upper()}{what[1:]} …")

    def planned(self, plan: SearchPlan) -> None:
        """Print what will be done."""
        super().planned(plan)
        if not self.quiet:
            print_rows(self.console, plan_rows(plan))
        self._say(f"Records: {short(plan.directory)}")

    def warned(self, text: str) -> None:
        """Print a line, with `quiet` too."""
        self.console.print(Text(f"Warning: {text}"))

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Draw the table while trials run, if this is a terminal."""
        if self.quiet or not self.console.is_terminal:
            with super().searching():
                yield
            return
        with Live(self._table(), console=self.console, auto_refresh=False, transient=False) as live:
            self._live = live
            try:
                with super().searching():
                    yield
            finally:
                live.update(self._table(), refresh=True)
                self._live = None

    def waits(self, record: TrialRecord) -> None:
        """Print a line for a trial that is paused, unless it was so before this process."""
        super().waits(record)
        if self.progress.begun and not self._live:
            self._say(f"{self.progress.line(record.trial)}  {in_one_line(values_of(record))}")

    def reported(self, report: Report) -> None:
        """Print a line now and then."""
        super().reported(report)
        if not self._live and time.monotonic() - self._said > HEARTBEAT_S:
            self._say(f"{self.progress.line(report.trial)}  {self.progress.summary()}")

    def ended(self, record: TrialRecord) -> None:
        """Print a line for a trial that is over."""
        super().ended(record)
        if not self._live:
            self._say(f"{self.progress.line(record.trial)}  {in_one_line(values_of(record))}")

    def tick(self) -> None:
        """Draw the table again, now and then."""
        if self._live and time.monotonic() - self._drawn > REFRESH_S:
            self._live.update(self._table(), refresh=True)
            self._drawn = time.monotonic()

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(Text(text))
            self._said = time.monotonic()

    def _table(self) -> Group:
        shown = trials_table(self.progress, self.console.width)
        table = Table(box=None, pad_edge=False, show_edge=False)
        for heading in shown.headings:
            table.add_column(Text(heading), no_wrap=True)
        for row, status in zip(shown.rows, shown.statuses, strict=True):
            style = {"running": "bold", "failed": "red"}.get(status, "")
            table.add_row(*map(Text, row), style=style)
        more = [f"no place for: {' '.join(shown.left_out)}"] if shown.left_out else []
        # wrapped here: a live display must know how many lines it has
        lines = [
            Text(line, no_wrap=False, overflow="fold") for line in (*more, self.progress.summary())
        ]
        return Group(table, *lines)


class InlineDisplay(Watcher):
    """Shows each epoch of a trial that is trained in this process."""

    def directory(self, place: Path | RemotePath) -> None:
        """Say where its checkpoints are."""
        print_plain(f"One trial in this process; checkpoints in {place}")

    def reported(self, report: Report) -> None:
        """Print a line for each epoch."""
        metrics = in_one_line({n: v for n, v in report.metrics.items() if v is not None})
        print_plain(f"epoch {report.epoch}  {metrics}  {report.seconds:.1f} s")
