"""Names in the files of runs of earlier versions, and what they are called now."""

from collections.abc import Mapping
from typing import Any

SETTINGS = {"execution": "fit_plan"}  # in `experiment.yaml`
TRIAL = {"execution": "fit_plan"}  # in a trial's record
SUMMARY = {"execution": "fit_plans"}  # in `summary.json`


def renamed(plain: Mapping[str, Any], former: Mapping[str, str]) -> dict[str, Any]:
    """What was read, under today's names."""
    return {former.get(name, name): value for name, value in plain.items()}
