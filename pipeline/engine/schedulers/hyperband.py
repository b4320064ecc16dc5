"""Ray's HyperBand, with brackets that are filled once."""

from collections.abc import Iterator
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import HyperBandScheduler, TrialScheduler

from pipeline.engine.messages import EPOCH


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
