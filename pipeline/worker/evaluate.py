"""The best model: its weights put back, its test score measured once, saved in Keras's own format."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras

from pipeline.data import Dataset
from pipeline.records.layout import Layout, write_json
from pipeline.worker.checkpoints import Checkpoints
from pipeline.worker.execution import evaluation_batch
from pipeline.worker.modules import SearchSpace
from pipeline.worker.session import Job, Stopped, Until
from pipeline.worker.trial import build, hyperparameters, numbers, train, trial_seed


def evaluate_best(job: Job, space: SearchSpace, data: Dataset, epoch: int, layout: Layout) -> dict[str, Any]:
    """Write `best/` and measure the test split.

    Args:
        job: the best trial, with all that it requested as its configuration.
        space: the model family.
        data: its validation and test splits are measured.
        epoch: the trial's best epoch. A worker that was killed may have left older weights; the trial then goes on
            from its last checkpoint to this epoch.
        layout: where `best/` is.

    Returns:
        `{"validation": metrics, "test": metrics}`.
    """
    checkpoints = Checkpoints(job.directory)
    held = checkpoints.best_state()
    if held is None or held["epoch"] != epoch:
        with suppress(Stopped):
            train(job, space, data, Until(epoch))
    keras.utils.clear_session(free_memory=True)
    hp = hyperparameters(job, trial_seed(job.seed, job.trial))
    model = build(space, hp, data)
    if not model.built:
        model(data.x_train[:1])
    held = checkpoints.restore_best(model)
    if model.optimizer is not None:  # Keras builds it when it loads the file, and would warn of what the file lacks
        model.optimizer.build(model.trainable_variables)
    size = evaluation_batch(data.x_val)
    metrics = {
        name: numbers(model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True))
        for name, x, y in (("validation", data.x_val, data.y_val), ("test", data.x_test, data.y_test))
    }
    layout.best.mkdir(parents=True, exist_ok=True)
    _save(model, layout.best_model)
    write_json(layout.best_hyperparameters, job.configuration)  # `fit` requested some of it
    write_json(layout.best_metrics, {"trial": job.trial, "epoch": held["epoch"], **metrics})
    if data.standardisation:
        write_json(layout.best_standardisation, json.loads(json.dumps(data.standardisation)))
    return metrics


def load_model(path: Path) -> Any:
    """The saved model; nothing in it is executed that Keras does not know (`safe_mode`)."""
    return keras.saving.load_model(path, safe_mode=True)


def _save(model: Any, path: Path) -> None:
    """Keras decides by the ending how to save, so the temporary name keeps it."""
    temporary = path.with_name(f".writing-{os.getpid()}.keras")
    model.save(temporary)
    os.replace(temporary, path)
