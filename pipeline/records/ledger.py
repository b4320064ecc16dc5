"""The ledger: every report appended as it comes, one record a trial. What a resume replays."""

import fcntl
import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import RequestError, StorageError, one_line
from pipeline.records.checksummed import (
    Lines,
    Warned,
    is_kept,
    read_json,
    read_kept,
    read_lines,
    write_kept,
)
from pipeline.records.layout import Layout
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, from_dict

# A duplicate is a trial whose first report showed that another trial has the same configuration: it
# was ended then, none of its epochs is recorded, and it does not count.
Status = Literal["running", "finished", "stopped", "failed", "duplicate"]
COUNTED: tuple[Status, ...] = ("finished", "stopped", "failed")
ENDED: tuple[Status, ...] = (*COUNTED, "duplicate")


@dataclass(slots=True)
class Report:
    """One epoch of one trial.

    `epoch` counts completed epochs; `objective` is null where it was not finite.
    """

    trial: str
    epoch: int
    objective: float | None
    metrics: dict[str, float | None]
    seconds: float
    time: float
    # no epoch, but what `fit` returned: what the trial is worth, whatever its epochs reported
    final: bool = False


@dataclass
class TrialRecord:
    """One trial.

    `configuration` is what the searcher gave, `requested` what `build` and `fit` asked for.
    """

    trial: str
    configuration: dict[str, Any]
    status: Status = "running"
    # hyperparameters as plain data, each with its "value"
    requested: list[dict[str, Any]] | None = None
    error: str | None = None
    traceback: str | None = None
    fault: str | None = None  # where, if the program is at fault and not the configuration
    node: str | None = None
    node_id: str | None = None
    devices: str | None = None
    gpus: float | None = None  # if not the share that the search asked for, which was too little
    outgrown: int | None = None  # the last epoch before it ran out of that share, if it did
    # how its steps were carried out, and why so; from which epoch on otherwise
    fit_plan: str | None = None
    # Where another's weights were taken over: after which "epoch", "from" which trial, and what was
    # in force "before".
    changes: list[dict[str, Any]] = field(default_factory=list)
    after: int = 0  # epochs of all trials that were recorded when it was decided on
    started: float = field(default_factory=time.time)
    ended: float | None = None
    epochs: int | None = None  # once it has ended: the last that is recorded

    def with_fit_plan(self, plan: str, epoch: int) -> str:
        """Its `fit_plan` once it is known how this epoch's steps were carried out."""
        if self.fit_plan and not self.fit_plan.endswith(plan):
            return f"{self.fit_plan}, from epoch {epoch} {plan}"
        return self.fit_plan or plan

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Name to value of what was requested."""
        if self.requested is None:
            return {}
        return {item["name"]: item["value"] for item in self.requested}

    @property
    def asked_by_build(self) -> int:
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
        """What was requested: each hyperparameter and its value, in order.

        Raises:
            RequestError: the record was written by hand, and these are none.
        """
        try:
            return [
                (
                    _spec(
                        json.dumps(
                            {k: v for k, v in item.items() if k not in ("value", "asked_by")}
                        )
                    ),
                    item["value"],
                )
                for item in self.requested or ()
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError(
                f"A trial's record must hold what it requested; that of {self.trial} is damaged: "
                f"{error!r:.200}."
            ) from error


@functools.lru_cache(maxsize=1024)
def _spec(plain: str) -> Hyperparameter:
    """Trials share their hyperparameters: of 10,000 there are no more than the space has."""
    return from_dict(json.loads(plain))


def as_plain(requested: Requested, asked_by_build: int) -> list[dict[str, Any]]:
    """What was requested, the first `asked_by_build` of it by `build`, as a record holds it.

    The inverse of its `asked`.
    """
    return [
        {**spec.to_dict(), "asked_by": "build" if place < asked_by_build else "fit", "value": value}
        for place, (spec, value) in enumerate(requested)
    ]


class Ledger:
    """Writes a run's records, and holds what they say.

    Opening one takes the run's lock, which is let go when the process ends, however it ends, and
    puts right what is damaged of the records, as far as there is a good copy; `warned` is told.
    Once something could not be written, nothing is any more: `fault` says what.
    """

    def __init__(self, layout: Layout, warned: Warned = lambda text: None) -> None:
        self.layout = layout
        self.fault: StorageError | None = None
        self.trials: dict[str, TrialRecord] = {}
        self.reports: list[Report] = []
        self._last_epoch: dict[str, int] = {}
        # a search asks for these in every turn of Tune's loop
        self._unfinished: dict[str, None] = {}
        self._duplicates: set[str] = set()
        layout.root.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock()
        try:
            _mend(layout, warned)
            self.trials = read_trials(layout, warned)
            self.reports = read_history(layout, warned)
            self._history = Lines(layout, layout.history, len(self.reports))
        except BaseException:
            self._lock.close()
            raise
        for report in self.reports:
            self._last_epoch[report.trial] = max(report.epoch, self.last_epoch(report.trial))
        for trial in self.trials:
            self._count(trial)

    def close(self) -> None:
        """Close the files and let the lock go."""
        self._history.close()
        self._lock.close()

    def last_epoch(self, trial: str) -> int:
        """The last recorded epoch; 0 before the first."""
        return self._last_epoch.get(trial, 0)

    def start(self, trial: str, configuration: dict[str, Any]) -> None:
        """Record that a trial was decided on."""
        self.trials[trial] = TrialRecord(trial, configuration, after=len(self.reports))
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
        plain = json.dumps(line, allow_nan=False)
        self.write(lambda: self._history.append(plain))
        self.reports.append(report)
        self._last_epoch[report.trial] = report.epoch
        return True

    def change(self, trial: str, epoch: int, source: str, requested: Requested) -> None:
        """Record that a trial goes on after `epoch` with `source`'s weights, under other values."""
        record = self.trials[trial]
        past = {"epoch": epoch, "from": source, "before": record.hyperparameters}
        plain = as_plain(requested, self.trials[source].asked_by_build)
        self.note(trial, requested=plain, changes=[*record.changes, past])

    def end(
        self,
        trial: str,
        status: Status,
        error: str | None = None,
        traceback: str | None = None,
        **facts: Any,
    ) -> None:
        """Record that a trial is over, and what else there is to `note`, at once."""
        self.write(self._history.sync)  # whoever finds that it is over finds its reports
        epochs = self.last_epoch(trial)
        self.note(
            trial,
            status=status,
            error=error,
            traceback=traceback,
            ended=time.time(),
            epochs=epochs,
            **facts,
        )

    def reopen(self, max_epochs: int) -> None:
        """Take up again whoever ended because it had all of its `max_epochs`."""
        by_itself = {report.trial for report in self.reports if report.final}
        for trial, record in self.trials.items():
            if (
                record.status == "finished"
                and self.last_epoch(trial) == max_epochs
                and trial not in by_itself
            ):
                self.note(trial, status="running", ended=None)

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
        record = asdict(self.trials[trial])
        self.write(lambda: write_kept(self.layout, self.layout.trial_record(trial), record))

    def write(self, write: Callable[[], None]) -> None:
        """Carry out what writes to the run and raises a StorageError where that fails."""
        if self.fault is not None:
            raise self.fault
        try:
            write()
        except StorageError as error:
            self.fault = error
            raise

    def fail(self, fault: StorageError) -> None:
        """Write no more: what keeps the run elsewhere has failed."""
        self.fault = self.fault or fault

    def _take_lock(self) -> IO[str]:
        try:
            lock = self.layout.lock.open("a")
        except OSError as error:
            raise RequestError(
                f"{self.layout.lock} must be a file that can be locked: {error.strerror}."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise RequestError(
                f"A run directory must belong to one process; {self.layout.root} is in use by "
                "another."
            ) from error
        return lock


def _mend(layout: Layout, warned: Warned) -> None:
    """Put right the whole files that are there, trials' records aside."""
    if is_kept(layout, layout.experiment):
        read_experiment(layout, warned)
    for path in (layout.starts, layout.summary):
        if is_kept(layout, path):
            try:
                read_kept(layout, path, warned=warned)
            except ValueError as error:
                if path == layout.starts:
                    raise _damaged(path, "what the run was started from", error) from error
                warned(f"{path} is damaged, and so is its copy; it is written anew at the end.")


def read_history(layout: Layout, warned: Warned | None = None) -> list[Report]:
    """Every recorded epoch in the order of its coming; half a line at the very end is left out.

    `warned` is for who writes the run: see `checksummed.read_lines`.

    Raises:
        RequestError: another line is damaged or missing, in the copy too; the message names it.
    """
    lines = read_lines(layout, layout.history, _check_report, warned)
    # All at once: twice as fast as line by line, and the names of the metrics are held once.
    return [Report(**plain) for plain in json.loads(b"[%b]" % b",".join(lines))]


_REPORT, _RECORD = TypeAdapter(Report), TypeAdapter(TrialRecord)


def _check_report(line: bytes) -> None:
    """Look at a line that has no checksum."""
    plain = read_json(line)
    Report(**plain)
    check(_REPORT, plain)


def read_trials(layout: Layout, warned: Warned | None = None) -> dict[str, TrialRecord]:
    """Every trial's record, in the order of the trials.

    `warned` is for who writes the run: see `checksummed.read_kept`.

    Raises:
        RequestError: a record is damaged, and so is its copy; the message names it.
    """
    records = {}
    names = _folders(layout.trials) | _folders(layout.copy(layout.trials))
    for name in sorted(names, key=lambda name: (len(name), name)):
        path = layout.trial_record(name)
        try:
            records[name] = read_kept(layout, path, functools.partial(_record, name), warned)
        except FileNotFoundError:  # the folder of a trial whose record was never written
            continue
        except ValueError as error:
            raise _damaged(path, "one trial's record", error) from error
    return records


def _record(name: str, plain: dict[str, Any]) -> TrialRecord:
    record = TrialRecord(**plain)
    check(_RECORD, plain)
    record.hyperparameters, record.in_force(0)  # each item has what it must have
    if record.trial != name:
        raise ValueError(f"it is of trial {record.trial!r}")
    return record


def check(kind: TypeAdapter[Any], plain: dict[str, Any]) -> None:
    """Look whether what was read is of a form.

    Raises:
        ValueError: it is not; says where.
    """
    try:
        kind.validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(": ".join([*map(str, fault["loc"]), fault["msg"]])) from error


def _damaged(path: Path, what: str, error: ValueError) -> RequestError:
    return RequestError(f"{path} must hold {what}; it is damaged: {error}.")


def _folders(path: Path) -> set[str]:
    if not path.is_dir():
        return set()
    with os.scandir(path) as entries:
        return {entry.name for entry in entries if entry.is_dir()}


def read_experiment(layout: Layout, warned: Warned | None = None) -> str:
    """The text of `experiment.yaml`.

    `warned` is for the process that writes the run: see `checksummed.read_kept`.

    Raises:
        RequestError: the directory is no run, or the file is damaged, and so is its copy.
    """
    try:
        return read_kept(layout, layout.experiment, str, warned)
    except FileNotFoundError:
        what = "has no experiment.yaml" if os.path.isdir(layout.root) else "does not exist"
        root = one_line(str(layout.root))
        raise RequestError(
            f"A run must be a directory with an experiment.yaml; {root} {what}."
        ) from None
    except ValueError as error:
        raise _damaged(layout.experiment, "the run's settings", error) from error


def read_settings(layout: Layout) -> dict[str, Any]:
    """The settings of `experiment.yaml` as plain data, objects by their fingerprints.

    Raises:
        RequestError: the directory is no run, or the file holds no settings.
    """
    try:
        settings = yaml.safe_load(read_experiment(layout))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"{layout.experiment} must be YAML; {' '.join(str(error).split())}"
        ) from error
    if not isinstance(settings, dict):
        raise RequestError(f"{layout.experiment} must hold settings, one a line (dataset: mnist).")
    return settings


def write_experiment(layout: Layout, text: str) -> None:
    """Write `experiment.yaml`."""
    write_kept(layout, layout.experiment, text)
