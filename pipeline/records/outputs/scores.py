"""Scores of a task as `summary.json` has them, and what a result is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.objective import Objective, known_direction

# Of each task; the first is what a result is compared by where the objective is none of them.
TASK_SCORES = {
    "classification": ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc"),
    "regression": ("rmse", "mae", "r2"),
}


@dataclass(frozen=True)
class Score:
    """A score, and the interval of 95 % around it.

    `value` is None where it is not defined, `low` and `high` where there is no interval; `reason`
    says why.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """As `summary.json` has it."""
        return {name: value for name, value in asdict(self).items() if name != "reason" or value}

    def __str__(self) -> str:
        if self.value is None:
            return "none"
        within = "" if self.low is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.value:.4g}{within}"


def scores_in_words(plain: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores of a split in one line."""
    parts = ", ".join(f"{name} {Score(**score)}" for name, score in plain.items())
    certain = all(score.get("low") is None for score in plain.values())
    return parts if certain else f"{parts} (95 % intervals)"


def scaled_loss_in_words(divided_by: float) -> str:
    """What a loss is of beside scores in the target's unit: see `summary.json`."""
    return (
        f"of the target divided by {divided_by:.5g}, its standard deviation in the rows that train"
    )


@dataclass(frozen=True)
class Baseline:
    """What the simplest models score, beside the best model.

    Args:
        models: by name ("majority class", "logistic regression"), of each split the scores.
        left_out: why the model that learns is not among them; empty if it is.
        metric: by which they are compared.
        split: on which.
        best_model: what the best model has there; None where that is not known.
        unbeaten: the names of those that the best model is no better than.
    """

    models: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    metric: str
    split: str
    left_out: str = ""
    best_model: float | None = None
    unbeaten: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        models: Mapping[str, Mapping[str, Mapping[str, float | None]]],
        left_out: str,
        objective: Objective,
        best: Mapping[str, Mapping[str, Any]],
    ) -> "Baseline":
        """Compare them with the best model, on the test split where there is one.

        Args:
            models: see the class.
            left_out: likewise.
            objective: decides by what, where it is one of the task's scores.
            best: the best model's scores, by split, each as `Score.plain`.
        """
        first = next(iter(models.values()))
        split = "test" if "test" in first else next(iter(first))
        wanted = objective.name.removeprefix("val_")
        metric = wanted if wanted in first[split] else _first(first[split])
        own = best.get(split, {}).get(metric, {}).get("value")
        better = Objective(metric, known_direction(metric))  # type: ignore[arg-type]
        unbeaten = tuple(
            name
            for name, splits in models.items()
            if own is not None
            and splits[split][metric] is not None
            and not better.better(own, splits[split][metric])
        )
        return cls(models, metric, split, left_out, own, unbeaten)

    def plain(self) -> dict[str, Any]:
        """As `summary.json` has it."""
        return asdict(self) | {"unbeaten": list(self.unbeaten)}

    def __str__(self) -> str:
        """As the closing lines have it."""
        values = ", ".join(f"{name} {self._value(name)}" for name in self.models)
        left_out = f"; {self.left_out}" if self.left_out else ""
        return f"{values} {self.metric} ({self.split}){left_out}"

    def doubt(self) -> str:
        """What must be known of a best model that is no better; empty where it is."""
        if not self.unbeaten:
            return ""
        names = " and the ".join(f"{name} ({self._value(name)})" for name in self.unbeaten)
        return (
            f"The best model does not beat the {names}: its {self.metric} on the {self.split} "
            f"split is {self.best_model:.4g}."
        )

    def _value(self, name: str) -> str:
        value = self.models[name][self.split][self.metric]
        return "none" if value is None else f"{value:.4g}"


def _first(scores: Mapping[str, Any]) -> str:
    return next(name for names in TASK_SCORES.values() for name in names if name in scores)
