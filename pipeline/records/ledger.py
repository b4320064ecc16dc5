"""The ledger: every report appended as it comes, one record a trial. What a resume replays."""

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from pipeline.errors import RequestError, StorageError
from pipeline.records.checksummed import Warned, write_checksummed
from pipeline.records.entries.decisions import Decision, as_line, read_decisions
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trial_ids import sort_key
from pipeline.records.entries.trials import (
    ENDED,
    Status,
    TrialFacts,
    TrialRecord,
    as_plain,
    read_trials,
)
from pipeline.records.layout import Layout
from pipeline.records.lines import Lines
from pipeline.space.hyperparameters import Requested


class Ledger:
    """Writes a run's records, and holds what they say.

    Opening one takes the run's lock, unless that is given as `lock`. The lock is let go on closing,
    and when the process ends, however it ends. Damaged records are put right as far as there is a
    good copy; `warned` is told. Once something could not be written, nothing is any more: `fault`
    says what.
    """

    def __init__(
        self,
        layout: Layout,
        warned: Warned = lambda text: None,
        lock: IO[str] | None = None,
    ) -> None:
        self.layout = layout
        self.fault: StorageError | None = None
        self.trials: dict[str, TrialRecord] = {}
        self.reports: list[Report] = []
        self.decisions: list[Decision] = []
        self._last_epoch: dict[str, int] = {}
        # a search asks for these in every turn of Tune's loop
        self._unfinished: dict[str, None] = {}
        self._duplicates: set[str] = set()
        layout.root.mkdir(parents=True, exist_ok=True)
        self._lock = lock or take_lock(layout)
        try:
            self.trials = read_trials(layout, warned)
            self.reports = read_history(layout, warned)
            self.decisions = read_decisions(layout, warned)
            if layout.home is not None:
                self._forget_unknown()
            self._history = Lines(layout, layout.history, len(self.reports))
            self._decided = Lines(layout, layout.decisions, len(self.decisions))
        except BaseException:
            self._lock.close()
            raise
        for report in self.reports:
            self._last_epoch[report.trial] = max(report.epoch, self.last_epoch(report.trial))
        self._known = {_key(decision) for decision in self.decisions}
        for trial in self.trials:
            self._count(trial)

    def close(self) -> None:
        """Close the files and let the lock go."""
        self._history.close()
        self._decided.close()
        self._lock.close()

    def last_epoch(self, trial: str) -> int:
        """The last recorded epoch; 0 before the first."""
        return self._last_epoch.get(trial, 0)

    def start(self, trial: str, configuration: dict[str, Any]) -> None:
        """Record that a trial was decided on."""
        self.trials[trial] = TrialRecord(trial, configuration, after=len(self.reports))
        self._count(trial)
        self._write(trial)

    def note(self, trial: str, facts: TrialFacts) -> None:
        """Record what a worker told of a trial; what it does not know stays as it was."""
        self._set(trial, **facts.known())

    def give_gpus(self, trial: str, gpus: float, outgrown: int | None = None) -> None:
        """Record that a trial has more of a GPU than the search asked for.

        `outgrown` is the last epoch before it ran out of its share, if it did.
        """
        known = self.trials[trial].outgrown
        self._set(trial, gpus=gpus, outgrown=known if outgrown is None else outgrown)

    def report(self, report: Report) -> bool:
        """Append one epoch; False, and nothing is written, where it is already recorded."""
        if report.epoch <= self.last_epoch(report.trial):
            return False
        plain = json.dumps(report.to_plain(), allow_nan=False)
        self.guarded(lambda: self._history.append(plain))
        self.reports.append(report)
        self._last_epoch[report.trial] = report.epoch
        return True

    def decide(self, decision: Decision) -> bool:
        """Append a decision; False, and nothing is written, where it is recorded or no news.

        A resume, and a trial whose worker was lost, come to the same decisions once more.
        """
        if not decision.is_recorded or _key(decision) in self._known:
            return False
        self.guarded(lambda: self._decided.append(as_line(decision)))
        self.decisions.append(decision)
        self._known.add(_key(decision))
        return True

    def change(self, trial: str, epoch: int, source: str, requested: Requested) -> None:
        """Record that a trial goes on after `epoch` with `source`'s weights, under other values."""
        record = self.trials[trial]
        past = {"epoch": epoch, "from": source, "before": record.hyperparameters}
        plain = as_plain(requested, self.trials[source].asked_by_build)
        self._set(trial, requested=plain, changes=[*record.changes, past])

    def end(
        self,
        trial: str,
        status: Status,
        error: str | None = None,
        traceback: str | None = None,
        fault: str | None = None,
        facts: TrialFacts | None = None,
    ) -> None:
        """Record that a trial is over, and `facts` of it, at once."""
        # Where a trial is recorded as over, its reports and the decisions on it are on the disk.
        self.guarded(self._history.sync)
        self.guarded(self._decided.sync)
        epochs = self.last_epoch(trial)
        self._set(
            trial,
            status=status,
            error=error,
            traceback=traceback,
            fault=fault,
            ended=time.time(),
            epochs=epochs,
            **(facts.known() if facts is not None else {}),
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
                self._set(trial, status="running", ended=None)

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

    def _set(self, trial: str, **values: Any) -> None:
        record = self.trials[trial]
        if any(getattr(record, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(record, name, value)
            if "status" in values:
                self._count(trial)
            self._write(trial)

    def _write(self, trial: str) -> None:
        record = self.trials[trial].to_plain()
        self.guarded(
            lambda: write_checksummed(self.layout, self.layout.trial_record(trial), record)
        )

    def guarded(self, write: Callable[[], None]) -> None:
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

    def _forget_unknown(self) -> None:
        """Leave out what is said of trials that come after the last one that is recorded.

        A process that was killed may have mirrored that before the trials' records: the trials are
        decided on anew.
        """
        last = max(map(sort_key, self.trials), default=(0, ""))
        reports = [report for report in self.reports if sort_key(report.trial) <= last]
        if len(reports) < len(self.reports):
            self.reports = reports
            self._write_anew(self.layout.history, (json.dumps(r.to_plain()) for r in reports))
        decisions = [decision for decision in self.decisions if sort_key(decision.trial) <= last]
        if len(decisions) < len(self.decisions):
            self.decisions = decisions
            self._write_anew(self.layout.decisions, map(as_line, decisions))

    def _write_anew(self, path: Path, plain: Iterable[str]) -> None:
        for place in (path, self.layout.copy(path)):
            place.unlink(missing_ok=True)
        with contextlib.closing(Lines(self.layout, path, 0)) as lines:
            for line in plain:
                lines.append(line)


def _key(decision: Decision) -> tuple[Any, ...]:
    """What makes two decisions the same, whatever else came to the rung meanwhile."""
    return decision.trial, decision.epoch, decision.verdict, decision.rung


def take_lock(layout: Layout) -> IO[str]:
    """Have a run for this process alone, until the file is closed or the process ends.

    Raises:
        RequestError: another process has it.
    """
    try:
        lock = layout.lock.open("a")
    except OSError as error:
        raise RequestError(
            f"{layout.lock} must be a file that can be locked: {error.strerror}."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise RequestError(
            f"A run directory must belong to one process; {layout.root} is in use by another."
        ) from error
    return lock
