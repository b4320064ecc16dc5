"""Workers that are lost: which losses are held against a trial, and what is known of why.

Tune ends a trial after so many (`trials/loop.py`); the third without an epoch between says that
the host cannot hold it.
"""

from collections.abc import Callable

from pipeline.engine.internals.ray_errors import is_lost_node, is_lost_worker, reason_of
from pipeline.engine.messages import OutOfShare, UnfitNode
from pipeline.logs import LOGGER


class WorkerFailures:
    """Judges each failure of a worker.

    Args:
        reasons: trial -> why its worker was lost, the last time; kept up to date.
        too_little: is told of a trial that ran out of its share of a GPU; says whether it gets
            more.
        unfit: is told of a node that cannot train, and why.
        lost: is told of a trial whose process was lost, and its node was not.
    """

    def __init__(
        self,
        reasons: dict[str, str],
        too_little: Callable[[str], bool] = lambda trial: False,
        unfit: Callable[[str, str], None] = lambda node, reason: None,
        lost: Callable[[str], None] = lambda trial: None,
    ) -> None:
        self._reasons, self._too_little, self._unfit = reasons, too_little, unfit
        self._lost = lost

    def counts(self, trial: str, exception: Exception, handed_over: bool) -> bool:
        """Whether a failure is held against a trial, to which its worker was being handed over."""
        self._reasons[trial] = reason_of(exception)
        if unfit_node := isinstance(exception, UnfitNode):
            self._unfit(exception.node, exception.reason)
        gets_more = isinstance(exception, OutOfShare) and self._too_little(trial)
        if is_lost_worker(exception) and not is_lost_node(exception):
            self._lost(trial)
        # A worker that was being handed over was lost before the trial had it. Of a node that was
        # taken back with notice Tune knows by itself.
        lost_before = handed_over and is_lost_worker(exception)
        # None of these says anything of the trial.
        held_against = not (gets_more or is_lost_node(exception) or unfit_node or lost_before)
        LOGGER.debug(
            "%s lost its worker%s: %s",
            trial,
            "" if held_against else ", through no fault of its own",
            self._reasons[trial],
        )
        return held_against
