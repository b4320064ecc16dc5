"""Ray started or joined: on loopback with a token, or a cluster that is there; and what runs at once on it."""

import logging
import math
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.engine.scratch import new_folder
from pipeline.errors import KerasweepError, RequestError
from pipeline.experiment import Experiment
from pipeline.names import HOME, Target
from pipeline.worker.devices import threads_of

# Read by Ray when it is imported or Tune when it runs, here and in the workers.
ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths keep their meaning
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer output prints a banner even when it is told to be silent
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger records; Ray's loggers keep 300 KB a trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are ours (console), SIGTERM too
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's own state is never read back
    "TUNE_FORCE_TRIAL_CLEANUP_S": "60",  # by default a worker that hangs keeps its GPU for 600 s
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# glibc gives each of a process's many threads a heap of its own, where what it freed stays: of chunks of data that were
# gathered in several threads, 30 MB a trial.
HEAPS = {"MALLOC_ARENA_MAX": "2"}
# A local cluster listens on loopback alone, and asks for a token of this process.
LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


@contextmanager
def cluster(experiment: Experiment, targets: list[Target], *, warm: bool = False) -> Iterator[bool]:
    """Ray, for the time of a run. One that the caller had started is used, and left running.

    Yields whether its processes were started from this one, and so have its environment.

    Args:
        experiment: what Ray is for.
        targets: modules of the user's that other hosts need.
        warm: let the processes that a local Ray holds ready import Keras while the driver is still setting up.
    """
    address = experiment.address or os.environ.get("RAY_ADDRESS")
    variables = {k: v for k, v in ENVIRONMENT.items() if k not in os.environ}
    if address is None and "ray" not in sys.modules:
        # Ray reads these once, when it is imported, so they stay for the next run of this process. Where the caller has
        # imported Ray before, its own default holds: a token in the user's home.
        os.environ.update(LOCAL | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
    with _environment(variables):
        import ray

        _hush()
        folders: list[str] = []
        started = False
        try:
            if not ray.is_initialized():
                started = True
                with _own_signals():
                    if address is None:
                        folders.append(new_folder())
                        _start(experiment, folders[0], warm=warm)
                    else:
                        _join(address, targets, folders)
            yield started and address is None
        finally:
            if started:
                ray.shutdown()
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables, and give them back as they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the caller's SIGTERM handler: `ray.init` puts its own in its place, which exits at once (Ray 2.60)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def let_trials_inherit() -> Iterator[None]:
    """Keep Tune from giving its actors environment variables: Ray would start a process for each (Ray 2.60).

    The processes have them, as they were started from this one; all but one of PyTorch Lightning's.
    """
    from ray.tune.execution import class_cache

    given, propagated = dict(class_cache.DEFAULT_ENV_VARS), set(class_cache.ENV_VARS_TO_PROPAGATE)
    class_cache.DEFAULT_ENV_VARS.clear()
    class_cache.ENV_VARS_TO_PROPAGATE.clear()
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS.update(given)
        class_cache.ENV_VARS_TO_PROPAGATE.update(propagated)


def _hush() -> None:
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _start(experiment: Experiment, temporary: str, *, warm: bool) -> None:
    import ray
    from ray._private import ray_constants

    # Else Ray replaces a loopback address by the machine's own. It reads this from the environment when it is imported,
    # which the caller may have done before.
    ray_constants.ENABLE_RAY_CLUSTER = False
    # Workers find what the driver finds, also when it is not the current directory that holds it. They inherit it: with
    # a runtime environment Ray starts a process for each actor, and those that it holds ready stay unused (2.60).
    inherited = {"PYTHONPATH": os.pathsep.join(p for p in (str(HOME), os.environ.get("PYTHONPATH")) if p)}
    inherited |= {name: value for name, value in HEAPS.items() if name not in os.environ}
    if warm and _uses_most(experiment):
        inherited |= {"RAY_preload_python_modules": "pipeline.engine.warm"}
        inherited |= {"OMP_NUM_THREADS": str(threads_of(experiment.cpus_per_trial))}  # read while NumPy is imported
    try:
        with _environment(inherited):
            ray.init(
                num_cpus=experiment.cpus,
                num_gpus=experiment.gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _node_ip_address="127.0.0.1",
                _temp_dir=temporary,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise KerasweepError(f"Ray did not start on this machine: {' '.join(str(error).split())[:300]}") from error
    _let_agents_end(Path(temporary))


def _let_agents_end(temporary: Path) -> None:
    """Let Ray's two agents end as soon as the node does.

    Where it was killed, they try for a minute to report that to a server which is dead too, unless the node's log has
    this line (`ray/_private/process_watcher.py`, 2.60): with it they were gone after 2.5 s.
    """
    for log in temporary.glob("session_*/logs/raylet.out"):
        with log.open("a") as file:
            file.write("Raylet received SIGTERM, as far as its agents are to know.\n")


def _join(address: str, targets: list[Target], folders: list[str]) -> None:
    import ray

    from pipeline.engine import shipping

    environment: dict[str, Any] = {"env_vars": ENVIRONMENT | HEAPS}
    # `ray job submit` has shipped the code, and refuses what it was given already.
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        folders.append(shipping.stage(targets))
        environment["working_dir"] = folders[-1]
        environment["env_vars"] |= {k: os.environ[k] for k in ("KERAS_BACKEND",) if k in os.environ}
    try:
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        line = " ".join(str(error).split())[:300]
        raise RequestError(
            f"--address must name a running Ray cluster that this host belongs to; {address} did not answer: {line} "
            "From another host: ray job submit --address http://HOST:8265 --working-dir . -- "
            "python -m pipeline.run … --address auto"
        ) from error


def _uses_most(experiment: Experiment) -> bool:
    """Whether the search needs about as many processes as Ray holds ready, which is one a CPU.

    Not with GPUs: which ones a process sees must be settled before JAX is imported.
    """
    from ray._private.utils import get_num_cpus

    held = experiment.cpus or get_num_cpus()
    fit = concurrent(experiment, [{"CPU": held}])
    needed = 1 + min(fit, experiment.max_concurrent or held, experiment.trials)
    return experiment.gpus_per_trial == 0 and needed > held / 2


def resources_of(experiment: Experiment) -> dict[str, float]:
    """What one trial takes, as Ray counts it."""
    share = {"CPU": experiment.cpus_per_trial, "GPU": experiment.gpus_per_trial}
    return {name: amount for name, amount in share.items() if amount}


def concurrent(experiment: Experiment, nodes: list[dict[str, float]]) -> int:
    """How many trials the nodes hold at once. A share of a GPU packs on each GPU by itself."""
    total = 0
    for node in nodes:
        by_cpu = math.floor(node.get("CPU", 0) / experiment.cpus_per_trial + 1e-9)
        gpus, share = node.get("GPU", 0), experiment.gpus_per_trial
        if share == 0:
            total += by_cpu
        elif share < 1:
            total += min(by_cpu, math.floor(1 / share + 1e-9) * math.floor(gpus))
        else:
            total += min(by_cpu, math.floor(gpus / share + 1e-9))
    return total


def live_nodes() -> list[dict[str, float]]:
    """The resources of each node of the cluster."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def check_resources(experiment: Experiment) -> None:
    """Refuse a trial that no node can hold.

    Raises:
        RequestError: what a trial needs, and what the largest node has.
    """
    nodes = live_nodes()
    if concurrent(experiment, nodes) > 0 or _may_grow(experiment):
        return
    needs = ", ".join(f"{amount:g} {name}" for name, amount in resources_of(experiment).items())
    has = "; ".join(
        f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU"
        for node in sorted(nodes, key=lambda n: (-n.get("GPU", 0), -n.get("CPU", 0)))[:4]
    )
    raise RequestError(f"A trial must fit on one node; it needs {needs}, and the cluster's nodes have {has}.")


def _may_grow(experiment: Experiment) -> bool:
    """Whether the cluster's autoscaler may start what a trial needs, as far as it tells."""
    from ray._private.state import state

    most = state.get_max_resources_from_cluster_config() or {}
    return bool(most) and all(most.get(name, 0) >= amount for name, amount in resources_of(experiment).items())


def slots(experiment: Experiment) -> Callable[[], int]:
    """How many trials may run at once, looked up anew every few seconds: nodes come and go."""
    held = {"at": -math.inf, "count": 1}

    def count() -> int:
        if time.monotonic() - held["at"] > 5:
            fits = max(1, concurrent(experiment, live_nodes()))
            held.update(at=time.monotonic(), count=min(fits, experiment.max_concurrent or fits))
        return int(held["count"])

    return count


def packing_warning(experiment: Experiment) -> str | None:
    """A line on a share that leaves a part of each GPU unused."""
    share = experiment.gpus_per_trial
    fits = math.floor(1 / share + 1e-9) if share else 0
    if not 0 < share < 1 or 1 - fits * share < 0.02:  # 0.33 is meant to be a third
        return None
    return (
        f"{share:g} of a GPU does not divide it evenly: {fits} trials a GPU leave {1 - fits * share:.0%} of each "
        f"unused; {1 / fits:.3g} or {1 / (fits + 1):.3g} would not."
    )
