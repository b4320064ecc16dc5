"""Scores of the task as objectives: measured on the validation examples at the end of an epoch.

Only where the model itself reports no metric of that name: each costs a prediction.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from pipeline.data.arrays import labels_of
from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import Data
from pipeline.errors import RequestError
from pipeline.objective import MultiObjective, Objective
from pipeline.records.outputs.scores import TASK_SCORES
from pipeline.worker.backends.batches import can_feed
from pipeline.worker.backends.known import current
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.fitting.validation import evaluation_batch
from pipeline.worker.scoring.outputs import Unclear, is_classifier, said
from pipeline.worker.scoring.task_scores import of_predictions

VALIDATED = "val_"


def wanted(objective: Objective) -> list[str]:
    """The scores of a task that the objective names, without their `val_`."""
    parts = objective.objectives if isinstance(objective, MultiObjective) else (objective,)
    known = {name for names in TASK_SCORES.values() for name in names}
    names = [p.name.removeprefix(VALIDATED) for p in parts if p.name.startswith(VALIDATED)]
    return [name for name in names if name in known]


def add_scores(reporter: Reporter, objective: Objective, data: Data) -> None:
    """Have the scores that are the objective among what an epoch reports to every callback."""
    if names := wanted(objective):
        reporter.first = [ScoresOfEpoch(reporter, names, data)]


class ScoresOfEpoch(keras.callbacks.Callback):
    """The first of the callbacks: what others put in for validation alone is still there.

    And the others find its scores in the logs.
    """

    def __init__(self, reporter: Reporter, names: Sequence[str], data: Data) -> None:
        super().__init__()
        self._reporter, self._names, self._data = reporter, names, data
        self._found: dict[str, float] = {}

    def on_test_end(self, logs: Any = None) -> None:
        """Measure the scores that the model does not report."""
        missing = [name for name in self._names if name not in (logs or {})]
        split = self._reporter.validation
        arrays = isinstance(split, tuple) and isinstance(split[1], np.ndarray)
        if missing and arrays:
            batch_size = self._reporter.evaluated_in
            scores = scores_of(self.model, self._data, split, missing, batch_size)
            self._found = {f"{VALIDATED}{name}": value for name, value in scores.items()}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add them to the logs, which all callbacks share."""
        if logs is not None:
            logs.update(self._found)
        self._found = {}


def scores_of(
    model: Any, data: Data, split: Sequence[Any], names: Sequence[str], batch_size: int
) -> dict[str, float]:
    """Scores of a model on some examples; NaN where one is not defined.

    Those of the other task are left out.

    Args:
        model: compiled.
        data: says what is predicted; of arrays from Python the model's loss does.
        split: inputs and targets, arrays.
        names: of TASK_SCORES.
        batch_size: that it is validated in.

    Raises:
        RequestError: it is not known what the model's outputs say.
    """
    x, y = split[:2]
    try:
        data = data if isinstance(data, Dataset) else _as_the_model_takes_it(model, y)
        names = [name for name in names if name in TASK_SCORES[data.task]]
        if not names:
            return {}
        predicted = said(model, data, _predicted(model, x, y, batch_size))
    except Unclear as error:
        raise RequestError(
            f"{' and '.join(names)} must follow from the model's outputs; {error}."
        ) from error
    if not np.isfinite(predicted).all():
        return dict.fromkeys(names, np.nan)
    scores = of_predictions(data, y, predicted)
    ones = np.ones((1, scores.examples), int)
    return {name: float(value[0]) for name, value in scores(ones, names).items()}


def check_defined(objective: Objective, data: Data) -> None:
    """Refuse an objective that has no value on the validation split, whatever the model.

    Raises:
        RequestError: it ranks classes, and one has no example there.
    """
    if "roc_auc" not in wanted(objective) or not isinstance(data, Dataset) or not data.classes:
        return
    missing = sorted(set(range(data.classes)) - set(labels_of(data.y_val).tolist()))
    if missing:
        names = data.class_names or range(data.classes)
        raise RequestError(
            f"{objective.name} needs examples of each class in the validation split; it has none "
            f"of class {names[missing[0]]}."
        )


def _predicted(model: Any, x: Any, y: Any, batch_size: int) -> Any:
    size, backend = evaluation_batch(model, (x, y), batch_size), current()
    fed = None
    if backend.copies_arrays and isinstance(x, np.ndarray) and can_feed([x]):
        fed = backend.in_order([x], size)
    if fed is not None:
        return model.predict(fed, verbose=0)
    return model.predict(x, batch_size=size, verbose=0)


def _as_the_model_takes_it(model: Any, y: Any) -> Any:
    """What a dataset would say of these targets."""
    known: dict[str, Any] = {"target_shape": y.shape[1:], "class_names": None}
    if not is_classifier(model):
        return SimpleNamespace(task="regression", classes=None, **known)
    units = np.shape(model.outputs[0])[-1] if len(model.outputs or ()) == 1 else 1
    classes = y.shape[1] if y.ndim > 1 and y.shape[1] > 1 else max(2, int(units))
    return SimpleNamespace(task="classification", classes=classes, **known)
