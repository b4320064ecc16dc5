"""The ledger: every report appended as it comes, one record a trial. What a resume replays."""

import fcntl
import functools
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from pipeline.errors import RequestError
from pipeline.records.layout import Layout, write_json, write_whole
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, from_dict

# A duplicate is a trial whose first report showed that another trial has the same configuration: it was ended then,
# none of its epochs is recorded, and it does not count.
Status = Literal["running", "finished", "stopped", "failed", "duplicate"]
COUNTED: tuple[Status, ...] = ("finished", "stopped", "failed")
ENDED: tuple[Status, ...] = (*COUNTED, "duplicate")


@dataclass(slots=True)
class Report:
    """One epoch of one trial. `epoch` counts completed epochs; `objective` is null where it was not finite."""

    trial: str
    epoch: int
    objective: float | None
    metrics: dict[str, float | None]
    seconds: float
    time: float
    final: bool = False  # no epoch, but what `fit` returned: what the trial is worth, whatever its epochs reported


@dataclass
class TrialRecord:
    """One trial. `configuration` is what the searcher gave, `requested` what `build` and `fit` asked for."""

    trial: str
    configuration: dict[str, Any]
    status: Status = "running"
    requested: list[dict[str, Any]] | None = None  # hyperparameters as plain data, each with its "value"
    error: str | None = None
    traceback: str | None = None
    node: str | None = None
    node_id: str | None = None
    devices: str | None = None
    execution: str | None = None  # how its steps were carried out, and why so
    # Where another's weights were taken over: after which "epoch", "from" which trial, and what was in force "before".
    changes: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    ended: float | None = None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Name to value of what was requested."""
        if self.requested is None:
            return {}
        return {item["name"]: item["value"] for item in self.requested}

    @property
    def built(self) -> int:
        """How many of them `build` asked for; they come first."""
        return sum(item["asked_by"] == "build" for item in self.requested or ())

    def in_force(self, epoch: int) -> dict[str, Any]:
        """Name to value of what was requested in `epoch`."""
        for change in self.changes:
            if epoch <= change["epoch"]:
                return dict(change["before"])
        return self.hyperparameters

    @property
    def asked(self) -> Requested:
        """What was requested: each hyperparameter and its value, in order."""
        return [
            (_spec(json.dumps({k: v for k, v in item.items() if k not in ("value", "asked_by")})), item["value"])
            for item in self.requested or ()
        ]


@functools.lru_cache(maxsize=1024)
def _spec(plain: str) -> Hyperparameter:
    """Trials share their hyperparameters: of 10,000 there are no more than the space has."""
    return from_dict(json.loads(plain))


def as_plain(requested: Requested, built: int) -> list[dict[str, Any]]:
    """What was requested, the first `built` of it by `build`, as a record holds it; the inverse of its `asked`."""
    return [
        {**spec.to_dict(), "asked_by": "build" if place < built else "fit", "value": value}
        for place, (spec, value) in enumerate(requested)
    ]


class Ledger:
    """Writes a run's records, and holds what they say.

    Opening one takes the run's lock, which is let go when the process ends, however it ends.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.trials: dict[str, TrialRecord] = {}
        self.reports: list[Report] = []
        self._last_epoch: dict[str, int] = {}
        self._unfinished: dict[str, None] = {}  # a search asks for these in every turn of Tune's loop
        self._duplicates: set[str] = set()
        layout.root.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock()
        try:
            self.trials = read_trials(layout)
            self.reports = read_history(layout)
        except RequestError:
            self._lock.close()
            raise
        for report in self.reports:
            self._last_epoch[report.trial] = max(report.epoch, self.last_epoch(report.trial))
        for trial in self.trials:
            self._count(trial)
        self._cut_unfinished_line()
        self._history = layout.history.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the files and let the lock go."""
        self._history.close()
        self._lock.close()

    def last_epoch(self, trial: str) -> int:
        """The last recorded epoch; 0 before the first."""
        return self._last_epoch.get(trial, 0)

    def start(self, trial: str, configuration: dict[str, Any]) -> None:
        """Record that a trial was decided on."""
        self.trials[trial] = TrialRecord(trial, configuration)
        self._count(trial)
        self._write(trial)

    def note(self, trial: str, **facts: Any) -> None:
        """Record more of a trial: `requested`, `node`, `devices`."""
        record = self.trials[trial]
        if any(getattr(record, name) != value for name, value in facts.items()):
            for name, value in facts.items():
                setattr(record, name, value)
            if "status" in facts:
                self._count(trial)
            self._write(trial)

    def report(self, report: Report) -> bool:
        """Append one epoch; False, and nothing is written, where it is already recorded."""
        if report.epoch <= self.last_epoch(report.trial):
            return False
        line = asdict(report)
        if not report.final:  # hardly any is
            del line["final"]
        self._history.write(json.dumps(line, allow_nan=False) + "\n")
        self._history.flush()
        self.reports.append(report)
        self._last_epoch[report.trial] = report.epoch
        return True

    def change(self, trial: str, epoch: int, source: str, requested: Requested) -> None:
        """Record that a trial goes on after `epoch` with the weights of `source`, under other values."""
        record = self.trials[trial]
        past = {"epoch": epoch, "from": source, "before": record.hyperparameters}
        plain = as_plain(requested, self.trials[source].built)
        self.note(trial, requested=plain, changes=[*record.changes, past])

    def end(
        self, trial: str, status: Status, error: str | None = None, traceback: str | None = None, **facts: Any
    ) -> None:
        """Record that a trial is over, and what else there is to `note`, at once."""
        self.note(trial, status=status, error=error, traceback=traceback, ended=time.time(), **facts)

    def unfinished(self) -> list[str]:
        """Trials that were decided on and are not over, in order."""
        return list(self._unfinished)

    def counted(self) -> int:
        """How many trials there are, duplicates aside."""
        return len(self.trials) - len(self._duplicates)

    def undecided(self) -> list[str]:
        """Trials that have not told what they request, and so may turn out to be duplicates."""
        return [t for t in self.unfinished() if self.trials[t].requested is None]

    def _count(self, trial: str) -> None:
        """Take up a trial's status."""
        status = self.trials[trial].status
        if status not in ENDED:
            self._unfinished[trial] = None
        else:
            self._unfinished.pop(trial, None)
            if status == "duplicate":
                self._duplicates.add(trial)

    def _write(self, trial: str) -> None:
        write_json(self.layout.trial_record(trial), asdict(self.trials[trial]))

    def _take_lock(self) -> IO[str]:
        lock = self.layout.lock.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise RequestError(
                f"A run directory must belong to one process; {self.layout.root} is in use by another."
            ) from error
        return lock

    def _cut_unfinished_line(self) -> None:
        """A driver killed while writing leaves half a line at the end; what follows must not be glued to it."""
        path = self.layout.history
        if path.exists() and (data := path.read_bytes()) and not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)
                os.fsync(file.fileno())


