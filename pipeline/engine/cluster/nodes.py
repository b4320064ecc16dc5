"""What a trial needs of each node of a cluster that was joined.

Asked of all of them, before the first trial.

Ray finds it out later, and dearly: that storage is not shared, for one, after the first epoch of a
trial. Nodes that come later are asked while trials run.

One idea: to ask, to wait and to judge share the same probe and the same clock.
"""

import math
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.engine.cluster.capacity import is_alone, trials_a_gpu
from pipeline.engine.cluster.node_facts import DRIVER, Finding, answer, facts, findings
from pipeline.engine.directory import made, not_writable
from pipeline.errors import NodesError
from pipeline.experiment import Experiment
from pipeline.logs import LOGGER
from pipeline.records.store.remote import RemotePath, unreachable

# All nodes together: each has to start a process, and to fetch the code. Where something is wrong
# already, nobody waits for those that are slow.
ANSWER_S, FOUND_S = 60.0, 15.0
ENDED_S = 5.0  # until that asking is over: it looks up every second
AGAIN_S = 60.0  # between two times that nodes are asked which come later and have not answered
PROBE_LEFT_S = 3600.0  # what is older is of a process that was killed


def check_nodes(
    experiment: Experiment,
    place: Path | RemotePath,
    preparing: Callable[[str], None],
    asked: set[str],
) -> None:
    """Ask every node, unless there is only Ray on this machine's loopback.

    That has what this process has.

    Args:
        experiment: what trials will need.
        place: the run's directory, there already or not.
        preparing: is told that it takes a while.
        asked: ids of nodes that are fit, which are not asked again; those that turn out to be are
            added.

    Raises:
        NodesError: any node is not as it must be.
        RequestError: this one cannot write where the run will be.
    """
    nodes = _unknown(asked)
    if not nodes:
        return
    preparing("asking the cluster's nodes")
    with _probe(place) as probe:
        found, silent = _found(nodes, probe, experiment)
    LOGGER.debug("nodes: %d asked, %d answered, faults: %s", len(nodes), len(found), found | silent)
    _refuse(nodes, found | silent, len(nodes.keys() - found.keys() - silent.keys()))
    asked.update(found)


class Newcomers:
    """Asks the nodes that come while trials run, beside them, as long as it is entered.

    One that does not answer may be busy with trials already, or gone: it is asked again, and
    nothing is said of it. One that is not as it must be is asked twice: storage may fail for a
    moment, which trials would survive.

    Args:
        experiment: what trials need.
        place: the run's directory.
        asked: ids of nodes that are fit; those that turn out to be are added.
        unfit: is told of nodes that are not as they must be.
    """

    def __init__(
        self,
        experiment: Experiment,
        place: Path | RemotePath,
        asked: set[str],
        unfit: Callable[[NodesError], None],
    ) -> None:
        self._experiment, self._place, self._asked, self._unfit = experiment, place, asked, unfit
        self._thread: threading.Thread | None = None
        self._tried: dict[str, float] = {}  # node -> when it was asked last
        self._doubtful: set[str] = set()
        self._over = threading.Event()

    def __enter__(self) -> "Newcomers":
        return self

    def __exit__(self, *_: object) -> None:
        """Ask nobody any more: Ray may be gone next."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(ENDED_S)

    def ask_new(self) -> None:
        """Ask the nodes that are new; returns at once."""
        if self._over.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        now = time.monotonic()
        nodes = {
            name: node
            for name, node in _unknown(self._asked).items()
            if now - self._tried.get(name, -math.inf) > AGAIN_S
        }
        if nodes:
            self._tried |= dict.fromkeys(nodes, now)
            self._thread = threading.Thread(
                target=self._ask, args=(nodes,), name="newcomers", daemon=True
            )
            self._thread.start()

    def _ask(self, nodes: dict[str, Any]) -> None:
        try:
            with _probe(self._place) as probe:
                found, _ = _found(nodes, probe, self._experiment, self._over)
        except Exception:  # this host's storage, or Ray: what comes of that is the search's affair
            return
        self._asked.update(name for name, faults in found.items() if not faults)
        unfit = {name for name, faults in found.items() if faults}
        try:
            _refuse(nodes, {name: found[name] for name in unfit & self._doubtful})
        except NodesError as error:
            self._unfit(error)
        self._doubtful |= unfit


def _refuse(nodes: dict[str, Any], found: dict[str, list[Finding]], slow: int = 0) -> None:
    rows = [
        (f"{node['NodeManagerAddress']} {node['NodeManagerHostname']}", *finding)
        for name, node in nodes.items()
        for finding in found.get(name, ())
    ]
    if rows:
        unfit = sum(map(bool, found.values()))
        waited = f" ({slow} not asked to the end)" if slow else ""
        raise NodesError(
            f"Every node of the cluster must be fit for trials; {unfit} of {len(_alive())} are "
            f"not{waited}.",
            rows,
        )


def _unknown(asked: set[str]) -> dict[str, Any]:
    """Nodes that are to be asked: none where there is only Ray on this machine's loopback."""
    alive = _alive()
    if is_alone(alive.values()):
        return {}
    return {name: node for name, node in alive.items() if name not in asked}


