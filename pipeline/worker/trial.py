"""One trial: build the model, fit it, report each epoch, keep the best, go on from where it was.

`train` knows nothing of where it runs; it talks to the `Session` that it is handed.
"""

import math
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.data import Dataset
from pipeline.errors import RequestError
from pipeline.space.hyperparameters import HyperParameters, filling
from pipeline.space.specs import Hyperparameter, Value
from pipeline.worker.checkpoints import Best, Checkpoints
from pipeline.worker.execution import Reporter, execution
from pipeline.worker.faults import Diverged, Failure, classify
from pipeline.worker.modules import SearchSpace
from pipeline.worker.session import Epoch, Job, Session, Stopped


@dataclass(frozen=True)
class Ending:
    """How `train` ended by itself: `failure` is None where `fit` came to its end."""

    failure: Failure | None = None


def train(job: Job, space: SearchSpace, data: Dataset, session: Session, *, unwrapped: bool = False) -> Ending:
    """Carry out a trial to its end.

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
    """
    try:
        keras.utils.clear_session(free_memory=True)
        seed = trial_seed(job.seed, job.trial)
        keras.utils.set_random_seed(seed)
        hp = hyperparameters(job, seed)
        model = build(space, hp, data)
        checkpoints = Checkpoints(job.directory)
        progress = _Progress(job, hp, checkpoints, session)
        state = checkpoints.restore(_built(model, data)) if checkpoints.last.exists() else None
        if state is not None:
            progress.restore(state)
        if progress.epoch < job.max_epochs and not progress.ended:
            fit = space.fit or plain_fit
            with execution(model, seed, progress):
                fit(
                    hp, model, data.x_train, data.y_train,
                    validation_data=(data.x_val, data.y_val), callbacks=[progress],
                    initial_epoch=progress.epoch, epochs=job.max_epochs, verbose=0,
                )  # fmt: skip
        if progress.epoch == 0:
            raise RequestError("`fit` must call model.fit and pass its callbacks on; no epoch was reported.")
        if progress.saved_epoch < progress.epoch:
            progress.save()
        return Ending()
    except Exception as error:
        if unwrapped:
            raise
        return Ending(classify(error))


def trial_seed(seed: int, trial: str) -> int:
    """The seed of a trial's Keras: of weights, data order and dropout."""
    return int(np.random.SeedSequence([seed, zlib.crc32(trial.encode())]).generate_state(1)[0])


def hyperparameters(job: Job, seed: int) -> HyperParameters:
    """The `hp` of a trial: the proposal, and draws of its own for what nobody has met yet."""

    def draw(spec: Hyperparameter) -> Value:
        return spec.random(np.random.default_rng([seed, zlib.crc32(spec.name.encode())]))

    return HyperParameters(job.configuration, filling(job.fill, draw))


def build(space: SearchSpace, hp: HyperParameters, data: Dataset) -> Any:
    """Build a compiled model.

    Raises:
        RequestError: what `build` returns is no compiled Keras model.
    """
    model = space.build(hp, data)
    where = f"`build` of search space {space.name!r}"
    if not isinstance(model, keras.Model):
        raise RequestError(f"{where} must return a keras.Model; it returned {type(model).__name__}.")
    if not model.compiled:
        raise RequestError(f"{where} must return a compiled model; call model.compile(…) in it.")
    return model


def plain_fit(hp: HyperParameters, model: Any, *args: Any, **kwargs: Any) -> Any:
    """The `fit` of a search space that has none."""
    return model.fit(*args, **kwargs)


def _built(model: Any, data: Dataset) -> Any:
    """A subclassed model has no weights to restore before it was called."""
    if not model.built:
        model(data.x_train[:1])
    return model


def numbers(logs: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics as they go into the records: None if not finite.

    What is no single number, such as an F1Score of each class, can be neither compared nor drawn, and is left out.
    """
    single = {name: float(value) for name, value in logs.items() if np.size(value) == 1}
    return {name: number if math.isfinite(number) else None for name, number in single.items()}


class _Progress(Reporter):
    """Reports each epoch, keeps the best weights, writes checkpoints; counts epochs over several calls of `fit`."""

    def __init__(self, job: Job, hp: HyperParameters, checkpoints: Checkpoints, session: Session) -> None:
        super().__init__()
        self.job, self.hp, self.checkpoints, self.session = job, hp, checkpoints, session
        self.built = len(hp.requested)
        self.epoch = 0
        self.saved_epoch = 0
        self.ended = False  # a callback, such as EarlyStopping, had ended training when the state was saved
        self.best: Best | None = None
        self.others: list[Any] = []
        self._pending: list[dict[str, Any]] = []
        self._started = 0.0

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.epoch = self.saved_epoch = state["epoch"]
        self.ended = state["ended"]
        self._pending = state["callbacks"]
        best = self.checkpoints.best_state()
        if best is not None:
            self.best = Best(best["epoch"], best["objective"], [], saved=True)

    def save(self) -> None:
        """Write both checkpoints as things now stand."""
        callbacks = [{"class": type(c).__name__, "state": _plain_state(c)} for c in self.others]
        state = {"epoch": self.epoch, "ended": bool(self.model.stop_training), "callbacks": callbacks}
        self.checkpoints.save(self.model, state, self.best)
        self.saved_epoch = self.epoch

    def before_epoch(self, epoch: int) -> None:
        """Give the other callbacks their state back: their `on_train_begin`, which resets it, has run."""
        self._started = time.monotonic()
        for callback, saved in zip(self.others, self._pending, strict=False):
            if type(callback).__name__ == saved["class"]:
                vars(callback).update(saved["state"])
        self._pending = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch += 1
        metrics = numbers(logs or {})
        name = self.job.objective.name
        if name not in metrics:
            raise RequestError(f"The objective must be among what `fit` reports; got {name!r}. {_possible(metrics)}")
        broken = next((n for n in (name, "loss") if n in metrics and metrics[n] is None), None)
        value = metrics[name] if broken is None else None  # an accuracy of NaN weights is none
        if value is not None and self.job.objective.better(value, self.best.value if self.best else None):
            self.best = Best(self.epoch, value, self.model.get_weights())
        failure = None
        if broken:
            failure = classify(Diverged(f"diverged: {broken} is {float((logs or {})[broken])} in epoch {self.epoch}"))
        seconds = time.monotonic() - self._started
        self.session.report(
            Epoch(self.epoch, value, metrics, seconds, self.hp.requested, self.built), self.save, failure
        )
        if failure:
            raise Stopped
        if self.checkpoints.due():
            self.save()


def _possible(metrics: dict[str, Any]) -> str:
    return f"Possible: {', '.join(sorted(metrics))}."


def _plain_state(callback: Any) -> dict[str, Any]:
    """What a callback remembers, as far as it is plain: patience counted, best seen, cooldown left."""
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
