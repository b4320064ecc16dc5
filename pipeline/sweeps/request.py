"""What a sweep file asks for: its experiments, each checked before the first starts.

name: nightly            # of its directory; else the file's name
storage: runs            # where that is
time_budget: 8h          # of all together
parallel: 1              # experiments at once
defaults:                # settings of every experiment, as in an experiment.yaml
  trials: 40
matrix:                  # each combination is an experiment
  dataset: [mnist, digits]
  search_space: [mlp, cnn]
experiments:             # and so is each of these
  - {dataset: diabetes, objective: val_loss}
"""

import itertools
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.digest import label
from pipeline.engine.cluster.connect import address_of
from pipeline.errors import LISTED, RequestError, all_unknown, one_line, quoted
from pipeline.experiment import Experiment, fitting_search_space
from pipeline.settings_text import seconds_in, settings_in

KEYS = ("name", "storage", "time_budget", "parallel", "defaults", "matrix", "experiments")
DISTINCT = {"defaults", "matrix", "experiments"}  # no experiment has a setting of such a name
OWN = ("name", "storage", "time_budget")  # what the command line gives is meant for the sweep
MOST_EXPERIMENTS = 1000
MOST_AT_ONCE = 64
LONGEST_NAME = 200  # bytes; it is a folder's name, and with an ending a file's


@dataclass(frozen=True)
class Sweep:
    """Experiments by name; `directory` is the sweep's own."""

    name: str
    directory: Path
    experiments: dict[str, Experiment]
    time_budget_s: float | None = None
    parallel: int = 1

    def asked(self) -> dict[str, Any]:
        """All of it as plain data: asked for again, it is the same sweep."""
        return {
            "time_budget_s": self.time_budget_s,
            "parallel": self.parallel,
            "experiments": {
                name: yaml.safe_load(each.to_yaml()) for name, each in self.experiments.items()
            },
        }


def read_sweep(text: str, source: str, given: dict[str, Any]) -> Sweep | None:
    """What a sweep file asks for; None where the file is no sweep.

    Args:
        text: the file's.
        source: the file.
        given: settings of the command line, which go before the file's.

    Raises:
        RequestError: it is not YAML, or something that it asks for cannot be right; the message
            names `source`.
    """
    plain = settings_in(text, source)
    if DISTINCT.isdisjoint(plain):
        return None
    try:
        return _sweep(plain, Path(source).stem, given)
    except RequestError as error:
        raise RequestError(f"{source}: {error}") from error


def _sweep(plain: dict[str, Any], stem: str, given: dict[str, Any]) -> Sweep:
    surplus = [key for key in plain if key not in KEYS]
    if surplus:
        raise RequestError(
            f"{all_unknown('key', surplus, KEYS)} Settings of all experiments belong below "
            "defaults."
        )
    # what is left open is not given
    plain = {key: value for key, value in plain.items() if value is not None}
    name = plain.get("name", re.sub(r"[^\w.-]+", "_", stem).strip("_.-") or "sweep")
    budget = plain.get("time_budget")
    own: dict[str, Any] = {
        "name": name,
        "storage": plain.get("storage", Experiment.model_fields["storage"].default),
        "time_budget_s": None if budget is None else seconds_in("time_budget", _plain(budget)),
    }
    own |= {key: given[key] for key in own.keys() & given.keys()}
    checked = Experiment(dataset="", **own)
    if "://" in checked.storage:
        raise RequestError(f"storage must be a folder, for a sweep; got {quoted(checked.storage)}.")
    parallel = plain.get("parallel", 1)
    if (
        isinstance(parallel, bool)
        or not isinstance(parallel, int)
        or not 0 < parallel <= MOST_AT_ONCE
    ):
        raise RequestError(f"parallel must be from 1 to {MOST_AT_ONCE}; got {quoted(parallel)}.")
    over = {key: value for key, value in given.items() if key not in own}
    experiments = _experiments(plain, over)
    parallel = min(parallel, len(experiments))
    if parallel > 1:
        experiments = {name: _beside(each, parallel) for name, each in experiments.items()}
    _check(experiments, checked.storage)
    directory = Path(os.path.expanduser(checked.storage)).resolve() / str(checked.name)
    return Sweep(str(checked.name), directory, experiments, checked.time_budget_s, parallel)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else quoted(value)


