"""What a `fit` reports or returns, as the numbers that go into the records."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.worker.faults import ObjectiveMissing


def as_metrics(returned: Any, objective: str) -> dict[str, Any]:
    """What a `fit` of one's own may return in place of reporting epochs.

    Its metrics, or the objective alone.
    """
    if isinstance(returned, Mapping):
        return dict(returned)
    # of several trainings, as KerasTuner allows: their mean
    if isinstance(returned, list | tuple) and returned:
        parts = [as_metrics(part, objective) for part in returned]
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        return {name: float(np.mean([part[name] for part in parts])) for name in shared}
    single = returned is not None and not isinstance(returned, str) and np.size(returned) == 1
    return {objective: float(returned)} if single and not hasattr(returned, "history") else {}


def numbers(logs: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics as they go into the records: None if not finite.

    What is no single number, such as an F1Score of each class, can be neither compared nor drawn,
    and is left out.
    """
    single = {name: float(value) for name, value in logs.items() if np.size(value) == 1}
    return {name: number if math.isfinite(number) else None for name, number in single.items()}


def objective_missing(objective: str, metrics: Mapping[str, Any]) -> ObjectiveMissing:
    """The error of a training whose metrics lack the objective."""
    return ObjectiveMissing(
        f"The objective must be among what `fit` reports or returns; got {objective!r}. "
        f"Possible: {', '.join(sorted(metrics))}."
    )
