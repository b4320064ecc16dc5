"""What a search starts from.

Configurations of a file, or the best of an earlier run and all of its results.

It is read once and copied into the new run's directory, so that a resume needs neither.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipeline.errors import RequestError, one_line, quoted
from pipeline.records.checksummed import Warned, read_checksummed, validate, write_checksummed
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import COUNTED, read_trials
from pipeline.records.layout import Layout
from pipeline.records.outputs.results import Results
from pipeline.space.starts import EarlierTrial, Starts


def read_starts(given: str) -> Starts:
    """Read a JSON list of configurations, or a run.

    Raises:
        RequestError: it is neither.
    """
    path = Path(os.path.expanduser(given))
    if os.path.isdir(path):
        return _of_run(path)
    if not os.path.isfile(path):
        raise RequestError(
            f"--start-from must be a JSON file or the directory of a run; {quoted(given)} does not "
            "exist."
        )
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(plain, allow_nan=False)  # Python reads NaN and Infinity, which are no JSON
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(
            f"{given} must be JSON, a list of configurations; {one_line(str(error))}."
        ) from error
    possible = '[{"units": 64, "learning_rate": 0.001}, …]'
    if not isinstance(plain, list) or not plain:
        came = "an empty list" if plain == [] else f"one {type(plain).__name__}"
        raise RequestError(
            f"{given} must hold a list of configurations, such as {possible}; it holds {came}."
        )
    for number, item in enumerate(plain, start=1):
        if not isinstance(item, dict):
            raise RequestError(
                f"{given} must hold a list of configurations, such as {possible}; number {number} "
                f"is {quoted(item)}."
            )
    return Starts(given, plain)


def _of_run(path: Path) -> Starts:
    layout = Layout(path)
    if not layout.experiment.is_file():
        raise RequestError(
            f"--start-from must be a JSON file or the directory of a run; {path} has no "
            "experiment.yaml."
        )
    if not layout.summary.is_file():
        raise RequestError(
            f"A run to start from must have ended; {path} has no summary.json. Go on with it: "
            "--resume."
        )
    results = Results(path)
    if results.best is None:
        raise RequestError(
            f"A run to start from must have a best trial; in {path} no trial reported a finite "
            "objective."
        )
    curves: dict[str, dict[int, float | None]] = {}
    for report in read_history(layout):
        curves.setdefault(report.trial, {})[report.epoch] = report.objective
    trials = [
        EarlierTrial(record.hyperparameters, curves.get(name, {}), record.status == "failed")
        for name, record in read_trials(layout).items()
        if record.status in COUNTED and record.requested is not None
    ]
    return Starts(str(path), [results.best.hyperparameters], results.summary["objective"], trials)


def write_starts(layout: Layout, starts: Starts) -> None:
    """Copy what was read into a run's directory."""
    write_checksummed(layout, layout.starts, asdict(starts))


def recorded_starts(layout: Layout, warned: Warned | None = None) -> Starts:
    """What a run was started from.

    `warned` is for the process that writes the run: see `checksummed.read_checksummed`.

    Raises:
        RequestError: its copy is missing or damaged.
    """
    try:
        plain: dict[str, Any] = read_checksummed(layout, layout.starts, warned=warned)
    except FileNotFoundError:
        what = "it is missing"
    except ValueError as error:
        what = f"it is damaged: {error}"
    else:
        try:
            return validate(TypeAdapter(Starts), plain)
        except ValueError as error:
            what = str(error)
    raise RequestError(
        f"{layout.starts} must hold what the run was started from; {one_line(what)}."
    )
