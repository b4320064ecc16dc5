"""Schedulers, Ray's and ours, by the names that users give, counting epochs.

To change one, change it here: trials do not know which decides about them.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from pipeline.engine.messages import EPOCH, OBJECTIVE
from pipeline.engine.schedulers.asha import Promoting, rungs_of
from pipeline.engine.schedulers.hyperband import WholeBrackets, hyperband_rungs
from pipeline.engine.schedulers.pbt import PopulationBased
from pipeline.experiment import Experiment
from pipeline.objective import Objective


def make_scheduler(
    experiment: Experiment,
    objective: Objective,
    turn: Callable[[int, dict[str, float]], dict[str, Any]] = lambda epoch, values: {},
    complete: Callable[[], bool] = lambda: True,
    saved: Callable[[str, int], bool] = lambda trial, epoch: True,
) -> TrialScheduler:
    """The scheduler that the experiment names.

    See `Promoting` and `PopulationBased` for the functions.
    """
    # A restarted trial repeats Tune's iterations, never epochs.
    shared: dict[str, Any] = {"time_attr": EPOCH, "metric": OBJECTIVE, "mode": objective.direction}
    match experiment.scheduler:
        case "asha":
            return Promoting(
                objective,
                experiment.max_epochs,
                experiment.grace_epochs,
                experiment.reduction_factor,
                experiment.trials,
                complete,
            )
        case "asha-stopping":
            return ASHAScheduler(
                **shared,
                max_t=experiment.max_epochs,
                grace_period=experiment.grace_epochs,
                reduction_factor=experiment.reduction_factor,
            )
        case "hyperband":
            return WholeBrackets(
                **shared, max_t=experiment.max_epochs, reduction_factor=experiment.reduction_factor
            )
        case "pbt":
            return PopulationBased(
                experiment.perturbation_interval, experiment.max_epochs, turn, complete, saved
            )
        case "median":
            return MedianStoppingRule(**shared, grace_period=experiment.grace_epochs)
        case _:
            return FIFOScheduler()


def rungs(experiment: Experiment) -> tuple[int, ...]:
    """The epochs before the last after which a trial may be stopped or paused, in ascending order.

    Under "hyperband" those of all brackets. "median" decides after each epoch; but as a trial that
    has done well for so long is as likely to go on for as long again, these are the epochs at which
    what lies behind it has doubled.
    """
    grace, most, factor = (
        experiment.grace_epochs,
        experiment.max_epochs,
        experiment.reduction_factor,
    )
    epochs: Iterable[float] = ()
    match experiment.scheduler:
        case "asha":
            epochs = rungs_of(most, grace, factor)
        case "asha-stopping":
            scheduler: Any = ASHAScheduler(max_t=most, grace_period=grace, reduction_factor=factor)
            epochs = (milestone for milestone, _ in scheduler._brackets[0]._rungs)
        case "hyperband":
            epochs = hyperband_rungs(most, factor)
        case "pbt":
            epochs = range(experiment.perturbation_interval, most, experiment.perturbation_interval)
        case "median":
            epochs = (grace * 2**doubled for doubled in range(most.bit_length()))
    return tuple(sorted({whole for whole in map(math.ceil, epochs) if whole < most}))
