"""Which settings of a run a resume may change, and what makes it another search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline import names
from pipeline.data.files.data_file import is_data_file
from pipeline.errors import RequestError
from pipeline.experiment import COMPONENTS, Experiment
from pipeline.records.layout import Layout, named_by_home
from pipeline.records.opening import opened
from pipeline.records.settings import read_experiment
from pipeline.schedulers.scheduler import scheduler_class

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
    "backend",
    "keep_models",
    "max_consecutive_failed_trials",
    "max_retries_per_trial",
    "max_epochs",
    "epoch_timeout_s",
    "track",
}


def resumed(directory: str | Path, **settings: Any) -> Experiment:
    """The experiment of a run, with the settings that a resume may change.

    Raises:
        RequestError: it is no run, or a setting would make it another search.
    """
    layout = opened(directory)
    with named_by_home(layout):
        return changed_settings(read_experiment(layout), layout, settings)


def with_lasting_names(experiment: Experiment) -> Experiment:
    """The same experiment, its files named by absolute paths."""
    named = (*COMPONENTS, "start_from", "test", "target")
    return experiment.changed(**_lasting({name: getattr(experiment, name) for name in named}))


def check_same_search(experiment: Experiment, layout: Layout, recorded: Mapping[str, Any]) -> None:
    """Refuse an experiment that would go on with a run as another search.

    What was given as an object is compared by its fingerprint.

    Raises:
        RequestError: it is not what was `recorded`.
    """
    asked = yaml.safe_load(with_lasting_names(experiment).to_yaml())
    defaults = {n: field.default for n, field in Experiment.model_fields.items()}
    wrong = sorted(
        n
        for n in asked.keys() - MAY_CHANGE - {"name", "storage"}
        if not _same(asked[n], recorded.get(n, defaults[n]))
    )
    _check_epochs(experiment, max_epochs_of(recorded))
    if wrong:
        raise RequestError(
            f"A resumed run keeps its {', '.join(wrong)}; {layout.experiment} has other values. "
            f"What may change: {', '.join(sorted(MAY_CHANGE))}."
        )


def _same(asked: Any, recorded: Any) -> bool:
    """Whether two values are the same; of an object, in what was recorded of it."""
    if isinstance(asked, dict) and isinstance(recorded, dict):
        asked = {name: value for name, value in asked.items() if name in recorded}
    # a default may be a tuple, which YAML writes as a list
    return bool(asked == (list(recorded) if isinstance(recorded, tuple) else recorded))


def changed_settings(text: str, layout: Layout, settings: Mapping[str, Any]) -> Experiment:
    """The experiment in the text of a run's `experiment.yaml`, under new settings.

    Raises:
        RequestError: a setting would make it another search.
    """
    experiment = Experiment.from_yaml(text, str(layout.experiment))
    given = _lasting({name: value for name, value in settings.items() if value is not None})
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


def max_epochs_of(settings: Mapping[str, Any]) -> int:
    """How many epochs a trial may have by a run's settings."""
    return int(settings.get("max_epochs", Experiment.model_fields["max_epochs"].default))


def _lasting(settings: dict[str, Any]) -> dict[str, Any]:
    lasting: dict[str, Any] = {
        n: names.lasting(settings[n])
        for n in COMPONENTS
        if isinstance(settings.get(n), str) and n != "track"  # several, by commas
    }
    dataset = settings.get("dataset")
    if (
        isinstance(dataset, str)
        and is_data_file(dataset)
        and dataset not in names.registered("dataset")
    ):
        lasting["dataset"] = str(names.absolute(dataset))
    for name, endings in (("test", None), ("target", ".npy")):  # else a fraction, a column
        given = settings.get(name)
        if isinstance(given, str) and is_data_file(given) and given.endswith(endings or ""):
            lasting[name] = str(names.absolute(given))
    if isinstance(settings.get("track"), tuple):
        lasting["track"] = tuple(names.lasting(name) for name in settings["track"])
    if settings.get("start_from") is not None:
        lasting["start_from"] = str(names.absolute(settings["start_from"]))
    return settings | lasting
