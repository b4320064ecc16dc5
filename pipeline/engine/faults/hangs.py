"""Workers that hang.

How long one may be silent, learnt from the others, and the end of one that is so for longer.

Tune waits for an answer as long as it takes (Ray 2.60): user code that sleeps, storage that does
not come back or a frozen process would hold a slot for ever, and in the end the search.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial

from pipeline.engine.internals.tune_controller import Controller, LiveWorker
from pipeline.engine.internals.tune_trials import start_no_more
from pipeline.experiment import Experiment
from pipeline.logs import LOGGER
from pipeline.worker.devices.machine import RELEASE_S

# What is learnt has to allow for configurations that are legitimate and much slower than those
# before them: ten times as wide, or with a batch of 8 and not of 128. To end one of these is worse
# than to wait for one that hangs.
TIMES_THE_LONGEST = 20.0
LEAST_S = 300.0
# Before any epoch is known. The first may be of a whole training, where a `fit` of the user's
# reports at its end alone: hours. But a search whose first trials all hang must not wait for ever.
FIRST_S = 6 * 3600.0
# A trial's first report from a worker holds more than an epoch: the process starts, imports Keras,
# and compiles.
WORKER_START_S = 60.0

SILENCES_EVERY_S = 1.0
# without a look this process was stopped: Ctrl-Z, a frozen container, a laptop that was closed
ASLEEP_S = 30.0


@dataclass
class _Silence:
    """What Tune waits for from a trial's worker, and since when.

    Nothing, while the worker has nothing to do.
    """

    worker: Any
    answers: frozenset[Any]
    since: float
    reported: bool = False


class Hangs:
    """Ends workers that hang.

    A trial goes on in another; silent once more before its next epoch, it has failed.

    Args:
        timeout_s: how long a trial may be silent from one report to the next; None to go by the
            longest so far, and by `FIRST_S` before there was one.
        longest_s: the longest that an epoch of this run is known to have taken.
        warned: is told, in a line, of a trial that is tried again.
        start_s: how much longer the first report from a worker may take.
    """

    def __init__(
        self,
        timeout_s: float | None,
        longest_s: float,
        warned: Callable[[str], None] = lambda text: None,
        start_s: float = WORKER_START_S,
    ) -> None:
        self._timeout_s, self._longest_s, self._warned, self._start_s = (
            timeout_s,
            longest_s,
            warned,
            start_s,
        )
        self._silences: dict[str, _Silence] = {}
        self._hung: set[str] = set()  # since their last epoch
        self._next_look = -math.inf
        self.reasons: dict[str, str] = {}  # why trials failed

    @classmethod
    def of(cls, experiment: Experiment, longest_s: float, warned: Callable[[str], None]) -> "Hangs":
        """For a search's trials, which may have to wait for a GPU's memory before they start."""
        waits_s = RELEASE_S if experiment.gpu_share else 0.0
        return cls(experiment.epoch_timeout_s, longest_s, warned, WORKER_START_S + waits_s)

    @property
    def limit_s(self) -> float:
        """How long an epoch may take."""
        if self._timeout_s is not None:
            return self._timeout_s
        return max(LEAST_S, TIMES_THE_LONGEST * self._longest_s) if self._longest_s else FIRST_S

    def reported(self, trial: str, *, new: bool) -> None:
        """A report came; `new` if it is no epoch that is trained again after a restart."""
        if (silence := self._silences.get(trial)) is not None:
            now = time.monotonic()
            # else this process was stopped, and `end_silent` is yet to allow for it
            if now - self._next_look <= ASLEEP_S:
                self._longest_s = max(self._longest_s, now - silence.since)
            silence.reported = True
        if new:
            self._hung.discard(trial)

    def end_silent(self, controller: Controller) -> None:
        """End each worker that has been silent for too long."""
        now = time.monotonic()
        if now < self._next_look:
            return
        # and they with it, for all it knows
        if (asleep := now - self._next_look) > ASLEEP_S and math.isfinite(asleep):
            for known in self._silences.values():
                known.since += asleep
        self._next_look = now + SILENCES_EVERY_S
        silences = {}
        workers = list(controller.live_workers())
        for worker in workers:
            trial = worker.trial
            silence = self._silences.get(trial.trial_id)
            if silence is None or silence.worker is not worker.key:
                silence = _Silence(worker.key, worker.answers, now)
            elif silence.answers != worker.answers:
                silence.answers, silence.since = worker.answers, now
            silences[trial.trial_id] = silence
        # The trials of a process train in turn, so that all wait for the one that trains.
        heard: dict[Any, float] = defaultdict(lambda: -math.inf)
        for worker in workers:
            since = silences[worker.trial.trial_id].since
            heard[worker.process] = max(heard[worker.process], since)
        for worker in workers:
            trial = worker.trial
            silence = silences[trial.trial_id]
            if self._too_long(silence, worker, now - heard[worker.process]):
                silence.since = math.inf  # Tune is yet to hear of it
                self._note(trial)
                worker.kill()
        self._silences = silences

    def _too_long(self, silence: _Silence, worker: LiveWorker, silent_s: float) -> bool:
        if not silence.answers:
            return False
        if silent_s <= self.limit_s + (0.0 if silence.reported else self._start_s):
            return False
        # This process may have been the one that was busy: what has come, Tune is yet to take.
        return not worker.has_answered()

    def _note(self, trial: Trial) -> None:
        # its worker was being started, or had not let go of the trial before
        if trial.status != Trial.RUNNING:
            return
        name, what = trial.trial_id, f"no epoch within {round(self.limit_s, 1):g} s"
        if self._timeout_s is None and not self._longest_s:  # it may well be a slow one
            what += " (--epoch-timeout allows more)"
        if name in self._hung:
            self.reasons[name] = f"{what}, twice"
            LOGGER.debug("%s hangs: %s", name, self.reasons[name])
            start_no_more(trial)
        else:
            self._hung.add(name)
            self._warned(f"{name}: {what}; it goes on from its last checkpoint in another process.")
