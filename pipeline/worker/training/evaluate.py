"""The best model.

Its weights put back, its test score measured once, saved in Keras's own format.
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.data.fit_data import Data
from pipeline.records.layout import Layout, persist, write_json
from pipeline.records.outputs.checksums import read_checksums, sum_of, write_checksums
from pipeline.worker.fitting.validation import evaluation_batch
from pipeline.worker.session import Job, SearchSpace, Stopped, Until
from pipeline.worker.training.checkpoints import BestState, Checkpoints, optimizer_of
from pipeline.worker.training.metrics import numbers
from pipeline.worker.training.repeats import carry_out, directories
from pipeline.worker.training.trial import build, hyperparameters, with_weights

# A metric measured again on the same examples: batches of another size round differently.
SAME = 2e-3
# Of classes that stand for Keras's own on one backend.
OF_A_BACKEND = "keras.src.backend."


def evaluate_best(
    job: Job, space: SearchSpace, data: Data, epoch: int | None, layout: Layout
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

    Returns:
        `{"validation": metrics, "test": metrics}`; None for a split that there is not, or where
        only the search space's own `fit` knows how to measure.
    """
    held = [Checkpoints(directory) for directory in directories(job)]
    for checkpoints in held:
        checkpoints.mend()
    states = [checkpoints.best_state() for checkpoints in held]
    older = (
        job.repeats == 1
        and epoch is not None
        and states[0] is not None
        and states[0].epoch != epoch
    )
    if older or not all(states):
        with suppress(Stopped):
            carry_out(job, space, data, Until(epoch or max(job.max_epochs - 1, 1)))
    model, state = trained(job, space, data)
    metrics: dict[str, Any] = {"validation": None, "test": None} | _measured(
        model, space, data, job, state
    )
    saved = persist(layout, layout.best_model, lambda: _save(model, layout.best_model))
    files: dict[Path, Any] = {
        layout.best_hyperparameters: job.configuration,  # `fit` requested some of it
        layout.best_metrics: {"trial": job.trial, "epoch": state.epoch, **metrics},
    }
    standardisation = data.describe()["standardisation"]
    if standardisation:
        files[layout.best_standardisation] = json.loads(json.dumps(standardisation))
    for path, plain in files.items():
        persist(layout, path, partial(write_json, path, plain))
    sums = {path: sum_of(path) for path in (saved, *files)}
    write_checksums(layout, sums, beside=read_checksums(layout))
    return metrics


def trained(job: Job, space: SearchSpace, data: Data) -> tuple[Any, BestState]:
    """A trial's model with its best epoch's weights, of its best repeat.

    And which epoch that is.
    """
    keras.utils.clear_session(free_memory=True)
    found = [(c, c.best_state()) for c in map(Checkpoints, directories(job))]
    held = [(c, state) for c, state in found if state is not None]
    checkpoints, state = min(held, key=lambda pair: job.objective.loss(pair[1].objective))
    model = with_weights(build(space, hyperparameters(job), data), data, state.build)
    checkpoints.restore_best(model)
    # Keras builds it when it loads a file, and would warn of what the file lacks
    if optimizer_of(model) is not None:
        optimizer_of(model).build(model.trainable_variables)
    return model, state


def _measured(
    model: Any, space: SearchSpace, data: Data, job: Job, held: BestState
) -> dict[str, Any]:
    """Each split's metrics.

    None where its validation shows that the model's `fit` prepares data in its own way.
    """
    if not model.compiled:
        return {}
    try:
        metrics = {name: _measure(model, *split) for name, split in data.measured().items()}
    except Exception:
        if space.fit is None:
            raise
        return {}
    name = job.objective.name.removeprefix("val_")
    again = (metrics.get("validation") or {}).get(name)
    if space.fit is None or not job.objective.name.startswith("val_") or again is None:
        return metrics
    return metrics if math.isclose(again, held.objective, rel_tol=SAME, abs_tol=SAME) else {}


def _measure(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None
) -> dict[str, float | None]:
    size = evaluation_batch(x) if isinstance(x, np.ndarray) else None
    weighted = {} if sample_weight is None else {"sample_weight": sample_weight}
    return numbers(model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True, **weighted))


def load_model(path: Path) -> Any:
    """The saved model; nothing in it is executed that Keras does not know (`safe_mode`)."""
    return keras.saving.load_model(path, safe_mode=True)


def _save(model: Any, path: Path) -> Path:
    """Save the model; where it is.

    Of one that Keras cannot describe, such as a subclass without `get_config`, its weights.
    """
    # Keras decides by the ending how to save, so the temporary names keep it.
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{os.getpid()}.keras")
    try:
        with _public_optimizer(model):
            model.save(temporary)
    # a search that is done must not be lost on what classes cannot tell of themselves
    except Exception as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # the storage's
            raise
        path, temporary = path.with_suffix(".weights.h5"), temporary.with_suffix(".weights.h5")
        model.save_weights(temporary)
    os.replace(temporary, path)
    return path


@contextmanager
def _public_optimizer(model: Any) -> Iterator[None]:
    """Let the file name Keras's optimizer.

    On PyTorch `keras.optimizers.Adam(…)` is of a class of that backend, which the file would name,
    and no other backend could open it (Keras 3.15).
    """
    outer = optimizer_of(model)
    held = [
        o
        for o in (outer, getattr(outer, "inner_optimizer", None))
        if type(o).__module__.startswith(OF_A_BACKEND)
    ]
    classes = [type(optimizer) for optimizer in held]
    for optimizer in held:
        optimizer.__class__ = next(
            c for c in type(optimizer).__mro__ if not c.__module__.startswith(OF_A_BACKEND)
        )
    try:
        yield
    finally:
        for optimizer, own in zip(held, classes, strict=True):
            optimizer.__class__ = own
