"""A training's progress: each epoch reported, the best weights kept, checkpoints written."""

import math
import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.errors import RequestError
from pipeline.records.reports import EpochReport
from pipeline.records.trials import TrialFacts, as_plain
from pipeline.space.configuration import configuration_of
from pipeline.space.hyperparameters import HyperParameters, Requested
from pipeline.worker.faults import Diverged, ObjectiveMissing, classify
from pipeline.worker.fitting.fit import Reporter
from pipeline.worker.session import Job, Session, Stopped, TrialUpdate
from pipeline.worker.training.checkpoints import Best, Checkpoints, State

_NOT_PLAIN = object()


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


class Progress(Reporter):
    """Reports each epoch, keeps the best weights, writes checkpoints.

    Counts epochs over several calls of `fit`.
    """

    def __init__(
        self,
        job: Job,
        hp: HyperParameters,
        checkpoints: Checkpoints,
        session: Session,
        own_fit: bool,
    ) -> None:
        super().__init__()
        self.job, self.hp, self.checkpoints, self.session = job, hp, checkpoints, session
        self._own_fit = own_fit
        self.asked_by_build = len(hp.requested)
        self.configuration = configuration_of(hp.requested)  # what `build` asked for
        self.epoch = 0
        self.saved_epoch = 0
        # when the state was saved a callback, such as EarlyStopping, had ended training, or `fit`
        self.ended = False
        self.best: Best | None = None
        self.others: list[Any] = []
        self._pending: list[dict[str, Any]] = []
        # the logs of each epoch, for a `fit` of one's own
        self._history: list[tuple[int, dict[str, Any]]] = []
        self._earlier: list[tuple[int, dict[str, Any]]] = []  # those of before a restart
        # `fit` did, and what it returned was reported, if there was anything to report
        self._returned = False
        self._started = time.monotonic()
        self._without_objective: dict[str, Any] | None = None
        self._last: EpochReport | None = None  # what was reported last, and the best of it
        self._best: EpochReport | None = None
        self._requested: Requested = []  # when `_facts` were last put together
        self._facts = TrialFacts()
        self.warning = ""  # to be told with the next report
        self._unsaved = False  # storage failed, and this was told
        self.trial, self.repeat = job.trial, job.repeat

    def restore(self, state: State) -> None:
        """Go on from a checkpoint's state."""
        self.epoch = self.saved_epoch = state.epoch
        self.ended = state.ended
        self._pending = state.callbacks
        for name, arrays in state.lists.items():
            place, attribute = name.split(".", 1)
            self._pending[int(place)]["state"][attribute] = arrays
        self._earlier = state.history
        self._history = list(self._earlier)
        self._returned = state.returned
        best = self.checkpoints.best_state()
        if best is not None:
            self.best = Best(best.epoch, best.objective, [], saved=True)
        self._last, self._best = state.report, state.best

    def save(self) -> None:
        """Write both checkpoints as things now stand.

        Where storage fails, those that there are stay.

        Once an epoch: a trial that was saved and paused may get another's weights before its worker
            lets go of it.
        """
        if self.saved_epoch == self.epoch:
            return
        callbacks = [{"class": type(c).__name__, "state": _plain_state(c)} for c in self.others]
        lists = {
            f"{i}.{n}": v
            for i, c in enumerate(self.others)
            for n, v in vars(c).items()
            if _are_arrays(v)
        }
        state = State(
            self.epoch,
            ended=self.ended or bool(getattr(self.model, "stop_training", False)),
            callbacks=callbacks,
            configuration=self.configuration,
            calls=self.calls,
            report=self._last,
            best=self._best,
            history=self._history,
            returned=self._returned,
            lists=lists,
        )
        try:
            self.checkpoints.save(self.model, state, self.best)
        except OSError as error:
            if not self._unsaved:
                fault = error.strerror or error
                self.warning = f"{self.job.directory} could not be written to, trained on: {fault}"
            self._unsaved = True
        else:
            self.saved_epoch = self.epoch

    def stage(self) -> int:
        """Epochs from the last rung to the next."""
        bounds = [0, *self.job.rungs, max(self.job.max_epochs, self.epoch + 1)]
        return next(end - begin for begin, end in pairwise(bounds) if end > self.epoch)

    def before_epoch(self, epoch: int) -> None:
        """Give the other callbacks their state back.

        Their `on_train_begin`, which resets it, has run.
        """
        self._started = time.monotonic()
        for callback, saved in zip(self.others, self._pending, strict=False):
            if type(callback).__name__ == saved["class"]:
                vars(callback).update(saved["state"])
        history: Any = getattr(self.model, "history", None)  # a `fit` may return the best of it
        for earlier, logs in self._earlier * (history is not None):
            history.on_epoch_end(earlier, logs)
        self._pending, self._earlier = [], []

    def returned(self, model: Any, result: Any) -> None:
        """What `fit` returned.

        If that is the objective, it is the trial's, whatever its epochs reported.
        """
        metrics = as_metrics(result, self.job.objective.name)
        self._returned = True
        if self.epoch > 0:
            value = metrics.get(self.job.objective.name)
            if value is not None and not (
                self.best and math.isclose(value, self.best.value, rel_tol=1e-6)
            ):
                self.ended = True  # no epoch comes after it
                self._report(metrics, final=True)
            return
        if self.job.objective.name in metrics:
            self.set_model(model)
            self._report((self._without_objective or {}) | metrics)
        elif self._without_objective is not None:
            raise objective_missing(self.job.objective.name, self._without_objective)
        else:
            raise RequestError(
                "`fit` must call model.fit and pass its callbacks on, or return the objective; no "
                "epoch was reported."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the epoch, or keep its logs until `fit` returns the objective."""
        logs, objective = logs or {}, self.job.objective.name
        if self._own_fit:
            plain = {name: _as_json(value) for name, value in logs.items()}
            self._history.append(
                (epoch, {name: value for name, value in plain.items() if value is not _NOT_PLAIN})
            )
        validated = any(name.startswith("val_") for name in logs) or not objective.startswith(
            "val_"
        )
        if objective in logs:
            self._report(logs)
        elif self.epoch == 0 and self._own_fit:  # it may return it at its end
            self._without_objective = numbers(logs)
        elif self.epoch == 0 or validated:
            raise objective_missing(objective, numbers(logs))
        else:  # trained on, but not validated
            self.epoch += 1

    def _report(self, logs: Any, final: bool = False) -> None:
        """Report an epoch.

        A final one says what the trial is worth, and no weights belong to it.
        """
        metrics, name = numbers(logs), self.job.objective.name
        if name not in metrics:
            raise objective_missing(name, metrics)
        self.epoch += 1
        broken = next((n for n in (name, "loss") if n in metrics and metrics[n] is None), None)
        value = metrics[name] if broken is None else None  # an accuracy of NaN weights is none
        seconds = time.monotonic() - self._started
        self._last = EpochReport(self.epoch, value, metrics, seconds, final)
        better = value is not None and self.job.objective.better(
            value, self.best.value if self.best else None
        )
        if value is not None and better and not final:
            self.best = Best(self.epoch, value, self.model.get_weights())
            self._best = self._last
        failure = None
        if broken:
            failure = classify(
                Diverged(f"diverged: {broken} is {float(logs[broken])} in epoch {self.epoch}")
            )
        warning, self.warning = self.warning, ""
        update = TrialUpdate(self._last, self._known_facts(), warning, failure)
        self.session.report(update, self.save)
        if failure:
            raise Stopped
        if self.checkpoints.due(seconds):
            self.save()
        # of the next epoch, where a loop of one's own does not say when it begins
        self._started = time.monotonic()

    def _known_facts(self) -> TrialFacts:
        """What is known of the trial; the same object until more is."""
        requested, plan = self.hp.requested, str(self.fit_plan or "") or None
        if (requested, plan) != (self._requested, self._facts.fit_plan):
            self._requested = requested
            plain = as_plain(requested, self.asked_by_build) or None
            self._facts = TrialFacts(requested=plain, fit_plan=plan)
        return self._facts


def objective_missing(objective: str, metrics: Mapping[str, Any]) -> ObjectiveMissing:
    """The error of a training whose metrics lack the objective."""
    return ObjectiveMissing(
        f"The objective must be among what `fit` reports or returns; got {objective!r}. "
        f"Possible: {', '.join(sorted(metrics))}."
    )


def _are_arrays(value: Any) -> bool:
    """Whether a callback holds weights: EarlyStopping those that it would restore."""
    arrays = (
        type(value) is list and bool(value) and all(isinstance(part, np.ndarray) for part in value)
    )
    return arrays and all(part.dtype.kind not in "OSUMm" for part in value)


def _plain_state(callback: Any) -> dict[str, Any]:
    """What a callback remembers, as far as it is plain.

    Patience counted, best seen, cooldown left.
    """
    not_state = {"params"}  # of this `fit`
    if hasattr(callback, "monitor_op"):
        not_state.add("min_delta")  # Keras turns its sign when it first compares, and would again
    own = {name: _as_json(value) for name, value in vars(callback).items() if name not in not_state}
    return {name: value for name, value in own.items() if value is not _NOT_PLAIN}


def _as_json(value: Any) -> Any:
    """`value` as JSON keeps it, or `_NOT_PLAIN`."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value) in (bool, int, str, float):
        return value
    if type(value) is list:
        parts = [_as_json(part) for part in value]
        return _NOT_PLAIN if _NOT_PLAIN in parts else parts
    if type(value) is dict and all(type(key) is str for key in value):
        plain = {key: _as_json(part) for key, part in value.items()}
        return _NOT_PLAIN if _NOT_PLAIN in plain.values() else plain
    return _NOT_PLAIN
