"""Nothing is printed by Tune: what a person sees is the console's."""

from typing import Any

from ray.tune.progress_reporter import TrialProgressCallback


class NoOutput(TrialProgressCallback):
    """Replaces Tune's own, which prints a line for each paused trial that ends (Ray 2.60)."""

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        """Nothing."""

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        """Nothing."""

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        """Nothing."""
