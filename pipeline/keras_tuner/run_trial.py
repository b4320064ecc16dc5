"""A tuner's own `run_trial`, carried out in the trial's process on our engine.

What it returns is the trial's score. The engine trains nothing of its own beside it, and stops none
early: only `run_trial` knows what an epoch of it is.

One idea: a tuner in the trial's process, what it finds there, and what is made of its answer.
"""

import copy
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.digest import sha256
from pipeline.errors import RequestError
from pipeline.keras_tuner.hypermodel import HyperModelSpace
from pipeline.objective import MultiObjective, Objective
from pipeline.records.layout import OWN
from pipeline.space.hyperparameters import HyperParameters
from pipeline.worker.present import trial

# What a tuner holds before a user's class adds to it.
OURS = {
    *("hypermodel", "objective", "searcher", "default_scheduler", "running"),
    *("_space", "_data", "_layout", "_settings", "_executions", "_runs_trials", "_rungs"),
    *("_given", "_directory", "_project_name"),
}

# A tuner's methods that are called in a trial, and the moment of a Keras callback that each is.
HOOKS = {
    "on_epoch_begin": "on_epoch_begin",
    "on_epoch_end": "on_epoch_end",
    "on_batch_begin": "on_train_batch_begin",
    "on_batch_end": "on_train_batch_end",
}


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

    def update_space(self, hyperparameters: HyperParameters) -> None:
        """Nothing is to be done: what a trial asks for is known."""

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
        hooks: the tuner's own methods among HOOKS.
    """

    def __init__(
        self,
        space: "RunTrialSpace",
        trial: RunningTrial,
        model: Any,
        reporter: Any,
        objective: Objective,
        executions: int,
        hooks: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.oracle = RunningOracle(objective)
        self.saved: Any = None  # the model that `save_model` was given
        self._space, self._trial, self._reporter = space, trial, reporter
        self._executions, self._objective = executions, objective
        self._hooks = hooks
        self._ending = ExitStack()
        self._built: Any = model  # until it is trained
        self._reported: Any = None  # the history of its training, whose epochs the engine knows

    @cached_property
    def scratch(self) -> str:
        """A folder that is there until `run_trial` has ended."""
        return self._ending.enter_context(tempfile.TemporaryDirectory())

    def carry_out(self, tuner: Any, positional: list[Any], named: dict[str, Any]) -> Any:
        """Call `run_trial` of the tuner's copy in this trial; what the engine takes of it."""
        tuner.running = self
        with self._ending:
            return self.result(tuner.run_trial(self._trial, *positional, **named))

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
            reporting = [*self._telling(), *self._space.summing(), *ours]
            named = kwargs | {"callbacks": [*copy.deepcopy(callbacks), *reporting]}
            history = self._space.trained(self._trial.hyperparameters, model, args, named)
            if first:
                self._reported = history
            histories.append(history)
        return histories

    def _telling(self) -> list[Any]:
        """A callback that calls the tuner's own methods."""
        if not self._hooks:
            return []
        import keras

        def call(hook: Callable[..., Any]) -> Callable[[int, Any], None]:
            return lambda at, logs: hook(self._trial, telling.model, at, logs=logs)

        moments = {HOOKS[name]: call(hook) for name, hook in self._hooks.items()}
        telling = keras.callbacks.LambdaCallback()
        for moment, told in moments.items():
            setattr(telling, moment, told)
        return [telling]

    def result(self, returned: Any) -> Any:
        """What the engine takes: the history of the epochs that it saw, or metrics.

        Raises:
            RequestError: `run_trial` returned nothing of what it may.
        """
        from pipeline.worker.training.returned import as_metrics

        told = self.oracle.told if returned is None else returned
        alone = told[0] if isinstance(told, list) and len(told) == 1 else told
        if self.saved is None and alone is self._reported and hasattr(alone, "history"):
            return alone
        told = self._space.with_sum(_without_histories(told, self._objective))
        metrics = as_metrics(told, self._objective.name)
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
    if isinstance(objective, MultiObjective):
        epochs = [objective.added(epoch) for epoch in epochs]
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
        return {name: value for name, value in vars(self.tuner).items() if name not in OURS}

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
        return (super().distinctive, sha256(type(self.tuner)), self.own, self.executions)

    def build(self, hp: HyperParameters, data: Any = None) -> Any:
        """The hypermodel's model; where that is none of Keras's, one without weights."""
        import keras

        from pipeline.worker.spaces.blank import without_weights

        model = None if self.hypermodel is None else super().build(hp, data)
        return model if isinstance(model, keras.Model) else without_weights()

    def fit(self, hp: HyperParameters, model: Any, *data: Any, **kwargs: Any) -> Any:
        """Call the tuner's `run_trial` with what `search` was given."""
        *_, reporter = kwargs.pop("callbacks")
        positional, named = self.arguments(data, kwargs)
        if self.callbacks:
            named["callbacks"] = self.own_callbacks(hp, [reporter])
        trial = RunningTrial(reporter.trial, hp)
        tuner = copy.copy(self.tuner)
        hooks = {
            name: getattr(tuner, name)
            for name in HOOKS
            if getattr(type(tuner), name) is not getattr(TrialRunner, name)
        }
        goal = self.tuner.objective
        running = Running(self, trial, model, reporter, goal, self.executions, hooks)
        return running.carry_out(tuner, positional, named)


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

    def on_epoch_begin(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        """Called before each epoch of a trial, in the trial's process; yours may do as it likes."""

    def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
        """Called after each epoch."""

    def on_batch_begin(self, trial: Any, model: Any, batch: int, logs: Any = None) -> None:
        """Called before each batch."""

    def on_batch_end(self, trial: Any, model: Any, batch: int, logs: Any = None) -> None:
        """Called after each batch."""

    def save_model(self, trial_id: str, model: Any, step: int = 0) -> None:
        """Hand a trial's model over, in a `run_trial` that trains models of its own."""
        self._in_a_trial("save_model").saved = model

    def get_trial_dir(self, trial_id: str) -> str:
        """A folder that a trial may write to; in the check before the search, one that is removed.

        After the search, where that is.
        """
        if self.running is None:
            return str(Path(self.project_dir).absolute() / "trials" / trial_id / OWN)
        present = trial()
        folder = None if present is None else present.directory
        return self.running.scratch if folder is None else str(folder)

    def _in_a_trial(self, name: str) -> Running:
        if self.running is None:
            raise RequestError(
                f"{name} must be called within a trial, by run_trial; search carries trials out."
            )
        return self.running

    def __getstate__(self) -> dict[str, Any]:
        """Without data and search space, which travel by themselves."""
        return {k: v for k, v in vars(self).items() if k not in ("_data", "_space")}
