"""Workers that are lost: which losses are held against a trial, and what is known of why.

Tune ends a trial after so many (`tuning.py`); the third without an epoch between says that the host
cannot hold it.
"""

import re
from collections.abc import Callable
from typing import Any

from ray.exceptions import RayActorError
from ray.tune.experiment import Trial

from pipeline.engine.internals.tune_controller import Unpickled
from pipeline.engine.messages import OutOfShare, UnfitNode

# In Ray's words (2.60).
NODE_DIED = "its node has died"
RAY_ENDED_IT = re.compile(r"Memory on the node .*? was ([\d.]+ ?GB) used / ([\d.]+ ?GB) limit")


class WorkerFailures(Unpickled):
    """Tune's handling of a worker's failure, once for each.

    One that dies while it is handed over to the next trial fails twice, first itself and then its
    task. Tune queues the trial again with the first, gives it up with the second, and still takes
    it for being handed over (Ray 2.60).
    """

    def __init__(
        self,
        controller: Any,
        reasons: dict[str, str],
        too_little: Callable[[str], bool] = lambda trial: False,
        unfit: Callable[[str, str], None] = lambda node, reason: None,
    ) -> None:
        self._controller, self._fail, self._reasons = (
            controller,
            controller._trial_task_failure,
            reasons,
        )
        # Is told of a trial that ran out of its share of a GPU; says whether it gets more.
        self._too_little = too_little
        self._unfit = unfit  # is told of a node that cannot train, and why

    def __call__(self, trial: Trial, exception: Exception) -> None:
        """A trial's worker failed."""
        handed_over = trial in self._controller._resetting_trials and isinstance(
            exception, RayActorError
        )
        self._controller._resetting_trials.discard(trial)
        if trial.status != Trial.PENDING or trial in self._controller._trial_to_actor:
            self._reasons[trial.trial_id] = reason_of(exception)
            if unfit_node := isinstance(exception, UnfitNode):
                self._unfit(exception.node, exception.reason)
            gets_more = isinstance(exception, OutOfShare) and self._too_little(trial.trial_id)
            # Of a node that was taken back with notice Tune knows by itself.
            lost_node = NODE_DIED in str(exception) and not getattr(exception, "preempted", False)
            # that says nothing of the trial
            if gets_more or lost_node or unfit_node or handed_over:
                trial.run_metadata.num_failures -= 1  # Tune is about to count it
            self._fail(trial, exception=exception)


def reason_of(exception: BaseException) -> str:
    """What is known of a loss, in one line."""
    text = " ".join(str(exception).split())
    if ended := RAY_ENDED_IT.search(text):
        return f"out of memory: with {ended[1]} of {ended[2]} in use Ray ended the worker"
    if NODE_DIED in text:
        return "its node was lost"
    lines = str(exception).strip().splitlines() or ["its worker died"]
    return f"worker lost: {lines[-1].strip()}"[:300]
