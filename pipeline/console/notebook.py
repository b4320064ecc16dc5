"""A search in a notebook: one display that is drawn anew, of plain HTML.

It needs neither widgets nor JavaScript, so that a saved notebook shows how the search ended.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any

from pipeline.console.plan import plan_rows
from pipeline.console.progress import Counting, SearchProgress
from pipeline.console.table import trials_table
from pipeline.console.words import short
from pipeline.watch import Conclusion, SearchPlan

REFRESH_S = 1.0  # each drawing is a message to the browser, of some kilobytes


def in_notebook() -> bool:
    """Whether this is a kernel's process, whose user sees what is displayed."""
    ipython: Any = sys.modules.get("IPython")  # a kernel has imported it
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


class NotebookDisplay(Counting):
    """Shows a run while it goes on: the plan, the trials that run and the best, how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: dict[str, str] = {}
        self._step = ""
        self._drawn = time.monotonic()
        self._shown: Any = None  # IPython's handle of the display, once there is something to show

    def preparing(self, what: str) -> None:
        """Show a step."""
        self._step = f"{what[0].upper()}{what[1:]} …"
        self._draw()

    def planned(self, plan: SearchPlan) -> None:
        """Show what will be done."""
        super().planned(plan)
        self._plan = plan_rows(plan) | {"records": short(plan.directory)}
        self._step = ""
        self._draw()

    def warned(self, text: str) -> None:
        """Print a line below the display."""
        print(f"Warning: {text}")

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Draw the trials once more when the last is over."""
        try:
            with super().searching():
                yield
        finally:
            self._draw()

    def concluded(self, conclusion: Conclusion) -> None:
        """Draw what stays."""
        self._step = ""
        self._draw()

    def tick(self) -> None:
        """Draw anew, now and then."""
        if time.monotonic() - self._drawn > REFRESH_S:
            self._draw()

    def _draw(self) -> None:
        html = search_html(self._plan, self.progress, self._step)
        bundle = {"text/html": html, "text/plain": self._step or self.progress.summary()}
        if self._shown is None:
            display = import_module("IPython.display").display
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)
        self._drawn = time.monotonic()


def search_html(plan: Mapping[str, str], progress: SearchProgress, step: str) -> str:
    """A search as HTML: what will be done, the trials, how far it is, and the step at hand."""
    parts = [headed(plan)] if plan else []
    if progress.records:
        shown = trials_table(progress)
        parts.append(table(shown.headings, shown.rows))
    lines = [progress.summary()] if plan else []
    parts += [f"<div>{escape(line)}</div>" for line in (*lines, step) if line]
    return "".join(parts)


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table as HTML; what it holds is text."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def headed(rows: Mapping[str, str]) -> str:
    """Rows with a heading each, as HTML."""
    body = "".join(
        f'<tr><th style="text-align:left">{escape(heading)}</th>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for heading, text in rows.items()
    )
    return f"<table><tbody>{body}</tbody></table>"
