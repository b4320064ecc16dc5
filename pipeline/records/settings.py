"""A run's settings: `experiment.yaml`."""

import os
from typing import Any

import yaml

from pipeline.errors import RequestError, one_line
from pipeline.records.checksummed import Warned, damaged, read_checksummed, write_checksummed
from pipeline.records.entries.former_names import SETTINGS, renamed
from pipeline.records.layout import Layout


def read_experiment(layout: Layout, warned: Warned | None = None) -> str:
    """The text of `experiment.yaml`.

    `warned` is for the process that writes the run: see `checksummed.read_checksummed`.

    Raises:
        RequestError: the directory is no run, or the file is damaged, and so is its copy.
    """
    try:
        return read_checksummed(layout, layout.experiment, str, warned)
    except FileNotFoundError:
        root = one_line(str(layout.root))
        raise RequestError(
            f"A run must be a directory with an experiment.yaml; {root} {_what_is(layout)}."
        ) from None
    except ValueError as error:
        raise damaged(layout.experiment, "the run's settings", error) from error


def _what_is(layout: Layout) -> str:
    """What is where a run was looked for, as the rest of a sentence."""
    if not os.path.lexists(layout.root):
        return "does not exist"
    if not os.path.isdir(layout.root):
        return "is a file"
    try:
        held = sorted(os.listdir(layout.root))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    runs = [name for name in held if Layout(layout.root / name).experiment.is_file()]
    if not held:
        return "has no experiment.yaml, and nothing else"
    listed = one_line(", ".join(runs or held))
    return f"has no experiment.yaml, but {'the runs ' if runs else ''}{listed}"


def read_settings(layout: Layout) -> dict[str, Any]:
    """The settings of `experiment.yaml` as plain data, objects by their fingerprints.

    Raises:
        RequestError: the directory is no run, or the file holds no settings.
    """
    return settings_of(layout, read_experiment(layout))


def settings_of(layout: Layout, text: str) -> dict[str, Any]:
    """The settings in the text of `experiment.yaml`.

    Raises:
        RequestError: it holds no settings.
    """
    try:
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"{layout.experiment} must be YAML; {' '.join(str(error).split())}"
        ) from error
    if not isinstance(settings, dict):
        raise RequestError(f"{layout.experiment} must hold settings, one a line (dataset: mnist).")
    return renamed(settings, SETTINGS)


def write_experiment(layout: Layout, text: str) -> None:
    """Write `experiment.yaml`."""
    write_checksummed(layout, layout.experiment, text)
