"""A tuner's own `run_trial`, carried out in the trial's process on our engine.

What it returns is the trial's score. The engine trains nothing of its own beside it, and stops none
early: only `run_trial` knows what an epoch of it is.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.digest import sha256
from pipeline.errors import RequestError
from pipeline.keras_tuner.hypermodel import HyperModelSpace
from pipeline.objective import Objective
from pipeline.space.hyperparameters import HyperParameters


@dataclass(frozen=True)
class RunningTrial:
    """The trial that `run_trial` is handed; `hyperparameters` is the `hp` to ask."""

    trial_id: str
    hyperparameters: HyperParameters
    status: str = "RUNNING"


class RunningOracle:
    """`self.oracle` within `run_trial`: takes what earlier versions of KerasTuner were told so."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.told: dict[str, Any] = {}

    def update_trial(self, trial_id: str, metrics: Mapping[str, Any], step: int = 0) -> str:
        """Take the trial's metrics, as `run_trial` returns them today."""
        self.told |= metrics
        return "RUNNING"


class Running:
    """What a tuner needs while its `run_trial` is called.

    Args:
        space: builds models.
        trial: the one that runs.
        model: the model that the engine built for it.
        reporter: the engine's callback.
        objective: the tuner's.
        executions: trainings of a `run_trial` that is not the user's own.
    """

    def __init__(
        self,
        space: "RunTrialSpace",
        trial: RunningTrial,
        model: Any,
        reporter: Any,
        objective: Objective,
        executions: int,
    ) -> None:
        self.oracle = RunningOracle(objective)
        self.saved: Any = None  # the model that `save_model` was given
        self._space, self._trial, self._reporter = space, trial, reporter
        self._executions, self._objective = executions, objective
        self._built: Any = model  # until it is trained
        self._reported: Any = None  # the history of its training, whose epochs the engine knows

    def train(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """What KerasTuner's `run_trial` does: build and fit, as often as executions are asked for.

        Returns:
            What each `fit` returned.
        """
        given = kwargs.pop("callbacks", None) or []
        callbacks = list(given) if isinstance(given, list | tuple) else [given]
        histories = []
        for _ in range(self._executions):
            model, ours = self._built, [self._reporter]
            if model is None:
                model, ours = self._space.build(self._trial.hyperparameters), []
            first, self._built = self._built is not None, None
            named = kwargs | {"callbacks": [*copy.deepcopy(callbacks), *ours]}
            history = self._space.trained(self._trial.hyperparameters, model, args, named)
            if first:
                self._reported = history
            histories.append(history)
        return histories

    def result(self, returned: Any) -> Any:
        """What the engine takes: the history of the epochs that it saw, or metrics.

        Raises:
            RequestError: `run_trial` returned nothing of what it may.
        """
        from pipeline.worker.training.metrics import as_metrics

        told = self.oracle.told if returned is None else returned
        alone = told[0] if isinstance(told, list) and len(told) == 1 else told
        if self.saved is None and alone is self._reported and hasattr(alone, "history"):
            return alone
        metrics = as_metrics(_without_histories(told, self._objective), self._objective.name)
        if not metrics:
            raise RequestError(
                "run_trial must return the objective, a dictionary of metrics, a History, or a "
                f"list of these; it returned {_named(returned)}."
            )
        return metrics | ({} if self.saved is None else {"model": self.saved})


def _without_histories(returned: Any, objective: Objective) -> Any:
    """What was returned, with the metrics of its best epoch in the place of each History."""
    if isinstance(returned, list):
        return [_without_histories(part, objective) for part in returned]
    logs = getattr(returned, "history", None)
    if not isinstance(logs, dict):
        return returned
    epochs = [dict(zip(logs, values, strict=True)) for values in zip(*logs.values(), strict=False)]
    scored = [epoch for epoch in epochs if objective.name in epoch]
    best = min(scored, key=lambda epoch: objective.loss(epoch[objective.name]), default=None)
    return best or {}


def _named(returned: Any) -> str:
    return "None" if returned is None else f"a {type(returned).__name__}"


@dataclass
class RunTrialSpace(HyperModelSpace):
    """A tuner with a `run_trial` of its own as a search space."""

    tuner: Any = None
    executions: int = 1

    @property
    def own(self) -> dict[str, Any]:
        """What the user's class has set in the tuner."""
        ours = ("hypermodel", "objective")
        held = vars(self.tuner).items()
        return {name: value for name, value in held if name[0] != "_" and name not in ours}

    @property
    def original(self) -> Any:
        """What the user gave: it names the search space."""
        return type(self.tuner) if self.hypermodel is None else super().original

    @property
    def parts(self) -> list[Any]:
        """All that may be the user's own code."""
        return [*super().parts, self.tuner, *self.own.values()]

    @property
    def distinctive(self) -> Any:
        """All that tells this search space from another."""
        return (super().distinctive, sha256(type(self.tuner).run_trial), self.own)

    def build(self, hp: HyperParameters, data: Any = None) -> Any:
        """The hypermodel's model; where that is none of Keras's, one without weights."""
        import keras

        model = None if self.hypermodel is None else super().build(hp, data)
        if isinstance(model, keras.Model):
            return model
        nothing = keras.Input((1,))
        return keras.Model(nothing, nothing)

    def fit(self, hp: HyperParameters, model: Any, *data: Any, **kwargs: Any) -> Any:
        """Call the tuner's `run_trial` with what `search` was given."""
        *_, reporter = kwargs.pop("callbacks")
        positional, named = self.arguments(data, kwargs)
        if self.callbacks:
            named["callbacks"] = self.own_callbacks(hp, [reporter])
        trial = RunningTrial(reporter.trial, hp)
        running = Running(self, trial, model, reporter, self.tuner.objective, self.executions)
        tuner = copy.copy(self.tuner)
        tuner.running = running
        return running.result(tuner.run_trial(trial, *positional, **named))


class TrialRunner:
    """What a tuner with a `run_trial` of its own finds in itself, in the trial's process."""

    running: Running | None = None

    @property
    def project_dir(self) -> str:
        """The run's directory."""
        raise NotImplementedError

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Build and train the trial's model; a tuner of your own may call it with other arguments.

        Args:
            trial: `trial.hyperparameters` is the `hp` to ask, `trial.trial_id` its name.
            args: what `search` was given, by position.
            kwargs: by name.

        Returns:
            The histories of its executions. One of your own may return the objective, a dictionary
            of metrics, a History, or a list of these: their mean is the trial's score.
        """
        return self._in_a_trial("run_trial").train(args, kwargs)

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Hand a trial's model over, in a `run_trial` that trains models of its own."""
        self._in_a_trial("save_model").saved = model

    def get_trial_dir(self, trial_id: str) -> str:
        """A folder that a trial may write to, which is made where it is not there."""
        folder = Path(self.project_dir) / "trials" / (trial_id or "check")
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _in_a_trial(self, name: str) -> Running:
        if self.running is None:
            raise RequestError(
                f"{name} must be called within a trial, by run_trial; search carries trials out."
            )
        return self.running

    def __getstate__(self) -> dict[str, Any]:
        """Without data and search space, which travel by themselves."""
        return {k: v for k, v in vars(self).items() if k not in ("_data", "_space")}
