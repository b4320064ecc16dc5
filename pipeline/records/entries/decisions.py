"""Decisions of a scheduler, as a run records them: one line each, kept twice, each with a checksum.

`decisions.jsonl` says why a trial went on, waited or was stopped. A resume does not need it: it
makes the same decisions from the reports, and goes on without a line that is damaged in both
copies. A run of before there was such a file has none.
"""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter

from pipeline.records.checksummed import Warned, read_json
from pipeline.records.layout import Layout
from pipeline.records.lines import read_lines

Verdict = Literal["continue", "pause", "stop"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a scheduler decided on a trial after an epoch, and by what.

    Args:
        trial: the trial's id.
        epoch: the trial's last completed epoch.
        verdict: whether the trial goes on, waits, or ends.
        rung: the epoch at which trials are compared; None where they are not, or at each epoch,
            as under the rule of the median.
        rank: the trial's place among those that it was compared with, itself among them; 1 is the
            best. These are the trials that came to the rung so far; under the rule of the median
            all that trained for as long, each by its mean.
        of: how many these are.
        went_on: how many of those that came to the rung were let on so far.
        reason: one plain sentence.
    """

    trial: str
    epoch: int
    verdict: Verdict
    rung: int | None = None
    rank: int | None = None
    of: int | None = None
    went_on: int | None = None
    reason: str = ""

    @property
    def is_recorded(self) -> bool:
        """Whether anything was decided: a trial that goes on between two rungs is no news."""
        return self.verdict != "continue" or self.rung is not None


_DECISION = TypeAdapter(Decision)


def as_line(decision: Decision) -> str:
    """A decision as a JSON object."""
    return json.dumps(asdict(decision), allow_nan=False)


def read_decisions(layout: Layout, warned: Warned | None = None) -> list[Decision]:
    """Every recorded decision, in the order in which they were made.

    `warned` is for the process that writes the run: see `lines.read_lines`. It is told of a line
    that is damaged or missing in the copy too, and gets the others.

    Raises:
        RequestError: there is such a line, and `warned` is not given; the message names it.
    """
    lines = read_lines(layout, layout.decisions, _check, warned, what="decision", needed=False)
    return [Decision(**plain) for plain in json.loads(b"[%b]" % b",".join(lines))]


def _check(line: bytes) -> None:
    """Look at a line that has no checksum."""
    plain = read_json(line)
    Decision(**plain)
    _DECISION.validate_json(json.dumps(plain), strict=True)
