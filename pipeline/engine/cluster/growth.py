"""A search's hold on a cluster that grows: nodes are checked, asked for and waited for."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pipeline.engine.cluster.autoscaler import Demand, await_place
from pipeline.engine.cluster.capacity import has_gpu
from pipeline.engine.cluster.nodes import check_nodes
from pipeline.experiment import Experiment
from pipeline.records.store.remote import RemotePath
from pipeline.watch import Interruption, Watcher


class Growth:
    """The nodes that a search may use.

    Args:
        experiment: what trials need; set anew once it was found out what they take of a GPU.
        place: the run's directory.
        watcher: is told what is waited for.
        interruption: ends the waiting.
    """

    def __init__(
        self,
        experiment: Experiment,
        place: Path | RemotePath,
        watcher: Watcher,
        interruption: Interruption,
    ) -> None:
        self.experiment, self.place = experiment, place
        # whether nobody asked for GPUs, and they are used because they are there
        self.gpus_left_open = experiment.gpus_per_trial is None
        self._watcher, self._interruption = watcher, interruption
        self.seats = 1  # trials that share a process
        self._demand = Demand(experiment)
        self.fit: set[str] = set()  # nodes that were asked whether they are
        self.waited_s = 0.0  # for a place
        self.trials: Callable[[], int] | None = None  # how many may still run; None asks for none

    def settle_gpus(self) -> Experiment:
        """Where it was not said whether trials take GPUs, they do if the cluster has any now.

        What trials need, after that.
        """
        if self.experiment.gpus_per_trial is None:
            gpus: float | Literal["auto"] = "auto" if has_gpu(self.experiment) else 0
            self.experiment = self.experiment.changed(gpus_per_trial=gpus)
        return self.experiment

    def check(self) -> None:
        """Ask every node that was not asked yet whether it is fit for trials."""
        check_nodes(self.experiment, self.place, self._watcher.preparing, self.fit)

    def ask(self) -> None:
        """Ask the autoscaler for what the trials that may still run can use."""
        if self.trials is not None:
            self._demand.experiment = self.experiment
            self._demand.ask(self.trials(), self.seats)

    def await_place(self, left_s: float) -> None:
        """Wait for a node that holds a trial, within `left_s` seconds, and check nodes that came.

        Seconds that were waited before count too.
        """
        began = time.monotonic()
        await_place(
            self.experiment,
            self._watcher.preparing,
            self._interruption,
            left_s - self.waited_s,
            self.ask,
        )
        self.waited_s += time.monotonic() - began
        self.check()

    def end(self) -> None:
        """Ask for nothing more, so that nodes may go."""
        self._demand.end()
