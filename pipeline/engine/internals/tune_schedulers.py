"""What Ray's own schedulers remember of a trial, in our words."""

from ray.tune.experiment import Trial
from ray.tune.schedulers import MedianStoppingRule, TrialScheduler


def go_on_deciding(scheduler: TrialScheduler, trial: Trial) -> None:
    """Have a scheduler decide on a trial that it has stopped, and that went on none the less.

    The rule of the median would hear no more of it (Ray 2.60).
    """
    if isinstance(scheduler, MedianStoppingRule):
        scheduler._stopped_trials.discard(trial)
