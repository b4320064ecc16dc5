"""What Ray's own schedulers remember of a trial, in our words."""

import math
from typing import Any

from ray.tune.schedulers import MedianStoppingRule, TrialScheduler

from pipeline.engine.messages import OBJECTIVE


class UnbufferedScheduler(TrialScheduler):
    """A scheduler that is told of each report as it comes."""

    _supports_buffered_results = False
    _metric = OBJECTIVE

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Nothing to set."""
        return True


def go_on_deciding(rule: MedianStoppingRule, trial: Any) -> None:
    """Have the rule of the median decide on a trial that it has stopped, and that went on.

    It would hear no more of it (Ray 2.60).
    """
    rule._stopped_trials.discard(trial)


def compared_by_median(
    rule: MedianStoppingRule, trial: Any, epoch: int
) -> tuple[float, list[float]]:
    """A trial's best so far, and the others' means up to an epoch, whose median the rule takes."""
    others = [other for other in rule._trials_beyond_time(epoch) if other is not trial]
    means = [float(rule._running_mean(other, epoch)) for other in others]
    return rule._best_result(trial), [mean for mean in means if math.isfinite(mean)]
