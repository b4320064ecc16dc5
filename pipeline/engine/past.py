"""An earlier run that is gone on with: opened once, under one lock, each record read once."""

import functools
import itertools
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

from pipeline.engine.same_search import changed_settings, check_same_search, max_epochs_of
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.records.checksummed import Warned, clear_the_way, file_or_copy_exists
from pipeline.records.entries.reports import Report, read_history
from pipeline.records.entries.trial_ids import id_of
from pipeline.records.entries.trials import ENDED, TrialRecord, read_trials
from pipeline.records.layout import LAST, SPARE, Layout
from pipeline.records.ledger import Ledger, take_lock
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import read_summary
from pipeline.records.settings import read_experiment, settings_of
from pipeline.records.starts import recorded_starts
from pipeline.space.starts import Starts
from pipeline.worker.training.checkpoints import Checkpoints

# From the start of a process, or a worker's, to an epoch's beginning.
BEFORE_AN_EPOCH_S = 60.0


class Past:
    """A run that is gone on with; this process has it until it is closed.

    What was asked for is read first. `read` does the rest, and puts right what is damaged of the
    records, as far as there is a good copy; `warned` is told.

    Raises:
        RequestError: it is no run, or another process has it.
    """

    def __init__(self, layout: Layout, warned: Warned) -> None:
        self.layout, self._warned = layout, warned
        if not file_or_copy_exists(layout, layout.experiment):
            read_experiment(layout)  # which says so: a lock would make a folder of it
        self._held = ExitStack()
        self._lock = self._held.enter_context(take_lock(layout))
        self._starts: Starts | None = None
        self.summary: dict[str, Any] | None = None  # of a run that ended
        self._faults: list[str] = []
        try:
            self._text = read_experiment(layout, warned)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Past":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and let the lock go."""
        self._held.close()

    # What was asked for.

    def experiment(self, **settings: Any) -> Experiment:
        """What the run was asked to do, with the settings that a resume may change.

        Raises:
            RequestError: a setting would make it another search.
        """
        return changed_settings(self._text, self.layout, settings)

    def check_same_search(self, experiment: Experiment) -> None:
        """Refuse to go on with the run as another search.

        Raises:
            RequestError: the experiment is another.
        """
        check_same_search(experiment, self.layout, self._settings)

    @functools.cached_property
    def _settings(self) -> dict[str, Any]:
        return settings_of(self.layout, self._text)

    @property
    def gpus_per_trial(self) -> float:
        """GPUs of a trial as the run was last gone on with; 0 where that was not recorded."""
        return float(self._settings.get("gpus_per_trial") or 0.0)

    @property
    def epochs_before(self) -> int:
        """How many epochs a trial could have when the run was last gone on with."""
        return max_epochs_of(self._settings)

    # What was recorded.

    def read(self) -> None:
        """Read all records but the settings, once, and put right what is damaged.

        Raises:
            RequestError: what is damaged or gone was the only one.
        """
        layout = self.layout
        if file_or_copy_exists(layout, layout.starts):
            self._starts = recorded_starts(layout, self._warned)
        with suppress(FileNotFoundError):  # it did not end
            try:
                self.summary = read_summary(layout, self._warned)
            except ValueError:
                self._warned(
                    f"{layout.summary} is damaged, and so is its copy; it is written anew at the "
                    "end."
                )
        self.ledger = Ledger(layout, self._warned, self._lock)
        self._held.callback(self.ledger.close)
        _check_none_lost(self.ledger)
        _leave_checkpoints_ahead(self.ledger, self._warned)
        self._make_way_for_outputs()

    @property
    def starts(self) -> Starts:
        """What the run was started from.

        Raises:
            RequestError: it is missing.
        """
        return recorded_starts(self.layout) if self._starts is None else self._starts

    def is_complete(self, experiment: Experiment) -> bool:
        """Whether the run has done all that is asked for, and what came of it is whole.

        There is nothing to go on with.
        """
        return self.summary is not None and self._is_searched(experiment) and not self._faults

    def check_budget_left(self, experiment: Experiment) -> None:
        """Refuse to go on where the time budget is spent, unless only the run's end is missing.

        Raises:
            RequestError: it is spent.
        """
        if experiment.time_budget_s is None or self._is_searched(experiment):
            return
        if (spent := self.earlier_seconds()) >= experiment.time_budget_s:
            raise RequestError(
                f"The time budget counts in total: of {experiment.time_budget_s:g} s this run has "
                f"spent {spent:.0f} s. "
                "To go on it needs a longer --time-budget."
            )

    def earlier_seconds(self) -> float:
        """Wall clock that earlier processes spent on the run; see `seconds_spent`."""
        return seconds_spent(self.ledger.reports, self.ledger.trials, self.summary)

    def _is_searched(self, experiment: Experiment) -> bool:
        """Whether there is nothing to train."""
        if self.ledger.unfinished() or experiment.max_epochs > self.epochs_before:
            return False
        summary = self.summary
        if summary is None:  # it was killed at its end, or before
            return self.ledger.counted() >= experiment.trials
        # A summary may be older than the records: of a run that took more, and was killed.
        current = summary["epochs"] == len(self.ledger.reports)
        enough = summary["trials"]["total"] >= experiment.trials or summary.get("exhausted")
        return bool(current and enough and not summary["trials"]["unfinished"])

    def _make_way_for_outputs(self) -> None:
        """Name damaged files that the end of a run writes, and let them be written once more."""
        layout = self.layout
        if self.summary is not None:  # else all of them are to be written anew
            self._faults = Results(layout, self.summary, self._warned).faults()
        for fault in self._faults:
            self._warned(f"{fault} It is written anew at the end.")
        for path in (
            layout.trials_table,
            layout.history_table,
            layout.checksums,
            layout.best_model,
            layout.best_hyperparameters,
            layout.best_metrics,
            layout.best_standardisation,
            layout.best_preprocessing,
            layout.best_card,
            layout.best_server,
        ):
            clear_the_way(layout, path)


