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
        what = "has no experiment.yaml" if os.path.isdir(layout.root) else "does not exist"
        root = one_line(str(layout.root))
        raise RequestError(
            f"A run must be a directory with an experiment.yaml; {root} {what}."
        ) from None
    except ValueError as error:
        raise damaged(layout.experiment, "the run's settings", error) from error


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
