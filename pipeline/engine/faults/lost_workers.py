"""Workers that are lost: which losses are held against a trial, and what is known of why.

Tune ends a trial after so many (`tuning.py`); the third without an epoch between says that the host
cannot hold it.
"""

import re
from collections.abc import Callable

from ray.exceptions import RayActorError

from pipeline.engine.messages import OutOfShare, UnfitNode

# In Ray's words (2.60).
NODE_DIED = "its node has died"
RAY_ENDED_IT = re.compile(r"Memory on the node .*? was ([\d.]+ ?GB) used / ([\d.]+ ?GB) limit")


class WorkerFailures:
    """Judges each failure of a worker.

    Args:
        reasons: trial -> why its worker was lost, the last time; kept up to date.
        too_little: is told of a trial that ran out of its share of a GPU; says whether it gets
            more.
        unfit: is told of a node that cannot train, and why.
    """

    def __init__(
        self,
        reasons: dict[str, str],
        too_little: Callable[[str], bool] = lambda trial: False,
        unfit: Callable[[str, str], None] = lambda node, reason: None,
    ) -> None:
        self._reasons, self._too_little, self._unfit = reasons, too_little, unfit

    def counts(self, trial: str, exception: Exception, handed_over: bool) -> bool:
        """Whether a failure is held against a trial, to which its worker was being handed over."""
        self._reasons[trial] = reason_of(exception)
        if unfit_node := isinstance(exception, UnfitNode):
            self._unfit(exception.node, exception.reason)
        gets_more = isinstance(exception, OutOfShare) and self._too_little(trial)
        # Of a node that was taken back with notice Tune knows by itself.
        lost_node = NODE_DIED in str(exception) and not getattr(exception, "preempted", False)
        lost_before = handed_over and isinstance(exception, RayActorError)
        # None of these says anything of the trial.
        return not (gets_more or lost_node or unfit_node or lost_before)


def reason_of(exception: BaseException) -> str:
    """What is known of a loss, in one line."""
    text = " ".join(str(exception).split())
    if ended := RAY_ENDED_IT.search(text):
        return f"out of memory: with {ended[1]} of {ended[2]} in use Ray ended the worker"
    if NODE_DIED in text:
        return "its node was lost"
    lines = str(exception).strip().splitlines() or ["its worker died"]
    return f"worker lost: {lines[-1].strip()}"[:300]
