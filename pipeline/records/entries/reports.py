"""An epoch's report: what a worker tells of it, and what `history.jsonl` holds."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter

from pipeline.objective import Objective
from pipeline.records.checksummed import Warned, read_json, validate
from pipeline.records.layout import Layout
from pipeline.records.lines import read_lines


@dataclass(slots=True)
class EpochReport:
    """The facts of one epoch, which pass from a worker into the records as they are.

    `epoch` counts completed epochs; `objective` and metrics are None where they were not finite.
    """

    epoch: int
    objective: float | None
    metrics: dict[str, float | None]
    seconds: float
    # no epoch, but what `fit` returned: the trial's objective, whatever its epochs reported
    final: bool = False
    # the first after a checkpoint, on data whose place in it cannot be come to again: its order and
    # its random numbers are those of a first epoch, and not of the one that would have been next
    data_anew: bool = False


@dataclass(slots=True, kw_only=True)
class Report(EpochReport):
    """A recorded epoch: which trial it is of, and when it came, in seconds since 1970."""

    trial: str
    time: float

    @classmethod
    def of(cls, trial: str, told: EpochReport, time: float) -> "Report":
        """What a trial's worker told at a time."""
        facts = {name: getattr(told, name) for name in _DEFAULTS}
        report = cls(**facts, trial=trial, time=round(time, 3))
        report.seconds = round(told.seconds, 4)
        # A worker's message brings the names anew: kept apart, they would be a third of what a
        # report holds.
        report.metrics = {sys.intern(name): value for name, value in told.metrics.items()}
        return report

    def to_plain(self) -> dict[str, Any]:
        """As a line holds it: its trial first, and no fact that has its default."""
        facts = {name: getattr(self, name) for name in _DEFAULTS}
        told = {name: value for name, value in facts.items() if value != _DEFAULTS[name]}
        return {"trial": self.trial, **told, "time": self.time}


class BestReports:
    """The best report of each trial that has a finite one; of equals the earlier.

    A final one takes the place of those before it.
    """

    def __init__(self, objective: Objective, reports: Iterable[Report] = ()) -> None:
        self._objective = objective
        self._best: dict[str, Report] = {}
        for report in reports:
            self.add(report)

    def add(self, report: Report) -> None:
        """Take up the next report."""
        held = None if report.final else self._best.get(report.trial)
        value = report.objective
        if value is not None and self._objective.better(value, held.objective if held else None):
            self._best[report.trial] = report

    def of(self, trial: str) -> Report | None:
        """A trial's best report."""
        return self._best.get(trial)

    def value(self, trial: str) -> float | None:
        """A trial's best objective."""
        best = self._best.get(trial)
        return None if best is None else best.objective

    def __iter__(self) -> Iterator[Report]:
        return iter(self._best.values())


_DEFAULTS = {field.name: field.default for field in fields(EpochReport)}
_REPORT = TypeAdapter(Report)


def read_history(layout: Layout, warned: Warned | None = None) -> list[Report]:
    """Every recorded epoch in the order of its coming; half a line at the very end is left out.

    `warned` is for the process that writes the run: see `lines.read_lines`.

    Raises:
        RequestError: another line is damaged or missing, in the copy too; the message names it.
    """
    lines = read_lines(layout, layout.history, _check_report, warned)
    # All at once: twice as fast as line by line, and the names of the metrics are held once.
    return [Report(**plain) for plain in json.loads(b"[%b]" % b",".join(lines))]


def _check_report(line: bytes) -> None:
    """Look at a line that has no checksum."""
    plain = read_json(line)
    Report(**plain)
    validate(_REPORT, plain)