def _alive() -> dict[str, Any]:
    """Nodes that are there, by their ids."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return {
        node["NodeID"]: node for node in sorted(alive, key=lambda node: node["NodeManagerAddress"])
    }


@contextmanager
def _probe(place: Path | RemotePath) -> Iterator[Any]:
    """A folder in the run's storage that holds one file of this process, for a while."""
    stamp = f"{time.time():.0f}-{secrets.token_hex(8)}"
    if isinstance(place, RemotePath):
        there = place.parent / ".probe"
        probe: Any = there / stamp
        try:
            for file in there.rglob():
                if _is_left(file.parent.name):
                    file.unlink(missing_ok=True)
            (probe / DRIVER).write_bytes(DRIVER.encode())
        except OSError as error:
            raise unreachable(place.parent, error) from error
        try:
            yield probe
        finally:
            with suppress(OSError):
                for file in probe.rglob():
                    file.unlink(missing_ok=True)
        return
    with _made(place if place.exists() else place.parent) as folder:
        probe = folder / f".probe-{stamp}"
        try:
            try:
                for old in folder.glob(".probe-*"):
                    if _is_left(old.name.removeprefix(".probe-")):
                        shutil.rmtree(old, ignore_errors=True)
                probe.mkdir()
                (probe / DRIVER).write_bytes(DRIVER.encode())
            except OSError as error:
                raise not_writable(f"{folder}: {error.strerror or error}") from error
            yield probe
        finally:
            shutil.rmtree(probe, ignore_errors=True)


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            stack.enter_context(made(folder))
        except OSError as error:
            raise not_writable(f"{folder}: {error.strerror or error}") from error
        yield folder


def _is_left(stamp: str) -> bool:
    """Whether a probe of this name was left behind."""
    named = re.fullmatch(r"(\d{10,})-[0-9a-f]{16}", stamp)
    return named is not None and time.time() - int(named[1]) > PROBE_LEFT_S


Found = dict[str, list[Finding]]


def _found(
    nodes: dict[str, Any], probe: Any, experiment: Experiment, over: threading.Event | None = None
) -> tuple[Found, Found]:
    """Faults of each node: of those that answered, and of those that did not.

    Nodes that left, or were not waited for, are in neither. None is waited for once it is `over`.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from pipeline.engine.internals.ray_errors import last_line

    task: Any = ray.remote(num_cpus=0, max_retries=0)(answer)
    taken, tasks = _taken(nodes), {}
    packed = {name: _packed(experiment, node["Resources"]) for name, node in nodes.items()}
    for name, node in nodes.items():
        gpus = (
            int(node["Resources"].get("GPU", 0))
            if experiment.gpu_share and name not in taken
            else 0
        )
        there = task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False))
        tasks[there.remote(str(probe), name, gpus, experiment.gpu_share, packed[name])] = name
    here = facts()
    found: Found = {}
    silent: Found = {}
    began, waiting = time.monotonic(), list(tasks)
    while True:
        # A node may go meanwhile, as one that is preempted does, or that was idle; what is said of
        # it is not wrong.
        alive = _alive()
        found, silent = ({name: of[name] for name in alive if name in of} for of in (found, silent))
        passed = time.monotonic() - began
        if (
            not waiting
            or (over is not None and over.is_set())
            or passed > (FOUND_S if silent or any(found.values()) else ANSWER_S)
        ):
            break
        ready, waiting = ray.wait(waiting, timeout=1)
        busy = _taken(nodes) if ready else set()  # since they were asked, too
        for one in ready:
            name = tasks[one]
            try:
                said = ray.get(one)
            except ray.exceptions.RayError as error:
                silent[name] = [
                    (last_line(error), "see Ray's logs on that host, or take it out of the cluster")
                ]
                continue
            said["storage"] = said["storage"] or _unseen(probe / name, name)
            if name in busy:
                said["gpus"] = []
            found[name] = list(findings(said, here, experiment.gpu_share, packed[name]))
    for one in waiting:
        ray.cancel(one, force=True)
        if passed > ANSWER_S and tasks[one] in _alive():
            remedy = "see `ray status`, or take it out of the cluster"
            silent[tasks[one]] = [(f"no answer within {ANSWER_S:.0f} s", remedy)]
    return found, silent


def _packed(experiment: Experiment, resources: dict[str, float]) -> int:
    """How many trials may come to share one GPU of a node."""
    by_cpu = max(1, int(resources.get("CPU", 0) / experiment.cpus_per_trial + 1e-9))
    return min(trials_a_gpu(experiment), by_cpu, experiment.max_concurrent or by_cpu)


def _unseen(file: Any, name: str) -> str | None:
    """The fault where a node wrote its name into a file and this host does not find it there."""
    with suppress(OSError):
        if file.read_bytes() == name.encode():
            return None
    return "what is written there is not seen here"


def _taken(nodes: dict[str, Any]) -> set[str]:
    """Nodes of which others have GPUs, through Ray.

    Trials will wait for them, and their memory is in use.
    """
    from pipeline.engine.internals.ray_state import free_resources

    free = free_resources()
    return {
        n
        for n, node in nodes.items()
        if free.get(n, {}).get("GPU", 0) < node["Resources"].get("GPU", 0)
    }
