"""The best model.

Its weights put back, its test score measured once, saved in Keras's own format.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.data.fit_data import Data, FitData
from pipeline.errors import one_line
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.records.outputs.model_check import ON_A_GPU, ModelCheck
from pipeline.worker.fitting.grouping import SIXTEEN_BITS
from pipeline.worker.fitting.validation import evaluation_batch
from pipeline.worker.scoring.at_epochs import scores_of, wanted
from pipeline.worker.scoring.task_scores import NO_MODEL, task_scores
from pipeline.worker.serving.model_file import load_keras_model
from pipeline.worker.serving.whole_model import whole_model
from pipeline.worker.session import Job, SearchSpace, Stopped, Until
from pipeline.worker.training.best_model import known_data, loss_scale, save_best, write_best
from pipeline.worker.training.checkpoints import BestState, Checkpoints
from pipeline.worker.training.optimizers import optimizer_of
from pipeline.worker.training.repeats import carry_out, directories
from pipeline.worker.training.returned import DRAWN, OF_TRAINING, numbers
from pipeline.worker.training.trial import build, hyperparameters, with_weights

# A metric measured again on the same examples in the same batches: sums are rounded in another
# order where there are other threads.
FLOAT32, NARROW = 1e-5, 1e-2
SAME = 2e-3  # so close a `fit` of one's own feeds the model as it is fed here
NOT_MEASURED = "what is measured of the model has no such metric"
EARLIER = "an earlier version recorded it, and not how it was validated"
WEIGHTS_LOST = "The weights of that epoch were lost; training it again came to another number."


def evaluate_best(
    job: Job,
    space: SearchSpace,
    data: Data,
    epoch: int | None,
    layout: Layout,
    recorded: float | None = None,
) -> dict[str, Any]:
    """Write `best/` and measure the validation and the test split, as far as there are such.

    Args:
        job: the best trial, with all that it requested as its configuration.
        space: the model family.
        data: what it was trained on.
        epoch: the trial's best epoch. A worker that was killed may have left older weights; the
            trial then goes on from its last checkpoint to this epoch. None where the trial's worth
            is no epoch's: what `fit` returned was reported as one after the last.
        layout: where `best/` is.
        recorded: the trial's objective as the records have it, if there is one training a trial;
            else the one that stands with the weights is compared.

    Returns:
        `{"validation": metrics, "test": metrics, "check": check, "no_model": reason}`: None for a
        split that there is not, or where only the search space's own `fit` knows how to measure;
        `check` is a `ModelCheck` of the saved model; the reason is empty where there is one.
        And `scores` and `no_scores`: see `Scored`; `data_sha256` and `takes`: see `known_data`;
        `loss_target_divided_by`: see `loss_scale`.
    """
    come_to(job, space, data, epoch, recorded)
    model, state = trained(job, space, data)
    model = whole_model(model, data)
    metrics: dict[str, Any] = {"validation": None, "test": None}
    if job.repeats > 1 or recorded is None:
        recorded = state.objective
    path, scored = None, NO_MODEL
    if state.no_model:
        check = ModelCheck.of(job.objective.name, recorded, None, 0.0, state.no_model)
    else:
        path = save_best(model, layout)
        loaded, unread = reloaded(path, model)
        found, check = _measured(loaded, unread, space, data, job, state, recorded)
        metrics |= found
        unfed = "" if found else check.reason
        scored = task_scores(loaded, data, state.batch_size or 32, job.seed, unfed)
    sums = write_best(layout, job, state.epoch, metrics, data, path, scored)
    return {
        **metrics,
        "check": check.plain(),
        "no_model": state.no_model,
        "loss_target_divided_by": loss_scale(model, data),
        **scored.plain(),
        "checksums": sums,
        **known_data(data),
    }


def come_to(
    job: Job, space: SearchSpace, data: Data, epoch: int | None, recorded: float | None
) -> None:
    """Have the weights of the trial's best epoch in its checkpoints; see `evaluate_best`.

    A worker that was killed may have left older ones, or none.
    """
    held = [Checkpoints(directory) for directory in directories(job)]
    for checkpoints in held:
        checkpoints.mend()
    states = [checkpoints.best_state() for checkpoints in held]
    kept = [state for state in states if state is not None]
    older = False
    if job.folds > 1 and kept and recorded is not None:
        mean = math.fsum(state.objective for state in kept) / len(kept)
        older = not math.isclose(mean, recorded, rel_tol=FLOAT32)
    elif job.repeats == 1 and epoch is not None and kept:
        older = kept[0].epoch != epoch
    if older or len(kept) < len(states):
        with suppress(Stopped):
            carry_out(job, space, data, Until(epoch or job.max_epochs + 1))


def trained(job: Job, space: SearchSpace, data: Data) -> tuple[Any, BestState]:
    """A trial's model with its best epoch's weights, of its best repeat; and which epoch that is.

    Where the trial has no model, one that is as it was built.
    """
    keras.utils.clear_session(free_memory=True)
    found = [(c, c.best_state()) for c in map(Checkpoints, directories(job))]
    held = [(c, state) for c, state in found if state is not None]
    checkpoints, state = min(held, key=lambda pair: job.objective.loss(pair[1].objective))
    model = build(space, hyperparameters(job), data)
    if state.no_model:
        return model, state
    checkpoints.restore_best(with_weights(model, data, state.build))
    # Keras builds it when it loads a file, and would warn of what the file lacks
    if optimizer_of(model) is not None:
        optimizer_of(model).build(model.trainable_variables)
    return model, state


def _measured(
    loaded: Any,
    unread: str,
    space: SearchSpace,
    data: Data,
    job: Job,
    held: BestState,
    recorded: float,
) -> tuple[dict[str, Any], ModelCheck]:
    """Each split's metrics, and whether the model has the score that was recorded.

    `loaded` and `unread` are of `reloaded`. No metrics where validation shows that the model's
    `fit` prepares data in its own way.
    """
    objective, name = job.objective.name, job.objective.name.removeprefix("val_")
    own_way = held.incomparable or (EARLIER if held.batch_size is None else "")
    drawn = isinstance(data, FitData) and data.validation_is_drawn
    incomparable = own_way or (DRAWN if drawn else "")

    def checked(measured: float | None, reason: str) -> ModelCheck:
        allowed = tolerance(loaded)
        close = measured is not None and math.isclose(measured, recorded, rel_tol=NARROW)
        reason = reason or (ON_A_GPU if job.on_gpu and close else "")
        return ModelCheck.of(objective, recorded, measured, allowed, reason, unread)

    if not loaded.compiled:
        return {}, checked(None, "the model is not compiled")
    try:
        metrics = {
            name: validate(loaded, data, split, held.batch_size or 32, job.objective)
            if name == "validation"
            else measure(loaded, split, held.batch_size or 32)
            for name, split in data.measured().items()
        }
    except Exception as error:
        if space.fit is None:
            raise
        return {}, checked(None, f"only its `fit` can feed it: {one_line(str(error))}")
    if not objective.startswith("val_"):
        return metrics, checked(None, incomparable or OF_TRAINING)
    validation = metrics.get("validation")
    if validation is None:
        return metrics, checked(None, incomparable or "there is no validation split")
    if name not in validation:
        return metrics, checked(None, incomparable or NOT_MEASURED)
    again = validation[name]
    close = again is not None and math.isclose(again, recorded, rel_tol=SAME, abs_tol=SAME)
    check = checked(math.nan if again is None else again, incomparable)
    if check.result == "different" and not math.isclose(held.objective, recorded, rel_tol=FLOAT32):
        check = replace(check, reason=WEIGHTS_LOST)
    return metrics if close or not own_way else {}, check


def tolerance(model: Any) -> float:
    """The largest relative difference between two measurements of one model."""
    computed = {layer.compute_dtype for layer in model._flatten_layers()}
    return NARROW if computed & SIXTEEN_BITS else FLOAT32


def measure(model: Any, split: Sequence[Any], batch_size: int) -> dict[str, float | None]:
    """A split's metrics, measured as its `fit` would in batches of this many examples."""
    x, y, weights = (*split, None, None)[:3]
    given = [part for part in (x, y, weights) if part is not None]
    arrays = all(isinstance(part, np.ndarray) for part in keras.tree.flatten(given))
    # what makes batches has no shape
    cut = all(hasattr(part, "shape") for part in keras.tree.flatten(given))
    size = evaluation_batch(model, given, batch_size) if arrays else batch_size if cut else None
    weighted = {} if weights is None else {"sample_weight": weights}
    return numbers(model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True, **weighted))


def validate(
    model: Any, data: Data, split: Sequence[Any], batch_size: int, objective: Objective
) -> dict[str, float | None]:
    """A validation split's metrics, and the objective where that is a score of the task."""
    metrics = measure(model, split, batch_size)
    missing = [name for name in wanted(objective) if name not in metrics]
    if missing and isinstance(split[1], np.ndarray):
        metrics |= numbers(scores_of(model, data, split, missing, batch_size))
    return metrics


def reloaded(path: Path, model: Any) -> tuple[Any, str]:
    """The model as its file gives it back, else the model itself and why."""
    if path.suffix != ".keras":
        return model, "only its weights could be saved"
    try:
        loaded = load_keras_model(path)
    except Exception:  # a class of the user's own that is not registered
        return model, "its file opens only where your own classes are known"
    if loaded.compiled != model.compiled:
        return model, "its file does not say how it was compiled"
    return loaded, ""
