"""Whether an earlier run can be gone on with, as what, and how much of its budget is left."""

import itertools
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from pipeline import names
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.records.checksummed import Warned, clear
from pipeline.records.layout import LAST, SPARE, Layout
from pipeline.records.ledger import Ledger
from pipeline.records.mirror import named_by_home, opened
from pipeline.records.reports import read_history
from pipeline.records.results import Results
from pipeline.records.settings import read_experiment, read_settings
from pipeline.records.trials import ENDED, read_trials
from pipeline.schedulers.scheduler import scheduler_class
from pipeline.worker.training.checkpoints import Checkpoints

# Settings that may name a file.
COMPONENTS = ("dataset", "search_space", "searcher", "scheduler")
# What a resume may change without making the run another search.
MAY_CHANGE = {
    "trials",
    "time_budget_s",
    "cpus_per_trial",
    "gpus_per_trial",
    "max_concurrent",
    "cpus",
    "gpus",
    "address",
    "keep_models",
    "max_consecutive_failed_trials",
    "max_retries_per_trial",
    "max_epochs",
    "epoch_timeout_s",
    "track",
}
# From the start of a process, or a worker's, to an epoch's beginning.
START_S = 60.0


def resumed(directory: str | Path, **settings: Any) -> Experiment:
    """The experiment of a run, with the settings that a resume may change.

    Raises:
        RequestError: it is no run, or a setting would make it another search.
    """
    layout = opened(directory)
    with named_by_home(layout):
        experiment = Experiment.from_yaml(read_experiment(layout), str(layout.experiment))
    given = {name: value for name, value in settings.items() if value is not None}
    given = _lasting(given)
    wrong = sorted(n for n in given.keys() - MAY_CHANGE if given[n] != getattr(experiment, n))
    if wrong:
        possible = ", ".join(sorted(MAY_CHANGE))
        raise RequestError(
            f"A resumed run keeps its {', '.join(wrong)}. What may change: {possible}."
        )
    changed = experiment.changed(**{n: v for n, v in given.items() if n in MAY_CHANGE})
    _check_epochs(changed, experiment.max_epochs)
    return changed


def _check_epochs(experiment: Experiment, before: int) -> None:
    if experiment.max_epochs < before:
        raise RequestError(
            f"A resumed run may have more epochs, not fewer than {before}; got "
            f"{experiment.max_epochs}."
        )
    bound = scheduler_class(experiment.scheduler).bound_to_epochs
    if experiment.max_epochs > before and bound:
        raise RequestError(
            f"A resumed run of {experiment.scheduler} keeps its max_epochs ({before}); a new one "
            "can learn from it: "
            "--start-from RUN."
        )


def with_lasting_names(experiment: Experiment) -> Experiment:
    """The same experiment, its files named by absolute paths."""
    named = (*COMPONENTS, "track", "start_from")
    return experiment.changed(**_lasting({name: getattr(experiment, name) for name in named}))


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    lasting: dict[str, Any] = {
        n: names.lasting(settings[n]) for n in COMPONENTS if isinstance(settings.get(n), str)
    }
    if isinstance(settings.get("track"), tuple):
        lasting["track"] = tuple(names.lasting(name) for name in settings["track"])
    if settings.get("start_from") is not None:
        lasting["start_from"] = str(names.absolute(settings["start_from"]))
    return settings | lasting


def check_same_search(experiment: Experiment, layout: Layout) -> None:
    """Refuse to go on with a run as another search.

    What was given as an object is compared by its fingerprint.
    """
    recorded = read_settings(layout)
    asked = yaml.safe_load(with_lasting_names(experiment).to_yaml())
    defaults = {n: field.default for n, field in Experiment.model_fields.items()}
    wrong = sorted(
        n
        for n in asked.keys() - MAY_CHANGE - {"name", "storage"}
        if asked[n] != recorded.get(n, defaults[n])
    )
    _check_epochs(experiment, epochs_before(layout))
    if wrong:
        raise RequestError(
            f"A resumed run keeps its {', '.join(wrong)}; {layout.experiment} has other values. "
            f"What may change: {', '.join(sorted(MAY_CHANGE))}."
        )


