"""Schedulers, Ray's and ours, by the names that users give, counting epochs.

To change one, change it here: trials do not know which decides about them.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from pipeline.engine.asha import Promoting, rungs_of
from pipeline.engine.pbt import PopulationBased
from pipeline.engine.trainable import EPOCH, OBJECTIVE
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


def hyperband_trials(max_epochs: int, reduction_factor: float) -> int:
    """How many trials fill all of HyperBand's brackets once."""
    scheduler: Any = HyperBandScheduler(max_t=max_epochs, reduction_factor=reduction_factor)
    return sum(scheduler._get_n0(s) for s in range(scheduler._s_max_1) if scheduler._get_r0(s) > 0)


def hyperband_rungs(max_epochs: int, reduction_factor: float) -> Iterator[int]:
    """The epochs at which HyperBand halves one of its brackets or ends it, some more than once."""
    scheduler: Any = HyperBandScheduler(max_t=max_epochs, reduction_factor=reduction_factor)
    for s in range(scheduler._s_max_1):
        epoch = scheduler._get_r0(s)
        while 0 < epoch < max_epochs:
            yield epoch
            epoch = int(epoch * reduction_factor)


class WholeBrackets(HyperBandScheduler):
    """Ray's HyperBand, with brackets that are filled once, and whole if there are trials enough.

    Ray halves a bracket as soon as every trial in it has reached the rung, be it only the first two
    of nine, and fills up a bracket again whose trials have ended. So a bracket is closed when it
    was full, and until then it asks for the rest of its trials, whatever runs at the time.

    Two more faults of Ray 2.60 would let trials wait without end, and the search with them. At a
    bracket's last rung those that came first wait for the last, which overlooks one that is just
    being saved: here each ends as it comes. And once a bracket was halved, a trial that ends by
    itself no longer lets the others go on.
    """

    @property
    def unfilled(self) -> bool:
        """Whether the current bracket lacks trials, and none of them has been let on yet.

        A search whose trials do not fill the last bracket halves that one as it is; trials that are
        added to a finished search would not be compared in it.
        """
        bracket: Any = self._state["bracket"]
        return (
            bracket is not None
            and len(bracket._all_trials) < bracket._n0
            and bracket._r == bracket._r0
        )

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Add to the current bracket while it is being filled, else to a new one."""
        if not self.unfilled:
            self._state["bracket"] = None
        super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """The decision on an epoch; at the last rung there is nothing to wait for."""
        bracket: Any = self._trial_info[trial][0]
        if bracket._halves == 0 and result[EPOCH] >= bracket._cumul_r:
            bracket.update_trial_stats(trial, result)
            return TrialScheduler.STOP
        return str(super().on_trial_result(tune_controller, trial, result))

    def _process_bracket(self, tune_controller: Any, bracket: Any) -> str:
        action = str(super()._process_bracket(tune_controller, bracket))
        bracket.is_being_processed = False
        return action

    def forget(self, trial: Trial) -> None:
        """Take a trial's last report back.

        Ray would halve the bracket without waiting for the trial, and fail on finding it neither
        paused nor running.
        """
        info: Any = self._trial_info[trial]
        if trial in info[0]._live_trials:
            info[0]._live_trials[trial] = None
