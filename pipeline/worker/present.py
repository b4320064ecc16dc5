"""The trials that user code runs in: the name and a folder of each, for the user's own trackers."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from pipeline.records.layout import OWN
from pipeline.worker.session import Job


@dataclass(frozen=True)
class Trial:
    """A trial, as `build`, `fit` and callbacks may ask for it.

    Attributes:
        name: as in the records: `t0003`.
        execution: which of its trainings this is, from 0: see `executions_per_trial` and `folds`.
    """

    name: str
    execution: int
    _folder: Path | None

    @property
    def directory(self) -> Path | None:
        """A folder for files of one's own, which is made when it is asked for.

        It is in the run's directory and stays. None where that is in an object store.
        """
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder


_in_process: list[Trial] = []
_present: ContextVar[Trial | None] = ContextVar("trial", default=None)


def trial() -> Trial | None:
    """The trial that the caller runs in; None outside of one.

    The check before a search calls `build` and `fit` outside of a trial, and so does what measures
    the best model. In a thread that user code itself starts there is none either.
    """
    return _present.get()


def any_trains() -> bool:
    """Whether any training of this process has begun and not ended, in whatever thread."""
    return bool(_in_process)


@contextmanager
def taking_part(job: Job) -> Iterator[None]:
    """Let what runs within, in this thread, be told of its trial."""
    folder = job.directory / OWN if isinstance(job.directory, Path) else None
    present = Trial(job.trial, job.repeat, folder)
    _in_process.append(present)
    token = _present.set(present)
    try:
        yield
    finally:
        _present.reset(token)
        _in_process.remove(present)
