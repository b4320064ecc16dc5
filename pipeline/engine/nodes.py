"""What a trial needs of each node of a cluster that was joined: asked of all of them, before the first trial.

Ray finds it out later, and dearly: that storage is not shared, for one, after the first epoch of a trial.
"""

import importlib.util
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pipeline
from pipeline.engine.preflight import made, not_writable
from pipeline.errors import NodesError, one_line
from pipeline.experiment import Experiment
from pipeline.names import HOME
from pipeline.records.remote import RemotePath, location, unreachable
from pipeline.worker.devices import memory_cap_mib

# All nodes together: each has to start a process, and to fetch the code. Where something is wrong already, nobody waits
# for those that are slow.
ANSWER_S, FOUND_S = 60.0, 15.0
FREED_S = 5.0  # until the memory of a process that has just ended on a GPU is free again
LEFT_S = 3600.0  # what is older is of a process that was killed
ALIKE = ("keras", "numpy", "ray")
DRIVER = "driver"  # the name of its file, beside those of the nodes

Finding = tuple[str, str]  # what is wrong, what to do


def check_nodes(
    experiment: Experiment, place: Path | RemotePath, preparing: Callable[[str], None], asked: set[str]
) -> None:
    """Ask every node, unless there is only Ray on this machine's loopback: that has what this process has.

    Args:
        experiment: what trials will need.
        place: the run's directory, there already or not.
        preparing: is told that it takes a while.
        asked: ids of nodes that are fit, which are not asked again; those that turn out to be are added.

    Raises:
        NodesError: any node is not as it must be.
        RequestError: this one cannot write where the run will be.
    """
    alive = _alive()
    nodes = {name: node for name, node in alive.items() if name not in asked}
    if not nodes or all(node["NodeManagerAddress"].startswith("127.") for node in alive.values()):
        return
    preparing("asking the cluster's nodes")
    with _probe(place) as probe:
        found = _found(nodes, probe, experiment.gpu_share)
    rows = [
        (f"{node['NodeManagerAddress']} {node['NodeManagerHostname']}", *finding)
        for name, node in nodes.items()
        for finding in found.get(name, ())
    ]
    if rows:
        unfit, slow = sum(map(bool, found.values())), len(nodes.keys() - found.keys())
        waited = f" ({slow} not asked to the end)" if slow else ""
        raise NodesError(
            f"Every node of the cluster must be fit for trials; {unfit} of {len(alive)} are not{waited}.", rows
        )
    asked.update(found)


def _alive() -> dict[str, Any]:
    """Nodes that are there, by their ids."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return {node["NodeID"]: node for node in sorted(alive, key=lambda node: node["NodeManagerAddress"])}


@contextmanager
def _probe(place: Path | RemotePath) -> Iterator[Any]:
    """A folder in the run's storage that holds one file of this process, for as long as it takes."""
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
    return named is not None and time.time() - int(named[1]) > LEFT_S


