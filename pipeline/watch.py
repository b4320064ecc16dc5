"""What passes between a run and whoever watches it.

What is planned, what happens, and a wish to stop.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.ledger import Report, TrialRecord
from pipeline.records.remote import RemotePath
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter

if TYPE_CHECKING:
    from pipeline.records.results import Results

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


@dataclass(frozen=True)
class Conclusion:
    """How a run ended in this process."""

    directory: Path | RemotePath
    # summary, tables and the best model; None if the run ended before its summary was written
    results: "Results | None"
    interrupted: bool = False  # a signal or a `KeyboardInterrupt` ended it
    error: BaseException | None = None  # what `tune` raises


class Watcher:
    """Hears how a run goes. Every method does nothing here: a subclass overrides what it wants.

    The events come in the driver's thread, between two looks at the trials: they must be short.
    """

    def preparing(self, what: str) -> None:
        """A step before the first trial."""

    def directory(self, place: Path | RemotePath) -> None:
        """The run's directory is there, with its request; no trial has started."""

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

    def decided(self, decision: Any) -> None:
        """The scheduler decided on an epoch: the verdict and its reason."""

    def waits(self, record: TrialRecord) -> None:
        """A trial is paused, until it starts again or is over."""

    def ended(self, record: TrialRecord) -> None:
        """A trial is over."""

    def concluded(self, conclusion: Conclusion) -> None:
        """The run is over: finished, interrupted or failed. Told once, after everything else."""

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
