"""One trial: build the model, fit it, report each epoch, keep the best, go on from where it was.

`train` knows nothing of where it runs; it talks to the `Session` that it is handed.
"""

import math
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import keras
import numpy as np

from pipeline.errors import RequestError, StorageError
from pipeline.fit_data import Data
from pipeline.search.configuration import configuration_of
from pipeline.space.hyperparameters import HyperParameters, filling
from pipeline.space.specs import Hyperparameter, Value
from pipeline.worker.checkpoints import Best, Checkpoints
from pipeline.worker.execution import Reporter, execution
from pipeline.worker.faults import Diverged, Failure, ObjectiveMissing, classify
from pipeline.worker.modules import SearchSpace
from pipeline.worker.parallel import on_devices
from pipeline.worker.session import Epoch, Job, Session, Stopped


@dataclass(frozen=True)
class Ending:
    """How `train` ended by itself: `failure` is None where `fit` came to its end."""

    failure: Failure | None = None


def train(
    job: Job, space: SearchSpace, data: Data, session: Session, *, unwrapped: bool = False
) -> Ending:
    """Carry out one training to its end.

    Args:
        job: the trial.
        space: the model family.
        data: the train and validation splits are used; the test split is not looked at.
        session: is told every epoch.
        unwrapped: let an exception of user code through, for debugging.

    Returns:
        How it ended.

    Raises:
        Stopped: the session ended it.
        StorageError: its checkpoints cannot be read.
    """
    try:
        if job.execution == 0:  # the others train beside it
            keras.utils.clear_session(free_memory=True)
        seed = training_seed(job)
        set_random_seed(seed)
        with on_devices(job.devices) as building:
            return _train(job, space, data, session, seed, building)
    except StorageError:  # nobody's fault: it is tried again, in another worker
        raise
    except Exception as error:
        if unwrapped:
            raise
        return Ending(classify(error))


def _train(
    job: Job,
    space: SearchSpace,
    data: Data,
    session: Session,
    seed: int,
    building: Callable[[], AbstractContextManager[Any]],
) -> Ending:
    hp = hyperparameters(job)
    with building():
        model = build(space, hp, data)
        checkpoints = Checkpoints(job.directory, twice=job.twice)
        progress = _Progress(job, hp, checkpoints, session, own_fit=space.fit is not None)
        progress.warning = checkpoints.mend()
        state = checkpoints.last_state()
        if state is not None and _can_go_on(state, job, space):
            whole = checkpoints.restore(
                built(model, data, state.get("build")), progress.configuration
            )
            progress.restore(whole or state)
    if not progress.ended and progress.epoch < job.max_epochs:
        fit = space.fit or plain_fit
        arguments, named = data.fit_arguments()
        with execution(
            model, seed, progress, job.plan, building, initial_epoch=progress.epoch, verbose=0
        ):
            returned = fit(
                hp,
                model,
                *arguments,
                **named,
                callbacks=[progress],
                initial_epoch=progress.epoch,
                epochs=job.max_epochs,
                verbose=0,
            )
        progress.returned(model, returned)
    if progress.saved_epoch < progress.epoch:
        progress.save()
    return Ending()


def _can_go_on(state: dict[str, Any], job: Job, space: SearchSpace) -> bool:
    """Whether a trial can go on from this state, or only its `fit` knows how: then it begins anew.

    So it is where `fit` trains in a loop of its own, or in several calls; and where all epochs were
    trained, but what it returns was not reported yet. Weights that may have been another trial's
    are not come to again, so these stay.
    """
    if state.get("calls", 1) != 1:
        return False
    trained = state["ended"] or state["epoch"] >= job.max_epochs
    return space.fit is None or not trained or bool(state.get("returned")) or job.twice


