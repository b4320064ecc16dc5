"""KerasTuner's view of a search, read from the records: `tuner.oracle`, its trials, their metrics.

It is to be looked at: what would change a search raises, and says what does so here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import unknown
from pipeline.objective import Direction, Objective, known_direction
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import COUNTED, Status, TrialRecord
from pipeline.records.outputs.summary import BestEpoch, ranking
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Value


class TrialStatus:
    """What became of a trial."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"  # none is
    INVALID = "INVALID"
    STOPPED = "STOPPED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


STATUS: dict[Status, str] = {
    "running": TrialStatus.RUNNING,
    "finished": TrialStatus.COMPLETED,
    "stopped": TrialStatus.STOPPED,
    "failed": TrialStatus.FAILED,
    "duplicate": TrialStatus.INVALID,
}


@dataclass(frozen=True)
class MetricObservation:
    """A metric in one epoch: `value` is a list of one, `step` the epoch, as KerasTuner has them.

    Steps are counted from 0.
    """

    value: list[float]
    step: int

    def mean(self) -> float:
        """The value; with several executions it is their mean already."""
        return sum(self.value) / len(self.value)


class MetricsTracker:
    """What a trial reported: its metrics by name, each an epoch at a time."""

    def __init__(self, reports: Sequence[Report], objective: Objective) -> None:
        self._reports, self._objective = reports, objective

    @property
    def metrics(self) -> dict[str, list[MetricObservation]]:
        """Every metric's history by its name."""
        return {name: self.get_history(name) for name in self._names()}

    def exists(self, name: str) -> bool:
        """Whether it was reported."""
        return name in self._names()

    def get_history(self, name: str) -> list[MetricObservation]:
        """A metric's finite values, an epoch at a time."""
        self._check(name)
        return [
            MetricObservation([value], report.epoch - 1)
            for report in self._reports
            if (value := report.metrics.get(name)) is not None
        ]

    def get_best_value(self, name: str) -> float | None:
        """A metric's best value; None where none is finite.

        In the objective's direction, or the metric's own; the smallest where that is not known.
        """
        values = [value for seen in self.get_history(name) for value in seen.value]
        return min(values, key=Objective(name, self.get_direction(name)).loss, default=None)

    def get_best_step(self, name: str) -> int | None:
        """The epoch of a metric's best value, counted from 0."""
        best = self.get_best_value(name)
        return next((seen.step for seen in self.get_history(name) if seen.value[0] == best), None)

    def get_direction(self, name: str) -> Direction:
        """The objective's direction, or the metric's own; "min" where that is not known."""
        self._check(name)
        of_search = self._objective.direction if name == self._objective.name else None
        return of_search or known_direction(name) or "min"

    def get_config(self) -> dict[str, Any]:
        """Every metric's direction and history as plain data."""
        return {
            "metrics": {
                name: {
                    "direction": self.get_direction(name),
                    "observations": [vars(seen) for seen in self.get_history(name)],
                }
                for name in self._names()
            }
        }

    def get_last_value(self, name: str) -> float | None:
        """Its last value."""
        history = self.get_history(name)
        return history[-1].value[0] if history else None

    def get_statistics(self, name: str) -> dict[str, float]:
        """Of its values: min, max, mean, median, var and std."""
        import numpy as np

        values = [seen.value[0] for seen in self.get_history(name)]
        made: dict[str, Callable[[Any], Any]] = {
            "min": np.min,
            "max": np.max,
            "mean": np.mean,
            "median": np.median,
            "var": np.var,
            "std": np.std,
        }
        return {statistic: float(make(values)) for statistic, make in made.items() if values}

    def _check(self, name: str) -> None:
        if not self.exists(name):
            raise KeyError(unknown("metric", name, self._names()))

    def _names(self) -> dict[str, None]:
        """Those of all metrics, in the order of their coming."""
        return dict.fromkeys(name for report in self._reports for name in report.metrics)


def print_trial(trial: str, values: Mapping[str, Value], score: float | None) -> None:
    """Print a trial's hyperparameters, and its score if it has one."""
    print(f"Trial {trial} summary\nHyperparameters:")
    print_values(values)
    if score is not None:
        print(f"Score: {score}")


