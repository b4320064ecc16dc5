"""An objective: the name of a metric in Keras's logs and the direction in which it is better."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.errors import LONGEST, RequestError, did_you_mean, quoted

Direction = Literal["min", "max"]

# Keras's own losses and metrics, by the name that `compile` gives them in the logs.
MINIMISED = {
    "loss",
    "mae",
    "mean_absolute_error",
    "mse",
    "mean_squared_error",
    "rmse",
    "root_mean_squared_error",
    "msle",
    "mean_squared_logarithmic_error",
    "mape",
    "mean_absolute_percentage_error",
    "log_cosh",
    "logcosh",
    "binary_crossentropy",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "kl_divergence",
    "kullback_leibler_divergence",
    "poisson",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "huber",
    "false_positives",
    "false_negatives",
}
# Those that are a share of the examples. (Precision and recall are shares of some of them, and
# nobody says how many.)
SHARES = {
    "accuracy",
    "acc",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "top_k_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
}
MAXIMISED = SHARES | {
    "auc",
    "precision",
    "recall",
    "f1_score",
    "fbeta_score",
    "r2_score",
    "cosine_similarity",
    "mean_iou",
    "iou",
    "binary_io_u",
    "one_hot_io_u",
    "one_hot_mean_io_u",
    "precision_at_recall",
    "recall_at_precision",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "true_positives",
    "true_negatives",
    # scikit-learn's, which are ours: see `pipeline.worker.scoring`
    "balanced_accuracy",
    "f1_macro",
    "roc_auc",
    "r2",
}

# Far worse than any real value, yet finite: schedulers and searchers compare and average what they
# get.
WORST = 1e30


def known_direction(name: str) -> Direction | None:
    """In which direction a metric of Keras's is better; None for what is not known."""
    # Keras numbers the metrics of a second model in the same process: auc_1.
    base = re.sub(r"_\d+$", "", name.removeprefix("val_"))
    return "min" if base in MINIMISED else "max" if base in MAXIMISED else None


@dataclass(frozen=True)
class Objective:
    """`name` as in the logs of `fit` (`val_accuracy`), `direction` "min" or "max".

    Raises:
        RequestError: the direction is neither.
    """

    name: str
    direction: Direction = None  # type: ignore[assignment]  # so that its lack is told in a line

    def __post_init__(self) -> None:
        if self.direction not in ("min", "max"):
            came = "none" if self.direction is None else quoted(self.direction)
            raise RequestError(
                f"Objective({quoted(self.name)}, direction) must have the direction 'min' or "
                f"'max'; got {came}."
            )

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """Read `NAME`, `NAME:min` or `NAME:max`.

        Raises:
            RequestError: the direction is neither given nor known.
        """
        name, _, direction = text.strip().partition(":")
        possible = 0 < len(name) <= LONGEST and name.isprintable()
        if not possible or (direction and direction not in ("min", "max")):
            raise RequestError(
                f"An objective must be NAME, NAME:min or NAME:max; got {quoted(text)}."
            )
        if direction:
            return cls(name, "min" if direction == "min" else "max")
        own = known_direction(name)
        if own is not None:
            return cls(name, own)
        prefix = "val_" if name.startswith("val_") else ""
        known = [prefix + metric for metric in MINIMISED | MAXIMISED]
        raise RequestError(
            f"The direction of objective {name!r} is not known; write {name}:min or {name}:max."
            + did_you_mean(name, sorted(known))
        )

    @classmethod
    def of(cls, text: str | None, task: str) -> "Objective":
        """What was asked for, or the task's own.

        Validation loss for regression, else validation accuracy.
        """
        return cls.parse(text or ("val_loss" if task == "regression" else "val_accuracy"))

    def doubts(self, metrics: Iterable[str]) -> list[str]:
        """What a user may not have meant by it: a line each, of no consequence to the search.

        `metrics` are the names of what the default model reports.
        """
        found = []
        known = known_direction(self.name)
        if known is not None and known != self.direction:
            better = "larger" if known == "max" else "smaller"
            found.append(
                f"{self.name} is {self.direction}imised, as was asked; it is better where it is "
                f"{better}"
            )
        validation = f"val_{self.name}"
        if not self.name.startswith("val_") and validation in metrics:
            found.append(
                f"{self.name} is measured in training; {validation} is that of the validation split"
            )
        return found

    def __str__(self) -> str:
        return f"{self.name}:{self.direction}"

    @property
    def worst(self) -> float:
        """The finite value that stands for a trial without one."""
        return WORST if self.direction == "min" else -WORST

    def loss(self, value: float | None) -> float:
        """`value` as something to minimise; the worst where there is none."""
        if value is None or not math.isfinite(value):
            return WORST
        return value if self.direction == "min" else -value

    def better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than`, which may be missing."""
        return than is None or self.loss(value) < self.loss(than)


@dataclass(frozen=True)
class MultiObjective(Objective):
    """Several as one: the sum of their losses, which is minimised under a name of its own."""

    name: str = "multi_objective"
    direction: Direction = "min"
    objectives: tuple[Objective, ...] = ()

    def added(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics, and among them the sum where each part is.

        As in KerasTuner, what is to be maximised counts negatively.
        """
        if any(part.name not in metrics for part in self.objectives):
            return dict(metrics)
        signed = (
            metrics[part.name] if part.direction == "min" else -metrics[part.name]
            for part in self.objectives
        )
        return {**metrics, self.name: sum(signed)}
