"""Clusters that grow: whether one may, and what it is asked for.

Ray's autoscaler sees what waits for a place, and Tune shows it one trial at a time. Were more
trials begun only to be seen, their configurations would be chosen before anything was learnt. So
the autoscaler is told of the demand itself.
"""

import math
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.engine.cluster.capacity import concurrent, live_nodes, needs, resources_of
from pipeline.errors import Interrupted, KerasweepError, RequestError
from pipeline.experiment import UNBOUNDED, Experiment
from pipeline.watch import Interruption

MOST_ASKED = 1000  # trials at once: what is asked for is one message
# until the first node must be there; a machine with a GPU takes minutes, if there is one to be had
GROWTH_S = 1800.0
TELLS_WITHIN_S = 10.0  # an autoscaler reports every five seconds


def check_place(experiment: Experiment) -> None:
    """Refuse a trial that no node holds, in a cluster that does not grow one.

    Raises:
        RequestError: what a trial needs, and what the largest nodes have.
    """
    nodes = live_nodes()
    if concurrent(experiment, nodes) or (not _never(experiment) and _grows()):
        return
    has = "; ".join(
        f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU"
        for node in sorted(nodes, key=lambda n: (-n.get("GPU", 0), -n.get("CPU", 0)))[:4]
    )
    fits = experiment.gpu_share and concurrent(experiment.changed(gpus_per_trial=0), nodes)
    raise RequestError(
        f"A trial must fit on one node; it needs {needs(experiment)}, and the cluster's nodes have "
        f"{has}." + " With --gpus-per-trial 0 it fits." * bool(fits)
    )


def await_place(
    experiment: Experiment,
    waiting: Callable[[str], None],
    interruption: Interruption | None = None,
    left_s: float = math.inf,
    ask: Callable[[], None] = lambda: None,
) -> None:
    """Return once a node holds a trial: at once, or when the cluster has grown one.

    Args:
        experiment: whose trials they are.
        waiting: is told what is waited for.
        interruption: ends it.
        left_s: of the time budget.
        ask: asks for what is waited for, again and again: see `Demand`.

    Raises:
        KerasweepError: none came.
        Interrupted: it was asked to stop.
    """
    began = time.monotonic()
    if not concurrent(experiment, live_nodes()):
        waiting(f"waiting for a node that holds a trial: {needs(experiment)}")
    while not concurrent(experiment, live_nodes()):
        if interruption is not None and interruption.signal is not None:
            raise Interrupted(interruption.signal)
        waited = time.monotonic() - began
        if waited > left_s:
            raise KerasweepError(
                f"A trial needs {needs(experiment)}; the time budget ended before the cluster had "
                "started a node that "
                "holds it. Why: ray status"
            )
        if waited > GROWTH_S:
            raise KerasweepError(
                f"A trial needs {needs(experiment)}; in {GROWTH_S / 60:g} minutes the cluster has "
                "not started a node "
                "that holds it. Why: ray status"
            )
        ask()
        time.sleep(1)


class Demand:
    """What a search asks of the cluster's autoscaler, which starts as much as the cluster may have.

    There is one such request in a cluster: of two searches the one counts that asked last. Each
    asks again every few seconds, so that one which ends takes nothing from the other for long.

    Ray keeps the request of a process that was killed outright. To take it back:
        python -c "import ray, ray.autoscaler.sdk as a; ray.init('auto'); a.request_resources(0)"
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._asks = False

    def ask(self, trials: int, seats: int = 1) -> None:
        """Ask for what so many trials can use at once, `seats` of them in a process."""
        at_once = min(trials, self.experiment.max_concurrent or UNBOUNDED)
        count = min(math.ceil(at_once / seats), MOST_ASKED)
        self._asks = True
        _request([resources_of(self.experiment)] * count)

    def end(self) -> None:
        """Ask for nothing more, so that nodes may go."""
        if self._asks:
            _request([])
            self._asks = False


def _request(bundles: list[dict[str, float]]) -> None:
    from ray.autoscaler.sdk import request_resources

    request_resources(bundles=bundles)


def _never(experiment: Experiment) -> bool:
    """Whether the cluster told which nodes it may start, and none of them holds a trial."""
    from pipeline.engine.internals.ray_state import node_groups

    groups = node_groups()
    return groups is not None and not _may_hold(groups, resources_of(experiment))


def _may_hold(groups: Iterable[Any], trial: dict[str, float]) -> bool:
    """Whether a node of any of the groups may hold what a trial takes.

    Of one without resources it is not known.
    """
    startable = [group.resources for group in groups if group.max_count]
    return not startable or any(
        not node or all(node.get(name, 0) >= amount for name, amount in trial.items())
        for node in startable
    )


def _grows() -> bool:
    """Whether the cluster has an autoscaler that starts nodes.

    Each cluster has a process that reports nodes as one would (Ray 2.60). It names the type of a
    node by the node's id where there are no types to choose from.
    """
    from pipeline.engine.internals.ray_state import (
        autoscaler_status,
        node_types_of_newer_autoscaler,
    )

    until = time.monotonic() + TELLS_WITHIN_S
    while time.monotonic() < until:
        if types := _types(autoscaler_status()):
            return any(map(_is_chosen, types))
        if (newer := node_types_of_newer_autoscaler()) is not None:
            return any(name and _is_chosen(name) for name in newer)
        time.sleep(0.5)
    return False


def _is_chosen(kind: str) -> bool:
    """Whether this is a type of nodes, and no node's own id."""
    return re.fullmatch("node_[0-9a-f]{56}", kind) is None


def _types(status: dict[str, dict[str, object]]) -> list[str]:
    """The types of nodes that the older autoscaler knows; [] before it tells.

    It knows none yet where it has just started the first: that is [""].
    """
    if "autoscaler_report" not in status:
        return []
    known = status["autoscaler_report"].get("active_nodes")
    return list(known) if isinstance(known, dict) and known else [""]
