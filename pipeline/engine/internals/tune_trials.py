"""What Tune keeps of a trial, in our words: its task, its worker, how often it was lost."""

import os
from typing import Any

from ray.train._internal.session import _TrainingResult
from ray.tune import Checkpoint, PlacementGroupFactory, Trainable
from ray.tune.experiment import Trial

from pipeline.engine.messages import RESOURCES


def set_task(trial: Trial, task: dict[str, Any]) -> None:
    """Give one of Tune's trials that does not run another task, and what that takes."""
    trial.set_config(task)
    trial.update_resources(PlacementGroupFactory([task[RESOURCES]]))


def worker_of(trial: Trial) -> Any:
    """The actor that trains a trial; None without one."""
    return trial.temporary_state.ray_actor


def nothing_saved(trainable: Trainable) -> Any:
    """What Tune is told of a save of a trial that left nothing with Tune."""
    return _TrainingResult(Checkpoint(os.devnull), dict(trainable._last_result or {}))


def hold_against(trial: Trial, losses: int) -> None:
    """Count more losses of a trial's workers; fewer, where the number is negative.

    Tune ends a trial once it has counted more than `max_failures`.
    """
    trial.run_metadata.num_failures += losses


def forgive_losses(trial: Trial) -> None:
    """Count the losses of a trial's workers from zero."""
    trial.run_metadata.num_failures = 0


def start_no_more(trial: Trial) -> None:
    """Have Tune end a trial when it loses its worker."""
    trial.run_metadata.num_failures = trial.max_failures


def forget_results(trial: Trial) -> None:
    """Let go of what Tune keeps of an ended trial.

    45 KB of its metrics, for tables of its own that nobody asks for.

    Tune holds every trial until the end of the search (ray-project/ray#64231, Ray 2.60).
    """
    metadata = trial.run_metadata
    metadata.last_result, metadata.metric_analysis, metadata.metric_n_steps = {}, {}, {}
