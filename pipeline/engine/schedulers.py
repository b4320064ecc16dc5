"""Ray's schedulers, by the names that users give, counting epochs.

To change one, change it here: trials do not know which decides about them.
"""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from pipeline.engine.trainable import EPOCH, OBJECTIVE
from pipeline.experiment import Experiment
from pipeline.objective import Objective


def make_scheduler(experiment: Experiment, objective: Objective) -> TrialScheduler:
    """The scheduler that the experiment names."""
    # A restarted trial repeats Tune's iterations, never epochs.
    shared: dict[str, Any] = {"time_attr": EPOCH, "metric": OBJECTIVE, "mode": objective.direction}
    match experiment.scheduler:
        case "asha":
            return ASHAScheduler(
                **shared,
                max_t=experiment.max_epochs,
                grace_period=experiment.grace_epochs,
                reduction_factor=experiment.reduction_factor,
            )
        case "hyperband":
            return WholeBrackets(**shared, max_t=experiment.max_epochs, reduction_factor=experiment.reduction_factor)
        case "median":
            return MedianStoppingRule(**shared, grace_period=experiment.grace_epochs)
        case _:
            return FIFOScheduler()


class WholeBrackets(HyperBandScheduler):
    """Ray's HyperBand, with brackets that are filled once and as a whole.

    Ray halves a bracket as soon as every trial in it has reached the rung, be it only the first two of nine, and fills
    up a bracket again whose trials have ended. So a bracket is closed when it was full, and until then it asks for the
    rest of its trials, whatever runs at the time.
    """

    @property
    def unfilled(self) -> bool:
        """Whether the current bracket lacks trials."""
        bracket: Any = self._state["bracket"]
        return bracket is not None and len(bracket._all_trials) < bracket._n0

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Add to the current bracket while it is being filled, else to a new one."""
        if not self.unfilled:
            self._state["bracket"] = None
        super().on_trial_add(tune_controller, trial)
