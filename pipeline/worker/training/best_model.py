"""Writes `best/`: the model in Keras's own format, and what stands beside it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import Data
from pipeline.digest import fingerprint
from pipeline.records.layout import Layout, persist, write_json, write_whole
from pipeline.records.outputs.checksums import read_checksums, sum_of, write_checksums
from pipeline.worker.scoring.task_scores import Scored
from pipeline.worker.session import Job
from pipeline.worker.training.optimizers import optimizer_of

# Of classes that stand for Keras's own on one backend.
OF_A_BACKEND = "keras.src.backend."
# The layer by which a family of ours tells a target that it scaled in its unit.
IN_UNITS = "in_units"


def save_best(model: Any, layout: Layout) -> Path:
    """Write the best model; where it is."""
    return persist(layout, layout.best_model, lambda: _save(model, layout.best_model))


def write_best(
    layout: Layout,
    job: Job,
    epoch: int,
    metrics: Mapping[str, Any],
    data: Data,
    model: Path | None,
    scored: Scored,
) -> dict[str, str]:
    """Write what stands beside the best model, and remove that of a trial that was best before.

    Args:
        layout: where `best/` is.
        job: the best trial.
        epoch: how many epochs the model was trained.
        metrics: those of the validation and the test split.
        data: what it was trained on.
        model: where it was saved; None where there is none.
        scored: its scores.

    Returns:
        The checksum of each file of the run that has one, by its path in the run.
    """
    saved = [] if model is None else [model]
    for path, text in scored.tables(layout).items():
        persist(layout, path, partial(write_whole, path, text))
        saved.append(path)
    for path in _sometimes(layout):
        if path not in saved:
            persist(layout, path, partial(path.unlink, missing_ok=True))
    files: dict[Path, Any] = {
        layout.best_hyperparameters: job.configuration,  # `fit` requested some of it
        layout.best_metrics: {"trial": job.trial, "epoch": epoch, **metrics},
    }
    standardisation = data.describe()["standardisation"]
    if standardisation:
        files[layout.best_standardisation] = json.loads(json.dumps(standardisation))
    if isinstance(data, Dataset):
        files[layout.best_preprocessing] = data.preprocessing()
    for path, plain in files.items():
        persist(layout, path, partial(write_json, path, plain))
    sums = {path: sum_of(path) for path in (*saved, *files)}
    kept = {
        name: known
        for name, known in read_checksums(layout).items()
        if layout.root / name not in _sometimes(layout)
    }
    return write_checksums(layout, sums, beside=kept)


def _sometimes(layout: Layout) -> tuple[Path, ...]:
    """The files that another best trial may have left out."""
    return (
        *(layout.best_model, layout.best_weights, layout.best_confusion, layout.best_residuals),
        *(layout.best_card, layout.best_server),
    )


def known_data(data: Data) -> dict[str, Any]:
    """The checksum of what a model was trained on; what it takes, None if only a `fit` knows."""
    takes = data.preprocessing()["kind"] if isinstance(data, Dataset) else None
    return {"data_sha256": fingerprint(data)["sha256"], "takes": takes}


def loss_scale(model: Any, data: Data) -> float | None:
    """What the target is divided by where a family scaled it itself; None where its loss is of it.

    Args:
        model: of such a family, or of any other.
        data: what it was trained on.
    """
    scale = data.target_scale if isinstance(data, Dataset) else None
    if scale is None or all(layer.name != IN_UNITS for layer in model._flatten_layers()):
        return None
    return scale[1]


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
