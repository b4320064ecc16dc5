"""The run directory: every file name of a run stands here and nowhere else."""

import contextlib
import errno
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import RequestError, StorageError
from pipeline.logs import LOGGER
from pipeline.records.store.remote import RemotePath

T = TypeVar("T")

# Between tries to write where storage fails: half a minute in all.
PAUSES_S = (0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 14.0)

LAST, BEST = "last.npz", "best.npz"  # of a trial, or of each of its executions: its checkpoints
# the same once more, where they are kept twice
SPARE = {LAST: "last.spare.npz", BEST: "best.spare.npz"}

OWN = "own"  # of a trial, or of each of its executions: the folder of what user code writes

UNFINISHED = ".new-run-"  # beside the runs, while one is made
UNFINISHED_LEFT_S = 3600.0  # it takes seconds; what is so old is of one that was killed


class Layout:
    """Paths within one run's directory.

    Of a run that is kept in an object store, in `home`, `root` is where it is worked on; the
    checkpoints of its trials, which train on other machines, are there alone.
    """

    def __init__(self, root: str | Path, home: RemotePath | None = None) -> None:
        self.root = Path(root)
        self.home = home
        self.resumable = True  # whether a resume would find it at its place
        self.experiment = self.root / "experiment.yaml"
        self.starts = self.root / "starts.json"  # of a search with --start-from
        self.keras_settings = self.root / "keras.json"  # where they are not Keras's own
        self.data_files = self.root / "data.json"  # of a dataset in files
        self.history = self.root / "history.jsonl"
        self.decisions = self.root / "decisions.jsonl"
        self.history_table = self.root / "history.csv"
        self.trials_table = self.root / "trials.csv"
        self.summary = self.root / "summary.json"
        self.checksums = self.root / "checksums.json"  # of the tables and of `best/`
        self.best = self.root / "best"
        self.best_model = self.best / "model.keras"
        # instead, of one that Keras cannot describe
        self.best_weights = self.best / "model.weights.h5"
        self.best_hyperparameters = self.best / "hyperparameters.json"
        self.best_metrics = self.best / "metrics.json"
        self.best_standardisation = self.best / "standardisation.json"
        self.best_card = self.best / "README.md"
        self.best_server = self.best / "serve.py"
        self.best_preprocessing = self.best / "preprocessing.json"
        self.best_confusion = self.best / "confusion.csv"  # of a classification
        self.best_residuals = self.best / "residuals.csv"  # of a regression
        self.trials = self.root / "trials"
        self.debug_log = self.root / "debug.log"  # for whoever looks into a fault; never read back
        self.lock = self.root / ".lock"
        self.copies = self.root / ".copies"  # of what a resume reads
        self.engine = self.root / ".engine"  # what Ray writes; never read back, removed at the end

    def trial(self, trial: str) -> Path:
        """Folder of one trial: its record, and on a file system its checkpoints."""
        return self.trials / trial

    @property
    def place(self) -> Path | RemotePath:
        """Where the run is, as it is told and asked for."""
        return self.home or self.root

    def checkpoints(self, trial: str) -> Path | RemotePath:
        """Folder of one trial's checkpoints."""
        return (
            self.trial(trial)
            if self.home is None
            else self.home / self.trial(trial).relative_to(self.root)
        )

    def trial_record(self, trial: str) -> Path:
        """What is known of one trial, but for its reports."""
        return self.trial(trial) / "trial.json"

    def tracker_state(self, name: str) -> Path:
        """What one tracker keeps from one process to the next."""
        return self.root / "tracking" / f"{name}.json"

    def copy(self, path: Path) -> Path:
        """The copy of one of the run's files."""
        return self.copies / path.relative_to(self.root)


@contextlib.contextmanager
def named_by_home(layout: Layout) -> Iterator[None]:
    """In errors, name the run's files where the run is, not where it is worked on."""
    try:
        yield
    except RequestError as error:
        error.args = tuple(
            at_home(layout, part) if isinstance(part, str) else part for part in error.args
        )
        raise


def at_home(layout: Layout, text: str) -> str:
    """A text that names the run's files where the run is."""
    return text.replace(str(layout.root), str(layout.place))


def write_whole(path: Path | RemotePath, data: str | bytes, *, sync: bool = True) -> None:
    """Write a file whole or not at all: temporary name, flush, rename.

    `sync` waits until it is on the disk.
    """
    if isinstance(path, RemotePath):
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=".writing"
    )
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


def is_folder_name(name: str) -> bool:
    """Whether a run's directory may be called so."""
    return "/" not in name and name not in ("", ".", "..") and not name.startswith(UNFINISHED)


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A folder to be filled, which is at `path` once it is, and not before.

    Whoever is killed leaves the name free.

    Raises:
        FileExistsError: another process has made one there meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > UNFINISHED_LEFT_S:
                shutil.rmtree(left, ignore_errors=True)
    unfinished = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    unfinished.mkdir()  # who may read it is as for any folder that is made there
    try:
        yield unfinished
        if os.path.lexists(path):  # to an empty folder it would be renamed
            raise FileExistsError(str(path))
        try:
            unfinished.rename(path)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise FileExistsError(str(path)) from error
            raise
        _sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write `data` as JSON, whole or not at all."""
    write_whole(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk.

    Where power is lost, a file's own data says nothing of them.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def persist(layout: Layout, path: Path | RemotePath, write: Callable[[], T]) -> T:
    """Write a run's file, and try again for a while where its storage fails.

    Raises:
        StorageError: it does not get better.
    """
    try:
        return patiently(write, PAUSES_S)
    except OSError as error:
        raise _unwritable(
            layout, f"{path} could not be written for {sum(PAUSES_S):.0f} s", error
        ) from error


def patiently(action: Callable[[], T], pauses_s: Sequence[float]) -> T:
    """Do something, and try again for a while where storage fails.

    Raises:
        OSError: it does not get better.
    """
    until = time.monotonic() + sum(pauses_s)
    for pause_s in pauses_s:
        try:
            return action()
        except OSError as error:
            if time.monotonic() >= until:  # a store may take long to fail
                raise
            LOGGER.debug("storage failed, again in %.1f s: %s", pause_s, error)
            time.sleep(pause_s)
    return action()


@contextlib.contextmanager
def storage_of(layout: Layout) -> Iterator[None]:
    """Name a full or failing disk as such where others meet it: Ray, when it makes its folders.

    Raises:
        StorageError: in place of the system's error.
    """
    try:
        yield
    except OSError as error:
        of_a_store = "://" in str(error.filename)
        if not of_a_store and error.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EIO,
            errno.EROFS,
        ):
            raise
        raise _unwritable(
            layout, f"{error.filename or layout.root} could not be written", error
        ) from error


def _unwritable(layout: Layout, what: str, error: OSError) -> StorageError:
    begun = layout.resumable and layout.experiment.is_file()
    resume = f" Once it is mended, go on: --resume {layout.place}" if begun else ""
    return StorageError(
        f"{what}: {error.strerror or error}. What was recorded before is whole.{resume}"
    )