def epochs_before(layout: Layout) -> int:
    """How many epochs a trial could have when the run was last gone on with."""
    return int(
        read_settings(layout).get("max_epochs", Experiment.model_fields["max_epochs"].default)
    )


def mend(layout: Layout, warned: Warned) -> None:
    """Put right what is damaged of a run's records, as far as there is a good copy.

    `warned` is told.

    Raises:
        RequestError: what is damaged or gone was the only one; or another process has the run.
    """
    ledger = Ledger(layout, warned)
    try:
        _check_none_lost(ledger)
        _leave_checkpoints_ahead(ledger, warned)
        _make_way_for_outputs(layout, warned)
    finally:
        ledger.close()


def _check_none_lost(ledger: Ledger) -> None:
    layout = ledger.layout
    names = [f"t{number:04d}" for number in range(len(ledger.trials))]
    for name in itertools.chain(names, (report.trial for report in ledger.reports)):
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
            report = (checkpoints.last_state() or {}).get("report") or {"epoch": 0}
            if report["epoch"] > ledger.last_epoch(trial):
                checkpoints.remove()
                has = (
                    "has lost reports" if ledger.layout.home is None else "did not get all reports"
                )
                warned(
                    f"{ledger.layout.history} {has} of {trial}; it is trained again from the start."
                )


def _make_way_for_outputs(layout: Layout, warned: Warned) -> None:
    """Name damaged files that the end of a run writes, and let them be written once more."""
    with suppress(RequestError):  # it did not end, or its summary is to be written anew
        for fault in Results(layout.root).faults():
            warned(f"{fault} It is written anew at the end.")
    for path in (layout.trials_table, layout.history_table, layout.best_model):
        clear(layout, path)


def is_complete(experiment: Experiment, layout: Layout) -> bool:
    """Whether a run has done all that is asked for, and what came of it is whole.

    There is nothing to go on with.
    """
    return _is_searched(experiment, layout) and not Results(layout.root).faults()


def _is_searched(experiment: Experiment, layout: Layout) -> bool:
    """Whether there is nothing to train."""
    if experiment.max_epochs > epochs_before(layout):
        return False
    try:
        summary = Results(layout.root).summary
        enough = summary["trials"]["total"] >= experiment.trials or summary["exhausted"]
        if not enough or summary["trials"]["unfinished"]:
            return False
        # A summary may be older than the records: of a run that took more, and was killed.
        ended = all(record.status in ENDED for record in read_trials(layout).values())
        return bool(ended and summary["epochs"] == len(read_history(layout)))
    # it did not end, or its summary is to be written anew
    except (RequestError, KeyError, TypeError):
        return False


def check_budget_left(experiment: Experiment, layout: Layout) -> None:
    """Refuse to go on with a run whose time budget is spent, unless only its end is missing."""
    if experiment.time_budget_s is None or _is_searched(experiment, layout):
        return
    if (spent := earlier_seconds(layout)) >= experiment.time_budget_s:
        raise RequestError(
            f"The time budget counts in total: of {experiment.time_budget_s:g} s this run has "
            f"spent {spent:.0f} s. "
            "To go on it needs a longer --time-budget."
        )


def earlier_seconds(layout: Layout) -> float:
    """Wall clock that earlier processes spent on this run.

    Of those that were killed, until their last report.
    """
    reports = read_history(layout)
    spent, later = 0.0, reports
    with suppress(RequestError, KeyError, TypeError, ValueError):
        summary = Results(layout.root).summary
        spent, later = float(summary["wall_clock_s"]), reports[summary["epochs"] :]
    before: float | None = None
    if later is reports:
        before = min((trial.started for trial in read_trials(layout).values()), default=None)
    for report in later:
        # Between two processes nothing was spent: no more than the epoch itself, and its trial's
        # start.
        passed = report.seconds if before is None else max(report.time - before, 0.0)
        spent += min(passed, report.seconds + START_S)
        before = report.time
    return spent
