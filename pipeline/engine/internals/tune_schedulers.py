"""What Ray's own schedulers remember of a trial, in our words."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import MedianStoppingRule, TrialScheduler

from pipeline.engine.messages import OBJECTIVE


class UnbufferedScheduler(TrialScheduler):
    """A scheduler that is told of each report as it comes."""

    _supports_buffered_results = False
    _metric = OBJECTIVE

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Nothing to set."""
        return True


def go_on_deciding(scheduler: TrialScheduler, trial: Trial) -> None:
    """Have a scheduler decide on a trial that it has stopped, and that went on none the less.

    The rule of the median would hear no more of it (Ray 2.60).
    """
    if isinstance(scheduler, MedianStoppingRule):
        scheduler._stopped_trials.discard(trial)
