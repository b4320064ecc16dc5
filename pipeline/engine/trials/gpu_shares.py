"""What a trial is given: a share of a GPU or a whole one, a seat in a process or one of its own.

It is the share that was asked for, or a whole GPU where that proved to be too little.

A trial that runs out of its share's memory is tried once more, alone on a GPU. If it trains there,
so does from the start whoever has as many weights or more; who has fewer gets a share. If it does
not, it is recorded as failed.

Where trials share processes, those that lose theirs go on in processes of their own, since one of
them may be what ended it. A trial that trained there and then waited has a seat again.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ray.tune.experiment import Trial

from pipeline.engine.cluster.capacity import resources_of, seat_of, trials_a_gpu
from pipeline.engine.internals.tune_trials import set_task
from pipeline.engine.messages import RESOURCES
from pipeline.errors import KerasweepError
from pipeline.experiment import Experiment
from pipeline.records.entries.trials import ENDED
from pipeline.records.ledger import Ledger
from pipeline.worker.session import Job


class NoShares:
    """Every trial takes one place, and what was asked for."""

    def is_apart(self, trial: str) -> bool:
        """Whether a trial has a GPU or a process for itself, and others share theirs."""
        return False

    def slots(self, trial: str) -> int:
        """In the place of how many trials it runs."""
        return 1

    def reported(self, trial: str, epoch: int) -> None:
        """A trial completed an epoch with what it has."""

    def too_little(self, trial: str) -> bool:
        """Whether a trial that ran out of memory gets more."""
        return False

    def lost(self, trial: str) -> None:
        """A trial's process was lost."""

    def seat_again(self, trial: str) -> bool:
        """Give a trial that waits a seat again, if it trained in a process of its own."""
        return False

    def give_task(self, trial: Trial) -> None:
        """Let a trial that was queued again have what it gets now."""


NOT_SHARED = NoShares()


class Shares(NoShares):
    """Which trials have a whole GPU where the others have a share of one.

    Args:
        experiment: what was asked for.
        ledger: records who was given a whole GPU.
        job: makes a trial's task from its id and configuration.
        weights: how many a trial's model has; 0 where that cannot be known.
        warned: is told, in a line, of a trial that is tried again.
        seats: how many trials share a process.
    """

    def __init__(
        self,
        experiment: Experiment,
        ledger: Ledger,
        job: Callable[[str, dict[str, Any]], Job],
        weights: Callable[[Job], int],
        warned: Callable[[str], None] = lambda text: None,
        seats: int = 1,
    ) -> None:
        self._seats, self._seat = seats, seat_of(resources_of(experiment), seats)
        # trials that lost a process which others may have shared; whether they trained since
        self._apart: dict[str, bool] = {}
        self._resources, self._a_gpu = resources_of(experiment), trials_a_gpu(experiment)
        self._ledger, self._weights, self._warned = ledger, weights, warned
        self._shared = 0 < experiment.gpu_share < 1
        # weights of those that needed a whole GPU, and trained there
        self._large: dict[str, float] = {}
        self._job = job
        for trial in ledger.trials:
            self.reported(trial, ledger.last_epoch(trial))

    def has_whole_gpu(self, trial: str) -> bool:
        """Whether a trial has a GPU for itself, and others have a share."""
        return self._shared and self._ledger.trials[trial].gpus is not None

    def is_apart(self, trial: str) -> bool:
        """Whether a trial has a GPU or a process for itself, and others share theirs."""
        return self.has_whole_gpu(trial) or trial in self._apart

    def slots(self, trial: str) -> int:
        """In the place of how many trials it runs."""
        if self.has_whole_gpu(trial):
            return self._a_gpu * self._seats
        return self._seats if trial in self._apart else 1

    def resources_of(self, job: Job) -> dict[str, float]:
        """What a trial takes, as Ray counts it."""
        if (
            self._large
            and self._begins(job.trial)
            and self._weights(job) >= min(self._large.values())
        ):
            self._ledger.give_gpus(job.trial, 1.0)
        if self.has_whole_gpu(job.trial):
            return {**self._resources, "GPU": 1.0}
        return self._resources if job.trial in self._apart else self._seat

    def _begins(self, trial: str) -> bool:
        """Whether a trial has a share, and is yet to show whether its configuration fits there."""
        record = self._ledger.trials[trial]
        since = record.changes[-1]["epoch"] if record.changes else 0
        return (
            not self.has_whole_gpu(trial)
            and record.status not in ENDED
            and self._ledger.last_epoch(trial) <= since
        )

    def too_little(self, trial: str) -> bool:
        """A trial ran out of its share's memory; whether it gets more now."""
        if self.has_whole_gpu(trial):
            return False
        self._ledger.give_gpus(trial, 1.0, outgrown=self._ledger.last_epoch(trial))
        share = f"{self._resources['GPU']:.4g} of a GPU"
        self._warned(
            f"{trial}: out of memory with {share}; it is tried once more, alone on a whole one."
        )
        return True

    def reported(self, trial: str, epoch: int) -> None:
        """A trial came to the end of an epoch.

        If its share was too little for that one, a whole GPU is enough.
        """
        if trial in self._apart:
            self._apart[trial] = True
        record = self._ledger.trials[trial]
        if trial in self._large or not self.has_whole_gpu(trial) or record.status == "failed":
            return
        if record.outgrown is not None and epoch > record.outgrown:
            configuration = record.in_force(record.outgrown + 1) or record.configuration
            # Of a model that only a worker can build it is not known how large it is: nobody is as
            # large.
            weights = 0
            # Tune asks from within: what is raised here would end the search
            with suppress(KerasweepError):
                weights = self._weights(self._job(trial, configuration))
            self._large[trial] = weights or math.inf

    def lost(self, trial: str) -> None:
        """A trial's process was lost: it gets one of its own."""
        if self._seats > 1:
            self._apart[trial] = False

    def seat_again(self, trial: str) -> bool:
        """Give a trial that waits a seat again, if it trained in a process of its own."""
        if not self._apart.get(trial, False):
            return False
        del self._apart[trial]
        return not self.has_whole_gpu(trial)

    def give_task(self, trial: Trial) -> None:
        """Let Tune start a trial that waits, with what it is to have now."""
        set_task(trial, {**trial.config, RESOURCES: self.resources_of(trial.config["job"])})
