"""Nothing is printed by Tune: what a person sees is the console's."""

from typing import Any

from ray.tune import ProgressReporter
from ray.tune.progress_reporter import TrialProgressCallback


class NoOutput(TrialProgressCallback):
    """Replaces Tune's own, which prints a line for each paused trial that ends (Ray 2.60)."""

    def on_trial_result(self, *_: Any, **info: Any) -> None:
        """Nothing."""

    def on_trial_error(self, *_: Any, **info: Any) -> None:
        """Nothing."""

    def on_trial_complete(self, *_: Any, **info: Any) -> None:
        """Nothing."""


class NoTable(ProgressReporter):
    """Replaces Tune's table, which a notebook is shown however little is to be printed (Ray 2.60).

    All else that the cell shows is removed for it.
    """

    def should_report(self, *_: Any, **info: Any) -> bool:
        """Never."""
        return False

    def report(self, *_: Any, **info: Any) -> None:
        """Nothing."""