def print_values(values: Mapping[str, Value]) -> None:
    """Print a line for each hyperparameter."""
    for name, value in values.items():
        print(f"{name}: {value}")


@dataclass(frozen=True)
class Trial:
    """A trial as KerasTuner shows one.

    `best_step` is the epoch of its score, counted from 0; it is 0 of a score that `fit` returned.
    """

    trial_id: str
    hyperparameters: HyperParameters
    status: str
    score: float | None
    best_step: int | None
    metrics: MetricsTracker
    message: str | None = None

    def summary(self) -> None:
        """Print what it requested, and its score."""
        print_trial(self.trial_id, self.hyperparameters.values, self.score)
        if self.message is not None:
            print(self.message)

    def display_hyperparameters(self) -> None:
        """Print what it requested."""
        print_values(self.hyperparameters.values)

    def get_state(self) -> dict[str, Any]:
        """The trial as plain data."""
        return {
            "trial_id": self.trial_id,
            "hyperparameters": self.hyperparameters.get_config(),
            "metrics": self.metrics.get_config(),
            "score": self.score,
            "best_step": self.best_step,
            "status": self.status,
            "message": self.message,
        }


def _step(best: BestEpoch) -> int:
    return 0 if best.final else best.epoch - 1


class Oracle:
    """What a search has found out, as far as it is recorded.

    Args:
        objective: the tuner's.
        max_trials: the tuner's.
        read: the run's trials by id, and its reports.
        space: what may be tuned.
        beside: what a trial's values hold beside what it requested, by its id and epochs.
    """

    def __init__(
        self,
        objective: Objective,
        max_trials: int | None,
        read: Callable[[], tuple[dict[str, TrialRecord], list[Report]]],
        space: Callable[[], HyperParameters],
        beside: Callable[[Sequence[str], str, int], dict[str, Value]] = lambda *_: {},
    ) -> None:
        self.objective, self.max_trials = objective, max_trials
        self._read, self._space, self._beside = read, space, beside

    @property
    def trials(self) -> dict[str, Trial]:
        """Every trial by its id, in order."""
        records, reports = self._read()
        best = {found.trial: found for found in ranking(records, reports, self.objective)}
        told: dict[str, list[Report]] = {trial: [] for trial in records}
        for report in reports:
            told[report.trial].append(report)
        return {
            trial: Trial(
                trial,
                HyperParameters.holding(
                    record.asked, self._beside(list(records), trial, len(told[trial]))
                ),
                STATUS[record.status],
                best[trial].objective if trial in best else None,
                _step(best[trial]) if trial in best else None,
                MetricsTracker(told[trial], self.objective),
                record.error,
            )
            for trial, record in records.items()
        }

    def get_trial(self, trial_id: str) -> Trial:
        """One of them.

        Raises:
            KeyError: there is none of this id.
        """
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best trials, the best first."""
        trials = self.trials
        scored = [trial for trial in trials.values() if trial.score is not None]
        return sorted(scored, key=lambda trial: self.objective.loss(trial.score))[:num_trials]

    @property
    def start_order(self) -> list[str]:
        """The ids in the order in which trials were decided on."""
        return list(self._read()[0])

    @property
    def end_order(self) -> list[str]:
        """The ids of those that are over, in the order of their ends."""
        records = self._read()[0]
        ended = {trial: record.ended for trial, record in records.items()}
        return sorted((t for t, at in ended.items() if at is not None), key=lambda t: ended[t] or 0)

    def remaining_trials(self) -> int | None:
        """How many trials are left to be tried; None where all configurations will be."""
        done = sum(record.status in COUNTED for record in self._read()[0].values())
        return None if self.max_trials is None else max(0, self.max_trials - done)

    @property
    def hyperparameters(self) -> HyperParameters:
        """What may be tuned, as far as the default model shows it and trials have asked for it."""
        return self._space()

    def get_space(self) -> HyperParameters:
        """The same."""
        return self._space()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        offered = [each for each in dir(type(self)) if not each.startswith("_")]
        raise AttributeError(
            unknown("part of an oracle here, which is only to be read", name, offered)
        )
