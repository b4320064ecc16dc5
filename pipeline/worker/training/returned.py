"""What a `fit` reports, returns and hands back: the numbers of the records, and whose they are."""

import math
import zlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from pipeline.errors import RequestError
from pipeline.worker.faults import ObjectiveMissing

MOST_CLASSES = 100  # whose values are recorded one by one
MODEL = "model"  # under which a `fit` hands a model back, beside its metrics

# Why a score cannot be compared with what the model gives on the validation split.
RETURNED = "the score is what `fit` returned, and no epoch's"
OTHERS = "`fit` trains other models than the one that it is given"
LOOP = "`fit` trains in a loop of its own"
OF_TRAINING = "a training metric is a mean over an epoch in which the weights change"
DRAWN = "the validation data are drawn anew each time"
# Why there is no model at all.
NOT_HANDED_BACK = (
    "`fit` trained other models than the one that it was given, and handed none back. To have one "
    f"saved, return it with the metrics, as {{..., {MODEL!r}: model}}"
)


def handed_back(returned: Any) -> Any:
    """The model among what `fit` returned; None where there is none."""
    found = returned.get(MODEL) if isinstance(returned, Mapping) else None
    return found if isinstance(found, keras.Model) else None


def build_like(model: Any, other: Any) -> None:
    """Build a model that has no weights yet, for the inputs that a copy of it was built for."""
    if not model.built and other.built and (shapes := other.get_build_config()):
        model.build_from_config(shapes)


def without_score(objective: str) -> RequestError:
    """The error of a `fit` that hands a model back alone."""
    return RequestError(
        "A model that `fit` hands back must come with its score, as "
        f"{{{objective!r}: …, {MODEL!r}: model}}; it came without {objective!r}."
    )


def same_weights(one: Any, other: Any) -> bool:
    """Whether two models have weights of the same shapes in the same order."""
    return [tuple(w.shape) for w in one.weights] == [tuple(w.shape) for w in other.weights]


def check_same_weights(handed: Any, made: Any) -> None:
    """Refuse a model that is no copy of the one that `build` made.

    Raises:
        RequestError: its weights have other shapes.
    """
    if not same_weights(handed, made):
        shapes = [[tuple(w.shape) for w in model.weights] for model in (handed, made)]
        raise RequestError(
            "The model that `fit` hands back must have the weights of the one that `build` makes; "
            f"it has {_few(shapes[0])}, and that has {_few(shapes[1])}."
        )


def _few(shapes: list[tuple[int, ...]], most: int = 4) -> str:
    shown = ", ".join(map(str, shapes[:most])) or "none"
    return shown + (f" and {len(shapes) - most} more" if len(shapes) > most else "")


def fingerprint(model: Any) -> int:
    """A number that changes when weights do."""
    found = 0
    for weight in model.weights:
        found = zlib.crc32(
            np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes(), found
        )
    return found


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