def _found(nodes: dict[str, Any], probe: Any, gpu_share: float) -> dict[str, list[Finding]]:
    """What is wrong with each node; none of those that are gone, and of those that were not waited for."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_retries=0)(answer)
    taken, tasks = _taken(nodes), {}
    for name, node in nodes.items():
        gpus = int(node["Resources"].get("GPU", 0)) if gpu_share and name not in taken else 0
        there = NodeAffinitySchedulingStrategy(name, soft=False)
        tasks[task.options(scheduling_strategy=there).remote(str(probe), name, gpus, gpu_share)] = name
    here = facts()
    found: dict[str, list[Finding]] = {}
    began, waiting = time.monotonic(), list(tasks)
    while True:
        # A node may go meanwhile, as one that is preempted does, or that was idle; what is said of it is not wrong.
        found = {name: found[name] for name in _alive() if name in found}
        passed = time.monotonic() - began
        if not waiting or passed > (FOUND_S if any(found.values()) else ANSWER_S):
            break
        ready, waiting = ray.wait(waiting, timeout=1)
        busy = _taken(nodes) if ready else set()  # since they were asked, too
        for one in ready:
            name = tasks[one]
            try:
                said = ray.get(one)
            except ray.exceptions.RayError as error:
                last = one_line(str(error).strip().splitlines()[-1])
                found[name] = [(last, "see Ray's logs on that host, or take it out of the cluster")]
                continue
            said["storage"] = said["storage"] or _unseen(probe / name, name)
            if name in busy:
                said["gpus"] = []
            found[name] = list(findings(said, here, gpu_share))
    for one in waiting:
        ray.cancel(one, force=True)
        if passed > ANSWER_S and tasks[one] in _alive():
            remedy = "see `ray status`, or take it out of the cluster"
            found[tasks[one]] = [(f"no answer within {ANSWER_S:.0f} s", remedy)]
    return found


def _unseen(file: Any, name: str) -> str | None:
    """What is wrong where a node has written its name into a file, and this host does not find it there."""
    with suppress(OSError):
        if file.read_bytes() == name.encode():
            return None
    return "what is written there is not seen here"


def _taken(nodes: dict[str, Any]) -> set[str]:
    """Nodes of which others have GPUs, through Ray: trials will wait for them, and their memory is in use."""
    from ray._private.state import available_resources_per_node

    free = available_resources_per_node()
    return {n for n, node in nodes.items() if free.get(n, {}).get("GPU", 0) < node["Resources"].get("GPU", 0)}


def answer(probe: str, name: str, gpus: int, gpu_share: float = 0.0) -> dict[str, Any]:
    """What a node says of itself; `name` is its own, `gpus` how many it is to have, `gpu_share` what a trial takes."""
    fault = None
    try:
        if (location(probe) / DRIVER).read_bytes() != DRIVER.encode():
            fault = "another file is in the place of this one's"
        (location(probe) / name).write_bytes(name.encode())
    except OSError as error:
        fault = one_line(error.strerror or str(error))
    until = time.monotonic() + FREED_S
    memory = _gpus(gpus) if gpus else []
    while not isinstance(memory, str) and any(_short(*one, gpu_share) for one in memory) and time.monotonic() < until:
        time.sleep(0.5)
        memory = _gpus(gpus)
    return facts() | {"storage": fault, "place": str(location(probe).parent), "gpus": memory}


def facts() -> dict[str, Any]:
    """Where this process finds our code and its backend, and at which versions what must be alike everywhere."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "kerasweep": pipeline.__version__}
    for package in ALIKE:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    others = importlib.util.find_spec("datasets")
    return {
        "versions": found,
        "backend": (backend, importlib.util.find_spec(backend) is not None),
        "code": str(HOME),
        "datasets": others and others.origin and str(Path(others.origin).resolve()),
    }


def _gpus(count: int) -> list[tuple[int, int]] | str:
    """Free and total memory of each GPU that Ray may give away here, in MiB; or why it is not known."""
    import pynvml

    try:
        pynvml.nvmlInit()
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = [str(n) for n in range(pynvml.nvmlDeviceGetCount())] if seen is None else seen.split(",")
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(int(n)) if n.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(n)
            for n in names
        ]
        memory = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
    except pynvml.NVMLError as error:
        return one_line(str(error))
    if len(memory) < count:
        return f"Ray counts {count}, the driver {len(memory)}"
    return [(int(one.free) // 2**20, int(one.total) // 2**20) for one in memory]


def _short(free: int, total: int, gpu_share: float) -> int:
    """The memory that a trial needs of a GPU, in MiB, where that is not free; else 0."""
    needed = memory_cap_mib(total, gpu_share) if gpu_share < 1 else total // 2
    return needed if free < needed else 0


def findings(said: dict[str, Any], here: dict[str, Any], gpu_share: float) -> Iterator[Finding]:
    """What is wrong with a node, by what it says of itself and what the driver says of `here`."""
    install = "install there what this host has: pip install -c constraints.txt '.[cluster]'"
    for package, wanted in here["versions"].items():
        found = said["versions"].get(package)
        if found != wanted:
            yield f"{package} {found or 'is missing'}, here {wanted}", install
    backend, there = said["backend"]
    if not there:
        yield f"KERAS_BACKEND={backend}, and no {backend}", install
    if said["datasets"] is None or Path(said["datasets"]).parents[1] != Path(said["code"]):
        yield f"`datasets` is {said['datasets']}", f"let Ray on that host find {said['code']} first: see its PYTHONPATH"
    if said["storage"]:
        yield (
            f"storage {said['place']}: {said['storage']}",
            "give --storage a folder that all hosts share, mounted at the same path, or s3://…",
        )
    if isinstance(said["gpus"], str):
        yield f"GPUs: {said['gpus']}", "see `nvidia-smi` on that host, or start Ray there with --num-gpus 0"
        return
    for number, (free, total) in enumerate(said["gpus"]):
        if needed := _short(free, total, gpu_share):
            yield (
                f"GPU {number}: {free} of {total} MiB are free, a trial needs {needed}",
                "end what else uses it: see `nvidia-smi` on that host",
            )
