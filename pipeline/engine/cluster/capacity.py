"""What a cluster holds: how many trials run at once on its nodes, now and once it has grown."""

import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.worker.devices import cuda

NODES_EVERY_S = 5.0


def resources_of(experiment: Experiment) -> dict[str, float]:
    """What one trial takes, as Ray counts it."""
    share = {"CPU": experiment.cpus_per_trial, "GPU": experiment.gpu_share}
    return {name: amount for name, amount in share.items() if amount}


def seat_of(share: dict[str, float], seats: int) -> dict[str, float]:
    """What Ray counts for one of so many trials that share a process.

    In the ten-thousandths that Ray counts in, and so that all of them fit into the share.
    """
    if seats == 1:
        return share
    return {name: math.floor(amount * 1e4 / seats + 1e-6) / 1e4 for name, amount in share.items()}


def concurrent(experiment: Experiment, nodes: list[dict[str, float]]) -> int:
    """How many trials the nodes hold at once. A share of a GPU packs on each GPU by itself."""
    total = 0
    for node in nodes:
        by_cpu = math.floor(node.get("CPU", 0) / experiment.cpus_per_trial + 1e-9)
        gpus, share = node.get("GPU", 0), experiment.gpu_share
        if share == 0:
            total += by_cpu
        elif share < 1:
            total += min(by_cpu, trials_a_gpu(experiment) * math.floor(gpus))
        else:
            total += min(by_cpu, math.floor(gpus / share + 1e-9))
    return total


def trials_a_gpu(experiment: Experiment) -> int:
    """How many trials share a GPU; 1 where none does."""
    share = experiment.gpu_share
    return math.floor(1 / share + 1e-9) if 0 < share < 1 else 1


def devices_a_trial(experiment: Experiment) -> int:
    """How many GPUs train one model together; 1 where it is one, a share or none."""
    return max(1, int(experiment.gpu_share))


def live_nodes() -> list[dict[str, float]]:
    """The resources of each node of the cluster."""
    return [node["Resources"] for node in _alive()]


def is_alone(nodes: Iterable[dict[str, Any]]) -> bool:
    """Whether there is only Ray on this machine's loopback, by the nodes that are there."""
    return all(node["NodeManagerAddress"].startswith("127.") for node in nodes)


def _alive() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def has_gpu(experiment: Experiment) -> bool:
    """Whether a node that is there now holds a trial on a whole GPU.

    A GPU that only may come is none: whoever did not ask for one is not to pay for its machine. On
    this machine alone nothing is a GPU that has no driver of CUDA's, whatever Ray was told.
    """
    whole = experiment.changed(gpus_per_trial=1)
    nodes = _alive()
    holds = concurrent(whole, [node["Resources"] for node in nodes]) > 0
    return holds and (not is_alone(nodes) or cuda.has_driver())


def may_have_gpu(experiment: Experiment) -> bool:
    """Whether this machine may have a GPU for trials, known before Ray is started."""
    return experiment.gpus != 0 and cuda.has_driver()


def left_idle(experiment: Experiment, nodes: list[dict[str, float]]) -> str:
    """A line on the nodes that train nothing because trials take GPUs; "" where there are none."""
    without = [node.get("CPU", 0.0) for node in nodes if not node.get("GPU", 0)]
    if not experiment.gpu_share or not without:
        return ""
    count, cpus = len(without), f"{sum(without):g} CPU"
    said = "1 node without a GPU trains" if count == 1 else f"{count} nodes without a GPU train"
    return f"{said} nothing ({cpus}); with --gpus-per-trial 0 all nodes train, on CPUs alone"


def needs(experiment: Experiment) -> str:
    """What one trial takes, in words."""
    return ", ".join(f"{amount:g} {name}" for name, amount in resources_of(experiment).items())


class FreePlaces:
    """How many trials may run at once, looked up anew every few seconds: nodes come and go.

    All of `looked` are called at each look. `seats` trials share a process.
    """

    def __init__(self, experiment: Experiment, seats: int = 1) -> None:
        self.looked: list[Callable[[], None]] = []
        self._experiment, self._seats = experiment, seats
        self._at, self._count = -math.inf, 1

    def __call__(self) -> int:
        """The number, as of the last look."""
        return min(self.places(), self._experiment.max_concurrent or self._count)

    def places(self) -> int:
        """For how many there is a place, were more asked for than are."""
        if time.monotonic() - self._at > NODES_EVERY_S:
            self._at, self._count = (
                time.monotonic(),
                self._seats * max(1, concurrent(self._experiment, live_nodes())),
            )
            for call in self.looked:
                call()
        return self._count


def packing_warning(experiment: Experiment) -> str | None:
    """A line on a share that leaves a part of each GPU unused."""
    share = experiment.gpu_share
    fits = trials_a_gpu(experiment)
    if not 0 < share < 1 or 1 - fits * share < 0.02:  # 0.33 is meant to be a third
        return None
    return (
        f"{share:g} of a GPU does not divide it evenly: {fits} trials a GPU leave "
        f"{1 - fits * share:.0%} of each "
        f"unused; {1 / fits:.3g} or {1 / (fits + 1):.3g} would not."
    )


def check_local(experiment: Experiment) -> None:
    """Check that what may be used of this machine holds one trial.

    Raises:
        RequestError: it does not.
    """
    if experiment.gpus is not None and experiment.gpu_share > experiment.gpus:
        raise RequestError(
            f"A trial must fit on one node; it needs {experiment.gpu_share:g} GPU, and "
            f"{experiment.gpus} may be used."
        )
    if experiment.cpus is not None:
        if experiment.cpus_per_trial > experiment.cpus:
            raise RequestError(
                f"A trial must fit on one node; it needs {experiment.cpus_per_trial:g} CPU, and "
                f"{experiment.cpus} may "
                "be used."
            )
        return
    has = len(os.sched_getaffinity(0))
    if experiment.cpus_per_trial > has:
        raise RequestError(
            f"A trial must fit on one node; it needs {experiment.cpus_per_trial:g} CPU, and this "
            f"machine has {has}."
        )