def read_history(layout: Layout) -> list[Report]:
    """Every recorded epoch in the order of its coming; half a line at the very end is left out.

    Raises:
        RequestError: another line is damaged; the message names it.
    """
    if not layout.history.exists():
        return []
    lines = layout.history.read_text(encoding="utf-8", errors="replace").split("\n")
    del lines[-1]
    try:
        # All at once: twice as fast as line by line, and the names of the metrics are held once.
        reports = [Report(**plain) for plain in json.loads(f"[{','.join(lines)}]")]
        if len(reports) == len(lines):
            return reports
    except (ValueError, TypeError):
        pass
    return [_report(layout, number, line) for number, line in enumerate(lines, start=1)]


def _report(layout: Layout, number: int, line: str) -> Report:
    try:
        return Report(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise RequestError(
            f"Each line of {layout.history} must be one report; line {number} is damaged: {line[:60]!r}."
        ) from error


def read_trials(layout: Layout) -> dict[str, TrialRecord]:
    """Every trial's record, in the order of the trials.

    Raises:
        RequestError: a record is damaged; the message names it.
    """
    records = {}
    for name in sorted(_folders(layout.trials), key=lambda name: (len(name), name)):
        path = layout.trial_record(name)
        try:
            record = TrialRecord(**json.loads(path.read_bytes().decode()))
        except FileNotFoundError:  # the folder of a trial whose record was never written
            continue
        except (ValueError, TypeError) as error:
            raise RequestError(f"{path} must hold one trial's record; it is damaged: {error}.") from error
        records[record.trial] = record
    return records


def _folders(path: Path) -> list[str]:
    if not path.is_dir():
        return []
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir()]


def read_experiment(layout: Layout) -> str:
    """The text of `experiment.yaml`.

    Raises:
        RequestError: the directory is no run.
    """
    if not layout.experiment.is_file():
        what = "has no experiment.yaml" if layout.root.is_dir() else "does not exist"
        raise RequestError(f"A run must be a directory with an experiment.yaml; {layout.root} {what}.")
    return layout.experiment.read_text(encoding="utf-8")


def read_settings(layout: Layout) -> dict[str, Any]:
    """The settings of `experiment.yaml` as plain data, objects by their fingerprints.

    Raises:
        RequestError: the directory is no run, or the file holds no settings.
    """
    settings = yaml.safe_load(read_experiment(layout))
    if not isinstance(settings, dict):
        raise RequestError(f"{layout.experiment} must hold settings, one a line (dataset: mnist).")
    return settings


def write_experiment(layout: Layout, text: str) -> None:
    """Write `experiment.yaml`."""
    write_whole(layout.experiment, text)
