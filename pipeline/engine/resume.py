"""Whether an earlier run can be gone on with, as what, and how much of its budget is left."""

import json
from pathlib import Path
from typing import Any

import yaml

from pipeline import names
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.records.layout import Layout
from pipeline.records.ledger import read_experiment, read_history, read_settings, read_trials
from pipeline.records.results import Results

# What a resume may change without making the run another search.
MAY_CHANGE = {
    "trials", "time_budget_s", "cpus_per_trial", "gpus_per_trial", "max_concurrent", "cpus", "gpus", "address",
    "keep_models", "max_consecutive_failed_trials", "max_retries_per_trial",
}  # fmt: skip


def resumed(directory: str | Path, **settings: Any) -> Experiment:
    """The experiment of a run, with the settings that a resume may change.

    Raises:
        RequestError: it is no run, or a setting would make it another search.
    """
    layout = Layout(directory)
    experiment = Experiment.from_yaml(read_experiment(layout), str(layout.experiment))
    given = {name: value for name, value in settings.items() if value is not None}
    given = _lasting(given)
    wrong = sorted(n for n in given.keys() - MAY_CHANGE if given[n] != getattr(experiment, n))
    if wrong:
        possible = ", ".join(sorted(MAY_CHANGE))
        raise RequestError(f"A resumed run keeps its {', '.join(wrong)}. What may change: {possible}.")
    return experiment.changed(**{n: v for n, v in given.items() if n in MAY_CHANGE})


def with_lasting_names(experiment: Experiment) -> Experiment:
    """The same experiment, its files named by absolute paths."""
    named = ("dataset", "search_space", "start_from")
    return experiment.changed(**_lasting({name: getattr(experiment, name) for name in named}))


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    lasting = {n: names.lasting(settings[n]) for n in ("dataset", "search_space") if isinstance(settings.get(n), str)}
    if settings.get("start_from") is not None:
        lasting["start_from"] = str(Path(settings["start_from"]).expanduser().resolve())
    return settings | lasting


def check_same_search(experiment: Experiment, layout: Layout) -> None:
    """Refuse to go on with a run as another search. What was given as an object is compared by its fingerprint."""
    recorded = read_settings(layout)
    asked = yaml.safe_load(with_lasting_names(experiment).to_yaml())
    defaults = {n: field.default for n, field in Experiment.model_fields.items()}
    wrong = sorted(
        n for n in asked.keys() - MAY_CHANGE - {"name", "storage"} if asked[n] != recorded.get(n, defaults[n])
    )
    if wrong:
        raise RequestError(
            f"A resumed run keeps its {', '.join(wrong)}; {layout.experiment} has other values. "
            f"What may change: {', '.join(sorted(MAY_CHANGE))}."
        )


def is_complete(experiment: Experiment, layout: Layout) -> bool:
    """Whether a run has done all that is asked for, so that there is nothing to go on with."""
    if not layout.summary.is_file():
        return False
    summary = Results(layout.root).summary
    enough = summary["trials"]["total"] >= experiment.trials or summary["exhausted"]
    return bool(enough and not summary["trials"]["unfinished"])


def check_budget_left(experiment: Experiment, layout: Layout) -> None:
    """Refuse to go on with a run whose time budget is spent."""
    spent = earlier_seconds(layout)
    if experiment.time_budget_s is not None and spent >= experiment.time_budget_s:
        raise RequestError(
            f"The time budget counts in total: of {experiment.time_budget_s:g} s this run has spent {spent:.0f} s. "
            "To go on it needs a longer --time-budget."
        )


def earlier_seconds(layout: Layout) -> float:
    """Wall clock that earlier processes spent on this run; of one that was killed, until its last report."""
    if layout.summary.is_file():
        try:
            return float(json.loads(layout.summary.read_text(encoding="utf-8"))["wall_clock_s"])
        except (ValueError, KeyError, TypeError):
            return 0.0
    reports, trials = read_history(layout), read_trials(layout)
    if not reports or not trials:
        return 0.0
    return max(r.time for r in reports) - min(t.started for t in trials.values())
