"""What passes between a run and whoever watches it.

What is planned, what happens, and a wish to stop.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.ledger import Report, TrialRecord
from pipeline.records.remote import RemotePath
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter

# What a sweep sends to its searches when it is to stop: as SIGTERM, but it never counts as the
# second.
PASSED_ON = signal.SIGUSR1


@dataclass(frozen=True)
class SearchPlan:
    """What a search will do, known before its first trial."""

    experiment: Experiment
    objective: Objective
    data: dict[str, Any]
    requested: Requested  # by the default model
    weights: int
    concurrent: int
    warnings: tuple[str, ...]
    directory: Path | RemotePath
    # requested by others than the default model, as far as was looked
    conditional: tuple[Hyperparameter, ...] = ()
    # of each of both, "model" or "algorithm", if it can be built; from a dry run
    roles: dict[str, str] | None = None
    measured: str = ""  # why so many trials share a GPU, where that was left to us


class Watcher:
    """Is told how a run goes, and shows nothing: the console overrides what it shows."""

    def preparing(self, what: str) -> None:
        """A step before the first trial."""

    def planned(self, plan: SearchPlan) -> None:
        """All is checked."""

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """What an earlier process recorded of this run."""

    def warned(self, text: str) -> None:
        """Something went wrong that does not end the run."""

    def started(self, record: TrialRecord) -> None:
        """A trial runs."""

    def reported(self, report: Report) -> None:
        """An epoch was recorded."""

    def waits(self, record: TrialRecord) -> None:
        """A trial is paused, until it starts again or is over."""

    def ended(self, record: TrialRecord) -> None:
        """A trial is over."""

    def tick(self) -> None:
        """Called often, also when nothing happens."""

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Around the trials."""
        yield


class Interruption:
    """Whether the run was asked to stop; the command line's signal handlers set it.

    `graceful` says that trials run, so that it is enough to set `signal`; before, there is nothing
    to save.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.graceful = False
