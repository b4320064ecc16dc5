"""What passes between a run and whoever watches it.

What is planned, what happens, and a wish to stop.
"""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.errors import Interrupted, one_line
from pipeline.experiment import Experiment
from pipeline.logs import LOGGER
from pipeline.objective import Objective
from pipeline.records.entries.decisions import Decision
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.store.remote import RemotePath
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter

if TYPE_CHECKING:
    from pipeline.records.outputs.results import Results

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
    on_gpus: str = ""  # what is used of the GPUs and why, where that was left to us
    left_idle: str = ""  # of the cluster, because trials take GPUs
    printed: str = ""  # by the `build` of the default model
    seats: int = 1  # how many trials share a process, which takes what one trial is to take


@dataclass(frozen=True)
class Conclusion:
    """How a run ended in this process."""

    directory: Path | RemotePath
    # summary, tables and the best model; None if the run ended before its summary was written
    results: "Results | None"
    interrupted: bool = False  # a signal or a `KeyboardInterrupt` ended it
    error: BaseException | None = None  # what ended it, if anything was raised


class Watcher:
    """Hears how a run goes. Every method does nothing here: a subclass overrides what it wants.

    The events come in the driver's thread, between two looks at the trials: they must be short.
    """

    # Whether a person sees the warnings that it hears: those in a file may never be read.
    shows_warnings: ClassVar[bool] = True

    def preparing(self, what: str) -> None:
        """A step before the first trial."""

    def directory(self, place: Path | RemotePath) -> None:
        """The run's directory is there, with its request; no trial has started."""

    def planned(self, plan: SearchPlan) -> None:
        """All is checked."""

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """What an earlier process recorded of this run."""

    def warned(self, text: str) -> None:
        """Something went wrong that does not end the run.

        It may come before all else: records that were damaged are put right first.
        """

    def started(self, record: TrialRecord) -> None:
        """A trial runs."""

    def reported(self, report: Report) -> None:
        """An epoch was recorded."""

    def decided(self, decision: Decision) -> None:
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


class Watchers(Watcher):
    """Several watchers as one. What one of them raises is a single warning and ends nothing.

    A watcher that has raised hears nothing more but `concluded`, so that it can let go of what it
    holds. `KeyboardInterrupt`, `Interrupted` and the like pass.
    """

    def __init__(self, watchers: Iterable[Watcher] = ()) -> None:
        self._all: tuple[Watcher, ...] = ()
        self._hearing: list[Watcher] = []  # those that have not raised
        self._warnings: list[str] = []
        self.add(watchers)

    def add(self, watchers: Iterable[Watcher]) -> None:
        """Warn these of all that was warned of, and tell them too from now on.

        The records of a run that is gone on with are put right before its trackers are known.
        """
        added, warnings = tuple(watchers), tuple(self._warnings)
        self._all += added
        self._hearing = [*self._hearing, *added]
        for watcher in added:
            with self._left_out_if_it_raises(watcher, "warned"):
                for text in warnings:
                    watcher.warned(text)

    def preparing(self, what: str) -> None:
        """Tell each of a step before the first trial."""
        self._tell("preparing", what)

    def directory(self, place: Path | RemotePath) -> None:
        """Tell each that the run's directory is there."""
        self._tell("directory", place)

    def planned(self, plan: SearchPlan) -> None:
        """Tell each the plan."""
        self._tell("planned", plan)

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """Tell each what an earlier process recorded."""
        self._tell("remembered", trials, reports)

    def warned(self, text: str) -> None:
        """Warn each, and those that are added later."""
        self._warnings.append(text)
        self._tell("warned", text)

    def started(self, record: TrialRecord) -> None:
        """Tell each that a trial runs."""
        self._tell("started", record)

    def reported(self, report: Report) -> None:
        """Tell each of an epoch."""
        self._tell("reported", report)

    def decided(self, decision: Decision) -> None:
        """Tell each of the scheduler's decision."""
        self._tell("decided", decision)

    def waits(self, record: TrialRecord) -> None:
        """Tell each that a trial is paused."""
        self._tell("waits", record)

    def ended(self, record: TrialRecord) -> None:
        """Tell each that a trial is over."""
        self._tell("ended", record)

    def concluded(self, conclusion: Conclusion) -> None:
        """Tell each that the run is over, those too that raised before."""
        for watcher in self._all:
            with self._left_out_if_it_raises(watcher, "concluded"):
                watcher.concluded(conclusion)

    def tick(self) -> None:
        """Give each its turn."""
        self._tell("tick")

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Enter each one's context; what was entered is left, whatever was raised meanwhile."""
        with contextlib.ExitStack() as stack:
            for watcher in list(self._hearing):
                stack.enter_context(self._searching(watcher))
            yield

    @contextmanager
    def _searching(self, watcher: Watcher) -> Iterator[None]:
        manager = None
        with self._left_out_if_it_raises(watcher, "searching"):
            entering = watcher.searching()
            entering.__enter__()
            manager = entering
        try:
            yield
        finally:
            if manager is not None:
                with self._left_out_if_it_raises(watcher, "searching"):
                    # not what ended the search: it is no fault of the watcher's, nor its to hide
                    manager.__exit__(None, None, None)

    def _tell(self, event: str, *facts: Any) -> None:
        for watcher in self._hearing:
            with self._left_out_if_it_raises(watcher, event):
                getattr(watcher, event)(*facts)

    @contextmanager
    def _left_out_if_it_raises(self, watcher: Watcher, event: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            LOGGER.debug("a watcher raised", exc_info=True)
            hearing = [other for other in self._hearing if other is not watcher]
            if len(hearing) == len(self._hearing):  # it raised before
                return
            self._hearing = hearing  # a new list: the one that is gone through stays as it is
            # not str(error), which may raise too
            said = one_line(traceback.format_exception_only(error)[-1])
            self._warn(
                f"The watcher {type(watcher).__qualname__} raised {said!r} when it was told "
                f"{event!r}. The search goes on; this watcher hears nothing more but the end."
            )

    def _warn(self, text: str) -> None:
        self.warned(text)
        for watcher in self._hearing:
            if watcher.shows_warnings and type(watcher).warned is not Watcher.warned:
                return
        with contextlib.suppress(OSError, ValueError):  # it is closed
            print(f"Warning: {text}", file=sys.stderr)


class Interruption:
    """Whether the run was asked to stop; the command line's signal handlers set it.

    `graceful` says that trials run, so that it is enough to set `signal`; before, there is nothing
    to save.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.graceful = False


@contextmanager
def stopped_by_signals(interruption: Interruption) -> Iterator[None]:
    """Within it, the first SIGINT or SIGTERM ends a search cleanly, the second at once.

    What a sweep passes on is no second one: whoever stops a job sends a signal to each of its
    processes (Ray, a terminal), and each search of a sweep gets it twice.
    """
    asked = False

    def handle(number: int, _frame: Any) -> None:
        nonlocal asked
        if number != PASSED_ON:
            if asked:
                os._exit(128 + number)
            asked = True
        if interruption.signal is None:
            interruption.signal = int(signal.SIGTERM) if number == PASSED_ON else number
            if not interruption.graceful:
                raise Interrupted(interruption.signal)

    before = {
        number: signal.signal(number, handle)
        for number in (signal.SIGINT, signal.SIGTERM, PASSED_ON)
    }
    try:
        yield
    except Exception:  # Ray's compiled code makes a SystemError of what is raised within it (2.60)
        if interruption.signal is None or interruption.graceful:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if interruption.signal is not None and not interruption.graceful:
        raise Interrupted(interruption.signal)