def seconds_spent(
    reports: list[Report], trials: Mapping[str, TrialRecord], summary: Mapping[str, Any] | None
) -> float:
    """Wall clock that was spent on a run, by its records.

    Of processes that were killed, until their last report.
    """
    spent, later = 0.0, reports
    with suppress(KeyError, TypeError, ValueError):
        if summary is not None:
            spent, later = float(summary["wall_clock_s"]), reports[summary["epochs"] :]
    before: float | None = None
    if later is reports:
        before = min((trial.started for trial in trials.values()), default=None)
    for report in later:
        # Between two processes nothing was spent: no more than the epoch itself, and its trial's
        # start.
        passed = report.seconds if before is None else max(report.time - before, 0.0)
        spent += min(passed, report.seconds + BEFORE_AN_EPOCH_S)
        before = report.time
    return spent


def earlier_seconds(layout: Layout) -> float:
    """What was spent on a run that is only looked at; see `seconds_spent`."""
    summary = None
    with suppress(FileNotFoundError, ValueError):  # it did not end, or none is to be read
        summary = read_summary(layout)
    return seconds_spent(read_history(layout), read_trials(layout), summary)


def _check_none_lost(ledger: Ledger) -> None:
    layout = ledger.layout
    expected: Iterable[str] = (id_of(number) for number in range(len(ledger.trials)))
    for name in itertools.chain(expected, (report.trial for report in ledger.reports)):
        if name not in ledger.trials:
            raise RequestError(
                f"{layout.trial_record(name)} must hold one trial's record; it is missing."
            )
    for name, record in ledger.trials.items():
        last = ledger.last_epoch(name)
        if record.status in ENDED and record.epochs is not None and last < record.epochs:
            raise RequestError(
                f"{layout.history} must hold each report; of {name} epochs {last + 1} to "
                f"{record.epochs} are missing."
            )


def _leave_checkpoints_ahead(ledger: Ledger, warned: Warned) -> None:
    """Let no trial go on from an epoch that is not recorded.

    From the start it comes to the same again.
    """
    for trial in ledger.unfinished():
        folder = ledger.layout.checkpoints(trial)
        for directory in dict.fromkeys(
            f.parent for name in (LAST, SPARE[LAST]) for f in folder.rglob(name)
        ):
            checkpoints = Checkpoints(directory)
            if said := checkpoints.mend():
                warned(f"{trial}: {said}.")
            state = checkpoints.last_state()
            if state and state.report and state.report.epoch > ledger.last_epoch(trial):
                checkpoints.remove()
                has = (
                    "has lost reports" if ledger.layout.home is None else "did not get all reports"
                )
                warned(
                    f"{ledger.layout.history} {has} of {trial}; it is trained again from the start."
                )
