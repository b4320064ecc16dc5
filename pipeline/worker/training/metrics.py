"""What a `fit` reports or returns, as the numbers that go into the records."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import RequestError
from pipeline.worker.faults import ObjectiveMissing
from pipeline.worker.training.handed_back import MODEL, handed_back

MOST_CLASSES = 100  # whose values are recorded one by one


def as_metrics(returned: Any, objective: str) -> dict[str, Any]:
    """What a `fit` of one's own may return in place of reporting epochs.

    Its metrics, or the objective alone.
    """
    if isinstance(returned, Mapping):
        handed = handed_back(returned) is not None
        return {name: value for name, value in returned.items() if name != MODEL or not handed}
    # of several trainings, as KerasTuner allows: their mean
    if isinstance(returned, list | tuple) and returned:
        parts = [as_metrics(part, objective) for part in returned]
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        return {name: float(np.mean([part[name] for part in parts])) for name in shared}
    single = returned is not None and not isinstance(returned, str) and np.size(returned) == 1
    return {objective: float(returned)} if single and not hasattr(returned, "history") else {}


def numbers(logs: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics as they go into the records: None if not finite.

    One of shape (1,) is a number. One of several classes, such as an F1Score of each, is as many
    numbers, `f1_score_class_0` and so on, up to MOST_CLASSES; others are left out.
    """
    single: dict[str, float] = {}
    for name, value in logs.items():
        if np.size(value) == 1:
            single[name] = float(np.reshape(value, ()))
        elif np.ndim(value) == 1 and 0 < np.size(value) <= MOST_CLASSES:
            single |= {f"{name}_class_{place}": float(part) for place, part in enumerate(value)}
    return {name: number if math.isfinite(number) else None for name, number in single.items()}


def several_values(objective: str, value: Any) -> RequestError:
    """The error of an objective that has a value for each class."""
    return RequestError(
        f"The objective must be one number; {objective} has {np.size(value)}, one a class. A "
        "metric such as keras.metrics.F1Score makes one number of them by average='macro' (or "
        "'micro', or 'weighted')."
    )


def objective_missing(objective: str, metrics: Mapping[str, Any]) -> ObjectiveMissing:
    """The error of a training whose metrics lack the objective."""
    return ObjectiveMissing(
        f"The objective must be among what `fit` reports or returns; got {objective!r}. "
        f"Possible: {', '.join(sorted(metrics))}."
    )
