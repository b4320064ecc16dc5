"""The best model's scores on the test split, and what a page can draw them from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import labels_of
from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import Data
from pipeline.errors import one_line
from pipeline.records.layout import Layout
from pipeline.worker.fitting.validation import evaluation_batch
from pipeline.worker.scoring.bootstrap import Scores, scored
from pipeline.worker.scoring.class_scores import ClassScores
from pipeline.worker.scoring.number_scores import NumberScores
from pipeline.worker.scoring.outputs import Unclear, said

MOST_RESIDUALS = 10_000


@dataclass(frozen=True)
class Scored:
    """What `summary.json` says of the scores, and the tables beside the model.

    Args:
        scores: by split and name, each as `Score.plain`.
        no_scores: why there are none; empty where there are.
        confusion: the confusion matrix as CSV: true, predicted, count.
        residuals: of a regression, true and predicted values as CSV.
    """

    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    no_scores: str = ""
    confusion: str | None = None
    residuals: str | None = None

    def plain(self) -> dict[str, Any]:
        """What `summary.json` says of them."""
        return {"scores": self.scores, "no_scores": self.no_scores}

    def tables(self, layout: Layout) -> dict[Path, str]:
        """What is written beside the model."""
        found = {layout.best_confusion: self.confusion, layout.best_residuals: self.residuals}
        return {path: text for path, text in found.items() if text is not None}


NO_MODEL = Scored(no_scores="there is no model")


def task_scores(model: Any, data: Data, batch_size: int, seed: int, unfed: str = "") -> Scored:
    """Score a model on the test split.

    Args:
        model: the saved one.
        data: has the split, and says what is to be predicted.
        batch_size: that it was validated in.
        seed: of the resamples.
        unfed: why only its `fit` can feed it; empty where we can.
    """
    if not isinstance(data, Dataset):
        return Scored(no_scores="there is no test split")
    if unfed:
        return Scored(no_scores=unfed)
    try:
        x, y = data.measured()["test"]
        scores = of_split(model, data, x, y, batch_size)
    except Unclear as error:
        return Scored(no_scores=str(error))
    except Exception as error:  # a search that is done must not be lost on a model that differs
        return Scored(
            no_scores=f"its predict raised {type(error).__name__}: {one_line(str(error))}"
        )
    plain = {name: score.plain() for name, score in scored(scores, seed).items()}
    if isinstance(scores, ClassScores):
        return Scored({"test": plain}, confusion=_confusion(scores, data.class_names))
    return Scored({"test": plain}, residuals=_residuals(scores, seed))


def of_split(model: Any, data: Dataset, x: Any, y: Any, batch_size: int) -> Scores:
    """What a model's predictions are worth.

    Raises:
        Unclear: it cannot be told what they say.
    """
    size = evaluation_batch(model, (x, y), batch_size)
    return of_predictions(data, y, said(model, data, model.predict(x, batch_size=size, verbose=0)))


def of_predictions(data: Dataset, y: Any, predicted: Any) -> Scores:
    """Scores of likelihoods or values; see `outputs.said`.

    Raises:
        Unclear: they are not finite.
    """
    if not np.isfinite(predicted).all():
        raise Unclear("its predictions are not finite")
    if data.task == "regression":
        return NumberScores(y, predicted)
    return ClassScores(labels_of(y), predicted, data.class_names)


def _confusion(scores: ClassScores, names: tuple[str, ...] | None) -> str:
    """A row a pair of classes that was met, and one for each class, be it 0."""
    called = np.arange(scores.classes) if names is None else np.array(names, dtype=object)
    cells = scores.true * scores.classes + scores.predicted
    of_class = np.arange(scores.classes) * (scores.classes + 1)
    found, counts = np.unique(np.concatenate([cells, of_class]), return_counts=True)
    counts = counts - np.isin(found, of_class)
    table = {
        "true": called[found // scores.classes],
        "predicted": called[found % scores.classes],
        "count": counts,
    }
    return pd.DataFrame(table).to_csv(index=False)


def _residuals(scores: NumberScores, seed: int) -> str:
    """A row an example, in the split's order; of many examples some, drawn at random."""
    rows = np.arange(scores.examples)
    if len(rows) > MOST_RESIDUALS:
        drawn = np.random.default_rng(seed).choice(len(rows), MOST_RESIDUALS, replace=False)
        rows = np.sort(drawn)
    targets = scores.true.shape[1]
    table: dict[str, Any] = {"example": rows}
    for k in range(targets):
        suffix = f"_{k}" if targets > 1 else ""
        table[f"true{suffix}"] = scores.true[rows, k]
        table[f"predicted{suffix}"] = scores.predicted[rows, k]
    return pd.DataFrame(table).to_csv(index=False)
