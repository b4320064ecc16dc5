"""The end of a search with folds: its models measured again, and the one that is handed back.

The best configuration is trained anew, on training and validation examples together. No validation
score can be compared with that model: what is checked are the models of the folds.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.data.dataset import Dataset
from pipeline.errors import one_line
from pipeline.records.layout import Layout
from pipeline.records.outputs.model_check import ON_A_GPU, ModelCheck
from pipeline.worker.scoring.task_scores import NO_MODEL, task_scores
from pipeline.worker.serving.whole_model import whole_model
from pipeline.worker.session import Job, SearchSpace, Stopped, TrialUpdate
from pipeline.worker.training.best_model import known_data, loss_scale, save_best, write_best
from pipeline.worker.training.checkpoints import BestState, Checkpoints
from pipeline.worker.training.evaluate import (
    FLOAT32,
    NARROW,
    NOT_MEASURED,
    SAME,
    WEIGHTS_LOST,
    come_to,
    measure,
    reloaded,
    tolerance,
    trained,
    validate,
)
from pipeline.worker.training.repeats import directories
from pipeline.worker.training.returned import OF_TRAINING
from pipeline.worker.training.trial import train

Metrics = dict[str, float | None]


def evaluate_folds(
    job: Job,
    space: SearchSpace,
    data: Dataset,
    epoch: int | None,
    layout: Layout,
    recorded: float,
    epochs: int,
) -> dict[str, Any]:
    """Measure the folds' models again, train the best configuration anew, and write `best/`.

    Args:
        job: the best trial, with all that it requested as its configuration.
        space: the model family.
        data: what it was trained on, with its folds.
        epoch: the epoch of the trial's best mean; see `evaluate.evaluate_best`.
        layout: where `best/` is.
        recorded: that mean.
        epochs: how long the model that is handed back is trained.

    Returns:
        As of `evaluate.evaluate_best`. `validation` is the mean over the folds, `folds` has each
        of them, `check` is of these; `test` and `scores` are the test split's of the model that
        was saved. `refit_examples` are how many this learnt from.
    """
    come_to(job, space, data, epoch, recorded)
    folds = _measured_again(job, space, data, recorded)
    whole = data.whole()
    model, state = _trained_anew(job, space, whole, epochs)
    test, path, scored, scale = None, None, NO_MODEL, None
    if not state.no_model:
        scale = loss_scale(model, whole)
        model = whole_model(model, whole)
        path = save_best(model, layout)
        loaded, _ = reloaded(path, model)
        batch_size = state.batch_size or 32
        if loaded.compiled and folds.as_fed:
            test = measure(loaded, whole.measured()["test"], batch_size)
        unfed = "" if test else folds.check.reason
        scored = task_scores(loaded, whole, batch_size, job.seed, unfed)
    sums = write_best(layout, job, epochs, {"validation": None, "test": test}, whole, path, scored)
    return {
        "validation": folds.mean,
        "folds": folds.each,
        "test": test,
        "check": folds.check.plain(),
        "no_model": state.no_model,
        "refit_examples": len(whole.x_train),
        "loss_target_divided_by": scale,
        **scored.plain(),
        "checksums": sums,
        **known_data(data),
    }


@dataclass(frozen=True)
class _MeasuredAgain:
    """What the folds' models give on their validation examples.

    `as_fed` says whether a model's own `fit` feeds it the data as they are.
    """

    each: list[Metrics] | None
    mean: Metrics | None
    check: ModelCheck
    as_fed: bool = True


def _measured_again(job: Job, space: SearchSpace, data: Dataset, recorded: float) -> _MeasuredAgain:
    objective, name = job.objective.name, job.objective.name.removeprefix("val_")
    measured: list[Metrics] = []
    values: list[float] = []
    reason, allowed = "", 0.0

    def checked(value: float | None) -> ModelCheck:
        close = value is not None and math.isclose(value, recorded, rel_tol=NARROW)
        why = reason or (ON_A_GPU if job.on_gpu and close else "")
        return ModelCheck.of(objective, recorded, value, allowed, why, folds=job.folds)

    for repeat, directory in enumerate(directories(job)):
        own = replace(job, repeats=1, repeat=repeat, directory=directory)
        part = data.fold(own.fold)
        model, state = trained(own, space, part)
        values.append(state.objective)
        reason = reason or state.incomparable or state.no_model
        allowed = max(allowed, tolerance(model))
        if not model.compiled:
            reason = "the model is not compiled"
            return _MeasuredAgain(None, None, checked(None), as_fed=False)
        try:
            split, batch_size = (part.x_val, part.y_val), state.batch_size or 32
            measured.append(validate(model, part, split, batch_size, job.objective))
        except Exception as error:
            if space.fit is None:
                raise
            reason = f"only its `fit` can feed it: {one_line(str(error))}"
            return _MeasuredAgain(None, None, checked(None), as_fed=False)
    each = [_mean(measured[fold :: job.folds]) for fold in range(job.folds)]
    mean = _mean(each)
    if not objective.startswith("val_"):
        reason = reason or OF_TRAINING
        return _MeasuredAgain(each, mean, checked(None))
    if name not in mean:
        reason = reason or NOT_MEASURED
        return _MeasuredAgain(each, mean, checked(None))
    again = mean[name]
    check = checked(math.nan if again is None else again)
    kept = math.fsum(values) / len(values)
    if check.result == "different" and not math.isclose(kept, recorded, rel_tol=FLOAT32):
        check = replace(check, reason=WEIGHTS_LOST)
    close = again is not None and math.isclose(again, recorded, rel_tol=SAME, abs_tol=SAME)
    if reason and not close:
        return _MeasuredAgain(None, None, check, as_fed=False)
    return _MeasuredAgain(each, mean, check)


def _mean(metrics: Sequence[Metrics]) -> Metrics:
    """Of each metric; None where it is not finite in one of them."""
    found: Metrics = {}
    for name in metrics[0]:
        values = [one.get(name) for one in metrics]
        finite = [value for value in values if value is not None]
        found[name] = math.fsum(finite) / len(finite) if len(finite) == len(values) else None
    return found


class _KeepsLast:
    """A session that keeps the weights of the last epoch, whatever they are worth."""

    def __init__(self) -> None:
        self.failed = ""

    def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
        """Of `Session`."""
        if update.keep is not None:
            update.keep()
        if update.failure is not None:
            self.failed = update.failure.reason


def _trained_anew(
    job: Job, space: SearchSpace, whole: Dataset, epochs: int
) -> tuple[Any, BestState]:
    """The best configuration trained on all examples; where that fails, its state says so.

    It is validated on what it is trained on, and nobody looks at it: a `fit` of one's own, and
    callbacks, find what they are used to.
    """
    with tempfile.TemporaryDirectory(prefix="kerasweep-refit-") as folder:
        own = replace(
            job,
            directory=Path(folder),
            max_epochs=epochs,
            repeats=1,
            folds=1,
            session_keeps=True,
            rungs=(),
        )
        session = _KeepsLast()
        with suppress(Stopped):
            ending = train(own, space, whole, session)
            session.failed = ending.failure.reason if ending.failure else session.failed
        state = Checkpoints(own.directory).best_state()
        if session.failed or state is None:
            why = one_line(session.failed or "nothing was trained")
            return None, BestState(epochs, math.nan, no_model=f"trained anew, it failed: {why}")
        return trained(own, space, whole)
