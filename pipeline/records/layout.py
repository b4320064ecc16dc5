"""The run directory: every file name of a run stands here and nowhere else."""

import contextlib
import errno
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import StorageError

# Between tries to write where storage fails: half a minute in all.
PAUSES_S = (0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 14.0)

LAST, BEST = "last.npz", "best.npz"  # of a trial, or of each of its executions: its checkpoints


class Layout:
    """Paths within one run's directory."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.experiment = self.root / "experiment.yaml"
        self.starts = self.root / "starts.json"  # of a search with --start-from
        self.history = self.root / "history.jsonl"
        self.history_table = self.root / "history.csv"
        self.trials_table = self.root / "trials.csv"
        self.summary = self.root / "summary.json"
        self.best = self.root / "best"
        self.best_model = self.best / "model.keras"
        self.best_hyperparameters = self.best / "hyperparameters.json"
        self.best_metrics = self.best / "metrics.json"
        self.best_standardisation = self.best / "standardisation.json"
        self.trials = self.root / "trials"
        self.lock = self.root / ".lock"
        self.copies = self.root / ".copies"  # of what a resume reads
        self.engine = self.root / ".engine"  # what Ray writes; never read back, removed at the end

    def trial(self, trial: str) -> Path:
        """Folder of one trial: its record and its checkpoints."""
        return self.trials / trial

    def trial_record(self, trial: str) -> Path:
        """What is known of one trial, but for its reports."""
        return self.trial(trial) / "trial.json"

    def copy(self, path: Path) -> Path:
        """The copy of one of the run's files."""
        return self.copies / path.relative_to(self.root)


def write_whole(path: Path, data: str | bytes, *, sync: bool = True) -> None:
    """Write a file whole or not at all: temporary name, flush, rename; `sync` waits until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".writing")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        if sync:
            _sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON, whole or not at all."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: where power is lost, a file's own data says nothing of them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def persist(layout: Layout, path: Path, write: Callable[[], None]) -> None:
    """Write a run's file, and try again for a while where its storage fails.

    Raises:
        StorageError: it does not get better.
    """
    for pause in (*PAUSES_S, None):
        try:
            return write()
        except OSError as error:
            if pause is None:
                raise _unwritable(layout, f"{path} could not be written for {sum(PAUSES_S):.0f} s", error) from error
            time.sleep(pause)


@contextlib.contextmanager
def storage_of(layout: Layout) -> Iterator[None]:
    """Say of what else meets a full or a failing disk, such as Ray when it makes its folders, what it is.

    Raises:
        StorageError: in place of the system's error.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
            raise
        raise _unwritable(layout, f"{error.filename or layout.root} could not be written", error) from error


def _unwritable(layout: Layout, what: str, error: OSError) -> StorageError:
    resume = f" Once it is mended, go on: --resume {layout.root}" if layout.experiment.is_file() else ""
    return StorageError(f"{what}: {error.strerror or error}. What was recorded before is whole.{resume}")
