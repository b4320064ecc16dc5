"""What passes between a trial and whoever runs it.

The engine makes a `Session` over Ray, tests make their own.

Without Keras: the driver reads all of this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.store.remote import RemotePath
from pipeline.space.configuration import Configuration
from pipeline.space.hyperparameters import Requested
from pipeline.worker.faults import Failure

# The reason of a trial's fit plan that was chosen by a measurement on a GPU, as records have it.
MEASURED = "fastest where it was measured"


class Stopped(BaseException):
    """Raised out of `report` when the trial is to end there.

    No error, so a user's `except Exception` lets it pass.
    """


@dataclass(frozen=True)
class Job:
    """One trial's task.

    `configuration` is what the searcher proposed; what it leaves open is settled as `fill` says, at
    random from (seed, trial), by its default, or by the first of its grid. `directory` is where its
    checkpoints go, on storage that every node sees. `max_epochs` bounds its epochs.

    Of several trainings, the repeats, the mean is reported. Each has a seed of its own, and with
    folds a part of the data: repeat k validates on fold k modulo `folds`.
    """

    trial: str
    configuration: Configuration
    seed: int
    max_epochs: int
    objective: Objective
    directory: Path | RemotePath
    fill: Literal["random", "default", "first"] = "random"
    repeats: int = 1  # trainings, whose mean is reported
    repeat: int = 0  # which of them this is
    folds: int = 1  # parts of the data that its trainings validate on in turn
    session_keeps: bool = False  # whether the session says which epoch's weights are kept
    retries: int = 0  # so often it is tried again where user code raised
    class_weight: str | None = None  # "balanced": see `class_weights`
    fit_plan: str = "auto"  # how `fit` is carried out: see `plans`
    gpu_plan: str = ""  # what auto is on its GPU, as was measured; "" where nothing was
    devices: int = 1  # that train it together: see `parallel`
    on_gpu: bool = False  # whether they are GPUs
    keep_spare: bool = False  # whether its checkpoints are kept twice: see `checkpoints`
    rungs: tuple[int, ...] = ()  # the epochs after which it is stopped or paused, or may be

    @property
    def fold(self) -> int:
        """The fold that this training validates on."""
        return self.repeat % self.folds


@dataclass(frozen=True)
class TrialUpdate:
    """What a trial tells after an epoch.

    `facts` are all that is known of it by now; `warning` is what a person should know, once.
    `keep` keeps the weights as they now are in place of those of an earlier epoch, where the
    session says which epoch's are kept; else the best epoch's are.
    """

    report: EpochReport
    facts: TrialFacts
    warning: str = ""
    failure: Failure | None = None
    keep: Callable[[], None] | None = None


@dataclass(frozen=True)
class Checked:
    """What the default model requested, the first `asked_by_build` of it in `build`; its weights.

    What is odd in the space, and what its `build` printed. `apart` says why its trainings are not
    carried out together with others; "" where they may be.
    """

    requested: Requested
    asked_by_build: int
    weights: int
    warnings: tuple[str, ...]
    printed: str = ""
    apart: str = "it is not known whether its models are alike"


class Session(Protocol):
    """The trial's side of the conversation."""

    def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
        """Report an epoch and wait for the decision; `checkpoint` writes the state as it now is.

        Raises:
            Stopped: the trial is to end.
        """


class Until:
    """A session that asks nobody and ends the trial after `epoch`."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
        """End the trial, with its state saved, once the epoch is reached."""
        if update.report.epoch >= self.epoch or update.failure:
            checkpoint()
            raise Stopped


@dataclass(frozen=True)
class SearchSpace:
    """A Keras model family.

    `build(hp, data)` and, if it has one, `fit(hp, model, *args, **kwargs)`.
    """

    name: str
    build: Callable[..., Any]
    fit: Callable[..., Any] | None = None


@dataclass(frozen=True)
class SentSpace:
    """A search space on its way to another process, with Keras's settings of the one that asks.

    `pickled` holds both, so that an object that both name is one there too. It is read where Keras
    may be imported: after the process's devices are settled.
    """

    pickled: bytes