def training_seed(job: Job) -> int:
    """The seed of a training's Keras: of weights, data order and dropout."""
    words = [job.seed, zlib.crc32(job.trial.encode())] + [job.execution] * (job.execution > 0)
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def set_random_seed(seed: int) -> None:
    """Do what Keras's function of this name does, without importing TensorFlow to seed it.

    That takes 3 s and 300 MB a process.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None and keras.backend.backend() != "tensorflow":
        sys.modules["tensorflow"] = None  # type: ignore[assignment]  # an import of it raises ImportError
    try:
        keras.utils.set_random_seed(seed)
    finally:
        if sys.modules.get("tensorflow", keras) is None:
            del sys.modules["tensorflow"]
            # a layer may yet want it, and Keras remembers
            keras.src.utils.module_utils.tensorflow._available = None
    if tensorflow is not None:  # the user's own, perhaps imported after Keras had found none
        tensorflow.random.set_seed(seed)


def hyperparameters(job: Job) -> HyperParameters:
    """The `hp` of a trial: the proposal, and draws of its own for what nobody has met yet.

    Alike in each execution.
    """
    seed = training_seed(replace(job, execution=0))

    def draw(spec: Hyperparameter) -> Value:
        return spec.random(np.random.default_rng([seed, zlib.crc32(spec.name.encode())]))

    return HyperParameters(job.configuration, filling(job.fill, draw))


def build(space: SearchSpace, hp: HyperParameters, data: Data) -> Any:
    """Build a model, compiled unless the search space trains it in a `fit` of its own.

    Raises:
        RequestError: what `build` returns is no such Keras model.
    """
    model = space.build(hp, data)
    where = f"`build` of search space {space.name!r}"
    if not isinstance(model, keras.Model):
        raise RequestError(
            f"{where} must return a keras.Model; it returned {type(model).__name__}."
        )
    if not model.compiled and space.fit is None:
        raise RequestError(f"{where} must return a compiled model; call model.compile(…) in it.")
    return model


def plain_fit(hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
    """The `fit` of a search space that has none."""
    return model.fit(*args, **kwargs)


def built(model: Any, data: Data, shapes: dict[str, Any] | None = None) -> Any:
    """The model with its weights: a subclassed one has none before it was called.

    `shapes` are those that it was built with before, which a `fit` of one's own may have made of
    the data's.
    """
    if not model.built and shapes:
        model.build_from_config(shapes)
    if not model.built:
        model(data.first_inputs())
    return model


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


class _Progress(Reporter):
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
        self.built = len(hp.requested)
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
        self._last: dict[str, Any] | None = None  # what was reported last, and the best of it
        self._best: dict[str, Any] | None = None
        self.warning = ""  # to be told with the next report
        self._unsaved = False  # storage failed, and this was told
        self.trial, self.execution = job.trial, job.execution

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.epoch = self.saved_epoch = state["epoch"]
        self.ended = state["ended"]
        self._pending = state["callbacks"]
        for name, arrays in state.get("lists", {}).items():
            place, attribute = name.split(".", 1)
            self._pending[int(place)]["state"][attribute] = arrays
        self._earlier = state.get("history", [])
        self._history = list(self._earlier)
        self._returned = state.get("returned", False)
        best = self.checkpoints.best_state()
        if best is not None:
            self.best = Best(best["epoch"], best["objective"], [], saved=True)
        self._last, self._best = state.get("report"), state.get("best")

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
        state = {
            "epoch": self.epoch,
            "ended": self.ended or bool(getattr(self.model, "stop_training", False)),
            "callbacks": callbacks,
            "configuration": self.configuration,
            "calls": self.calls,
            "report": self._last,
            "best": self._best,
            "history": self._history,
            "returned": self._returned,
        }
        try:
            self.checkpoints.save(self.model, state, self.best, lists)
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
            raise _missing(self.job.objective.name, self._without_objective)
        else:
            raise RequestError(
                "`fit` must call model.fit and pass its callbacks on, or return the objective; no "
                "epoch was reported."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
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
            raise _missing(objective, numbers(logs))
        else:  # trained on, but not validated
            self.epoch += 1

    def _report(self, logs: Any, final: bool = False) -> None:
        """Report an epoch.

        A final one says what the trial is worth, and no weights belong to it.
        """
        metrics, name = numbers(logs), self.job.objective.name
        if name not in metrics:
            raise _missing(name, metrics)
        self.epoch += 1
        broken = next((n for n in (name, "loss") if n in metrics and metrics[n] is None), None)
        value = metrics[name] if broken is None else None  # an accuracy of NaN weights is none
        self._last = {"epoch": self.epoch, "objective": value, "metrics": metrics}
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
        seconds = time.monotonic() - self._started
        warning, self.warning = self.warning, ""
        self.session.report(
            Epoch(
                self.epoch,
                value,
                metrics,
                seconds,
                self.hp.requested,
                self.built,
                str(self.plan or ""),
                final,
                warning,
            ),
            self.save,
            failure,
        )
        if failure:
            raise Stopped
        if self.checkpoints.due(seconds):
            self.save()
        # of the next epoch, where a loop of one's own does not say when it begins
        self._started = time.monotonic()


def _missing(objective: str, metrics: Mapping[str, Any]) -> ObjectiveMissing:
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


_NOT_PLAIN = object()


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
