"""A search while it runs: a live table in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.console.plan import plan_rows
from pipeline.console.printing import print_plain, print_rows
from pipeline.console.progress import SearchProgress
from pipeline.console.words import in_one_line, short
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.store.remote import RemotePath
from pipeline.watch import SearchPlan, Watcher

HEARTBEAT_S = 10.0  # between two lines where there is no terminal
REFRESH_S = 0.5
ROWS = 14  # of the live table: the trials that run, then the best


class Display(Watcher):
    """Shows a run while it goes on. With `quiet` it shows warnings alone."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.quiet = quiet
        self.progress = SearchProgress()
        self._drawn = self._said = time.monotonic()
        self._live: Live | None = None

    def preparing(self, what: str) -> None:
        """Print a line for each step."""
        self._say(f"{what[0].upper()}{what[1:]} …")

    def planned(self, plan: SearchPlan) -> None:
        """Print what will be done."""
        self.progress.planned(plan)
        if not self.quiet:
            print_rows(self.console, plan_rows(plan))
        self._say(f"Records: {short(plan.directory)}")

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """Count what was done before, and print nothing of it."""
        self.progress.remembered(trials, reports)

    def warned(self, text: str) -> None:
        """Print a line, with `quiet` too."""
        self.console.print(Text(f"Warning: {text}"))

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Draw the table while trials run, if this is a terminal."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        with Live(self._table(), console=self.console, auto_refresh=False, transient=False) as live:
            self._live = live
            try:
                yield
            finally:
                live.update(self._table(), refresh=True)
                self._live = None

    def started(self, record: TrialRecord) -> None:
        """Count a trial that runs."""
        self.progress.started(record)

    def waits(self, record: TrialRecord) -> None:
        """Print a line for a trial that is paused, unless it was so before this process."""
        self.progress.waits(record)
        if self.progress.begun and not self._live:
            self._say(f"{self.progress.line(record.trial)}  {values_of(record)}")

    def reported(self, report: Report) -> None:
        """Print a line now and then."""
        self.progress.reported(report)
        if not self._live and time.monotonic() - self._said > HEARTBEAT_S:
            self._say(f"{self.progress.line(report.trial)}  {self.progress.summary()}")

    def ended(self, record: TrialRecord) -> None:
        """Print a line for a trial that is over."""
        self.progress.ended(record)
        if not self._live:
            self._say(f"{self.progress.line(record.trial)}  {values_of(record)}")

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
        progress = self.progress
        table = Table(box=None, pad_edge=False, show_edge=False)
        for name in ("trial", "status", "epoch", progress.objective, "hyperparameters"):
            table.add_column(name, no_wrap=name != "hyperparameters", overflow="ellipsis")
        for record in progress.ranked()[:ROWS]:
            value, status = progress.value(record.trial), progress.status(record.trial)
            table.add_row(
                record.trial,
                status,
                str(progress.epoch(record.trial)),
                "" if value is None else f"{value:.5g}",
                Text(values_of(record), overflow="ellipsis", no_wrap=True),
                style={"running": "bold", "failed": "red"}.get(status, ""),
            )
        return Group(table, Text(progress.summary()))


def values_of(record: TrialRecord) -> str:
    """A trial's hyperparameters in one line."""
    return in_one_line(record.hyperparameters or record.configuration)


class InlineDisplay(Watcher):
    """Shows each epoch of a trial that is trained in this process."""

    def directory(self, place: Path | RemotePath) -> None:
        """Say where its checkpoints are."""
        print_plain(f"One trial in this process; checkpoints in {place}")

    def reported(self, report: Report) -> None:
        """Print a line for each epoch."""
        metrics = in_one_line({n: v for n, v in report.metrics.items() if v is not None})
        print_plain(f"epoch {report.epoch}  {metrics}  {report.seconds:.1f} s")