def _experiments(plain: dict[str, Any], over: dict[str, Any]) -> dict[str, Experiment]:
    """Each experiment by its name.

    Raises:
        RequestError: what is wrong with any of them.
    """
    defaults = _mapping("defaults", plain.get("defaults"))
    matrix = {
        key: value if isinstance(value, list) else [value]
        for key, value in _mapping("matrix", plain.get("matrix")).items()
    }
    listed = plain.get("experiments")
    if listed is not None and not isinstance(listed, list):
        raise RequestError(f"experiments must be a list of settings; got {quoted(listed)}.")
    for key, values in matrix.items():
        if not values:
            raise RequestError(f"matrix must have values of each setting; {quoted(key)} has none.")
    count = (math.prod(map(len, matrix.values())) if matrix else 0) + len(listed or ())
    if not 0 < count <= MOST_EXPERIMENTS:
        raise RequestError(
            f"A sweep must have from 1 to {MOST_EXPERIMENTS:,} experiments, below matrix or "
            "experiments; got "
            f"{quoted(count)}."
        )
    asked: list[tuple[str, dict[str, Any]]] = []
    for combined in itertools.product(*matrix.values()) if matrix else ():
        settings = dict(zip(matrix, combined, strict=True))
        asked.append((_name(defaults | settings, settings), settings))
    for number, item in enumerate(listed or (), start=1):
        settings = dict(_mapping(f"experiment {number}", item))
        name = settings.pop("name", None)
        asked.append((_name(defaults | settings, {}) if name is None else name, settings))
    experiments: dict[str, Experiment] = {}
    faults: dict[str, list[str]] = {}  # the same is often wrong with all of them
    for name, settings in asked:
        try:
            known = name if isinstance(name, str) else quoted(name)
            experiment = _experiment(name, defaults | settings | over)
            if name in experiments:
                raise RequestError(
                    "each experiment must have a name of its own; below experiments it may be "
                    "given one (name: …)."
                )
            experiments[name] = experiment
        except RequestError as error:
            faults.setdefault(str(error), []).append(known)
    _refuse(faults)
    return experiments


def _mapping(what: str, given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise RequestError(
            f"{what} must hold settings, one a line (trials: 40); got {quoted(given)}."
        )
    return given


def _name(settings: dict[str, Any], varied: dict[str, Any]) -> str:
    """Dataset, search space and what else varies.

    The same in each sitting, so that it can be compared.
    """
    space = settings.get("search_space") or fitting_search_space(settings)
    parts = [label(settings.get("dataset")), label(space)]
    for key, value in varied.items():
        if key not in ("dataset", "search_space") and value is not None:
            parts.append(value if isinstance(value, str) else f"{key}-{quoted(value)}")
    return re.sub(r"[^\w.-]+", "_", "-".join(parts)).strip("_.-")


def _experiment(name: Any, settings: dict[str, Any]) -> Experiment:
    for key in OWN:
        if key in settings:
            raise RequestError(f"{key} is the sweep's: it must stand at the file's top.")
    experiment = Experiment(**settings)
    if isinstance(name, str) and len(name.encode(errors="replace")) > LONGEST_NAME:
        raise RequestError(
            f"an experiment's name must have at most {LONGEST_NAME} bytes; it may be given one "
            "(name: …)."
        )
    experiment.changed(name=name)  # only to check it
    for kind in ("dataset", "search_space"):
        if not isinstance(getattr(experiment, kind), str):
            raise RequestError(f"{kind} must be a name; got {quoted(getattr(experiment, kind))}.")
    return experiment


def _beside(experiment: Experiment, parallel: int) -> Experiment:
    """An experiment that runs beside others.

    On one machine they divide its CPUs and leave its GPUs, a cluster they share.
    """
    if address_of(experiment) is not None:
        return experiment
    if experiment.gpus_per_trial:
        raise RequestError(
            "parallel must be 1 where trials need GPUs, unless the experiments share a cluster "
            "(ray start --head, and "
            f"address: auto below defaults); got {parallel}."
        )
    return experiment.changed(
        cpus=experiment.cpus or max(1, len(os.sched_getaffinity(0)) // parallel),
        gpus_per_trial=0,  # each would take all GPUs for its own
    )


def _check(experiments: dict[str, Experiment], storage: str) -> None:
    """Check what would be refused when they start."""
    from pipeline.engine.tuning import check

    faults: dict[str, list[str]] = {}
    for name, experiment in experiments.items():
        try:
            check(experiment.changed(storage=storage))
        except RequestError as error:
            faults.setdefault(str(error), []).append(name)
    _refuse(faults)


def _refuse(faults: dict[str, list[str]]) -> None:
    """Say each fault once, and of which experiments."""
    if not faults:
        return
    lines = []
    for fault, names in list(faults.items())[:LISTED]:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        of = one_line(", ".join(names[:3]))
        lines.append(f"{fault if len(faults) == 1 else one_line(fault)} ({of}{more})")
    if len(faults) > LISTED:
        lines.append(f"And {len(faults) - LISTED} more.")
    raise RequestError(" ".join(lines))
