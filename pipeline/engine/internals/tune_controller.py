"""Nothing is printed by Tune: what a person sees is the console's."""

from typing import Any

from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from pipeline.engine.messages import RESOURCES


class NoOutput(TrialProgressCallback):
    """Replaces Tune's own, which prints a line for each paused trial that ends (Ray 2.60)."""

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        """Nothing."""

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        """Nothing."""

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        """Nothing."""


def set_task(trial: Trial, task: dict[str, Any]) -> None:
    """Give one of Tune's trials that does not run another task, and what that takes."""
    trial.set_config(task)
    trial.update_resources(PlacementGroupFactory([task[RESOURCES]]))


class Unpickled:
    """Stands in place of a method of Tune's controller."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """As nothing.

        Tune pickles what its controller holds, into a state that is never read back.
        """
        return object, ()


def forget_results(trial: Trial) -> None:
    """Let go of what Tune keeps of an ended trial.

    45 KB of its metrics, for tables of its own that nobody asks for.

    Tune holds every trial until the end of the search (ray-project/ray#64231, Ray 2.60).
    """
    metadata = trial.run_metadata
    metadata.last_result, metadata.metric_analysis, metadata.metric_n_steps = {}, {}, {}
