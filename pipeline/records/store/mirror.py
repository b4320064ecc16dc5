"""A run in an object store.

Worked on in a folder of this machine, and mirrored as whole objects every few seconds.

What the machine holds is lost with it; what a resume reads is the store. So nothing is in the store
before what it relies on: a trial that is over comes after its reports, the summary last.

One idea: the order of one pass over the files, forwards to the store and back from it.
"""

import contextlib
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.errors import RequestError, StorageError, one_line
from pipeline.records.entries.trial_ids import sort_key
from pipeline.records.layout import BEST, LAST, Layout, named_by_home, persist
from pipeline.records.store.lease import Lease
from pipeline.records.store.remote import RemotePath, unreachable
from pipeline.records.store.scratch import new_folder

# The store lags by at most EVERY_S seconds, more when a pass is slow: mirroring may use
# 1/PASS_COST_RATIO of the time, up to a pass in MOST_S.
EVERY_S, PASS_COST_RATIO, MOST_S = 5.0, 20, 60.0
# A stopped trial's worker saves once more before it lets go of it: its checkpoints are removed
# after that.
LATE_S = 90.0
AT_ONCE = 16  # downloads
CHECKPOINTS = (BEST, LAST)


class Mirror:
    """Of the run in `home`, which is worked on in `folder`.

    Until it is closed, no other process may write the run.
    """

    def __init__(self, home: RemotePath, folder: str | Path) -> None:
        self.layout = Layout(Path(folder).resolve(), home)
        self.layout.resumable = False  # before the store has it
        self.home = home
        self._lease = Lease(home / self.layout.lock.name, home)
        self._sent: dict[Path, tuple[int, ...]] = {}
        self._removals: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._listed = time.monotonic()
        self._pause = EVERY_S
        self._ended = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Mirror":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the run go, with what could be mirrored of it; the folder goes too."""
        self._stop()
        self._closing = True
        if self._thread is not None:
            with contextlib.suppress(OSError, StorageError):
                self._pass()
            self._thread = None
        self._lease.release()
        shutil.rmtree(self.layout.root, ignore_errors=True)

    def check_there(self) -> None:
        """Refuse a place where there is no run.

        Raises:
            RequestError: there is none, or the store fails.
        """
        with _requested(self.home):
            if not is_there(self.home):
                raise RequestError(
                    "A run must be a directory with an experiment.yaml; "
                    f"{self.home} has no experiment.yaml."
                )

    def acquire(self, waiting: Callable[[str], None]) -> None:
        """Acquire the run for this process alone; see `Lease.acquire`.

        Raises:
            RequestError: another process has it, or the store fails.
        """
        with _requested(self.home):
            self._lease.acquire(waiting)

    def acquire_new(self, waiting: Callable[[str], None]) -> None:
        """Acquire a run that is not there yet.

        Raises:
            FileExistsError: another process has made it meanwhile.
            RequestError: the store fails.
        """
        with _requested(self.home):
            taken = is_there(self.home)
            if not taken:
                try:
                    self._lease.acquire(waiting)
                except RequestError:  # who has it makes the run just now
                    taken = True
                else:
                    taken = is_there(self.home)
                    if taken:
                        self._lease.release()
        if taken:
            raise FileExistsError(str(self.home))

    def bring_back(self) -> None:
        """Bring the run's records here, as they were last mirrored.

        Who was killed may have left reports and checkpoints of trials whose records did not get
        there: these were not recorded. They are decided on anew, and must find neither.

        Raises:
            RequestError: the store fails, or a record is damaged.
            StorageError: another process has taken the run meanwhile.
        """
        with _requested(self.home), named_by_home(self.layout):
            found = list(self.home.rglob())
            _fetch(self.layout, [p for p in found if p.name not in CHECKPOINTS])
            self._sent = self._states()
            self.layout.resumable = True
            records = self.layout.trials.glob(f"*/{self.layout.trial_record('').name}")
            last = max((sort_key(record.parent.name) for record in records), default=(0, ""))
            unknown = [
                p for p in found if p.name in CHECKPOINTS and sort_key(self._trial_of(p)) > last
            ]
            if unknown:
                self._lease.renew()  # to fetch may have taken long
            for path in unknown:
                path.unlink(missing_ok=True)

    def start(self, failed: Callable[[StorageError], None]) -> None:
        """Go on mirroring in a thread; `failed` is told where that has come to an end."""

        def mirror() -> None:
            try:
                while not self._ended.wait(self._pause):
                    self.send()
            except StorageError as error:
                failed(error)
            # else the search would go on, and the store would not have it
            except Exception as error:
                said = one_line(f"{type(error).__name__}: {error}")
                failed(
                    StorageError(
                        f"{self.home} could not be written: {said}. It is as it was last mirrored."
                    )
                )

        self._thread = threading.Thread(target=mirror, name="mirror", daemon=True)
        self._thread.start()

    def send(self) -> None:
        """Mirror what is new.

        Raises:
            StorageError: the store fails.
        """
        persist(self.layout, self.home, self._pass)

    def finish(self) -> None:
        """Mirror all that there is, now.

        Raises:
            StorageError: the store fails.
        """
        self._stop()
        persist(self.layout, self.home, lambda: self._pass(last=True))

    def remove(self, trial: str, names: tuple[str, ...]) -> None:
        """Remove checkpoints of a trial, once no worker writes them any more."""
        self._removals.setdefault(trial, (time.monotonic() + LATE_S, names))

    def _stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _pass(self, *, last: bool = False) -> None:
        """Put there what is new here."""
        self._lease.check()
        began = time.monotonic()
        changed = {
            path: state for path, state in self._states().items() if state != self._sent.get(path)
        }
        # Read before the reports: what says that a trial is over must not know more than they do.
        records = {path: _data(path) for path in changed if path.is_relative_to(self.layout.trials)}
        # It speaks of what else is there: where that is written anew, it goes first and comes last.
        summary = self.layout.summary
        if summary in self._sent and _state(summary) != self._sent[summary]:
            (self.home / summary.name).unlink(missing_ok=True)
            del self._sent[summary]
        history = self.layout.history
        # since it was looked at
        if (state := _state(history)) is not None and state != self._sent.get(history):
            changed[history] = state
        # Of the trials none before those that were asked for earlier: it would seem to have lost
        # them.
        for path in sorted(
            changed, key=lambda path: (self._rank(path), sort_key(path.parent.name))
        ):
            data = records[path] if path in records else _data(path)
            if path in (history, self.layout.decisions):
                data = data[: data.rfind(b"\n") + 1]
            if data:
                self._lease.check()
                (self.home / path.relative_to(self.layout.root)).write_bytes(data)
            self._sent[path] = changed[path]
            self.layout.resumable |= path == self.layout.experiment
        self._carry_out_removals(last=last)
        self._pause = min(max(EVERY_S, PASS_COST_RATIO * (time.monotonic() - began)), MOST_S)

    def _rank(self, path: Path) -> int:
        """What comes first: what was asked, the reports, the trials, all else, the summary."""
        layout = self.layout
        if path.is_relative_to(layout.trials):
            return 3
        return {layout.starts: 0, layout.experiment: 1, layout.history: 2, layout.summary: 5}.get(
            path, 4
        )

    def _states(self) -> dict[Path, tuple[int, ...]]:
        """Files to mirror (no copies, none being written), each with what tells that it changed."""
        states: dict[Path, tuple[int, ...]] = {}
        for folder, folders, files in os.walk(self.layout.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(folder, name)
                # It grows all the time: it is sent once, when nothing more is written.
                if _is_log(self.layout, path) and not self._closing:
                    continue
                if not name.startswith(".") and (state := _state(path)) is not None:
                    states[path] = state
        return states

    def _carry_out_removals(self, *, last: bool) -> None:
        now = time.monotonic()
        due = {
            trial: names for trial, (at, names) in list(self._removals.items()) if last or at <= now
        }
        # One listing for all of them, and not many: a large run's is long.
        if not due or not (last or now - self._listed >= LATE_S):
            return
        for path in (self.home / self.layout.trials.name).rglob():
            if path.name in due.get(self._trial_of(path), ()):
                path.unlink(missing_ok=True)
        self._listed = now
        for trial in due:
            self._removals.pop(trial)

    def _trial_of(self, path: RemotePath) -> str:
        """Whose folder an object is in."""
        folder, *parts = path.relative_to(self.home).parts
        return parts[0] if folder == self.layout.trials.name and len(parts) > 1 else ""


def is_there(home: RemotePath) -> bool:
    """Whether a run is there.

    Who was killed before it had what it was asked for left nothing to go on with.
    """
    return (home / Layout("").experiment).written() is not None


def brought_here(place: RemotePath) -> Layout:
    """The layout of a run to be read: what says how it went is brought here for as long.

    Its log is not: it is long, and nothing reads it.

    Raises:
        RequestError: the store cannot be read.
    """
    folder = new_folder()
    layout = Layout(folder, place)
    weakref.finalize(layout, shutil.rmtree, folder, ignore_errors=True)
    folders = (place, place / layout.best.name)
    with _requested(place):
        found = [path for path in place.rglob() if path.parent in folders]
        _fetch(layout, [path for path in found if not _is_log(layout, path)])
    return layout


def _is_log(layout: Layout, path: Path | RemotePath) -> bool:
    """Whether it is the run's log, or what came before the lines in that."""
    return path.name.startswith(layout.debug_log.name)


def _fetch(layout: Layout, objects: list[RemotePath]) -> None:
    def fetch(path: RemotePath) -> None:
        local = layout.root / path.relative_to(layout.place)  # type: ignore[arg-type]
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(path.read_bytes())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fetch, [path for path in objects if not path.name.startswith(".")]))


@contextlib.contextmanager
def _requested(home: RemotePath) -> Iterator[None]:
    """Before a search, a store that fails is a request that cannot be met."""
    try:
        yield
    except OSError as error:
        raise unreachable(home, error) from error


def _state(path: Path) -> tuple[int, ...] | None:
    """What differs once a file has changed; None where there is none."""
    try:
        state = os.stat(path)
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # another took its place, or none
        return b""
