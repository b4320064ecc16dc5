"""Ray started or joined: on loopback with a token, or a cluster that is there."""

import logging
import os
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.engine.capacity import concurrent
from pipeline.engine.watch import PASSED_ON
from pipeline.errors import KerasweepError, RequestError
from pipeline.experiment import Experiment
from pipeline.names import HOME, Target
from pipeline.records.scratch import new_folder
from pipeline.worker.devices import threads_of

# Read by Ray when it is imported or Tune when it runs, here and in the workers.
ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's relative paths keep their meaning
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer output prints a banner even when it is told to be silent
    # the ledger records; Ray's loggers keep 300 KB a trial
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Tune's own state is never read back
    "TUNE_FORCE_TRIAL_CLEANUP_S": "60",  # by default a worker that hangs keeps its GPU for 600 s
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray knows that a node is lost after 15 to 70 s. By default it says after 1 s that a worker "is
    # unavailable": held against its trial, which is started anew at once, perhaps on the same node.
    "RAY_timeout_ms_task_wait_for_death_info": "120000",
}
# glibc gives each of a process's many threads a heap of its own, where what it freed stays: of
# chunks of data that were gathered in several threads, 30 MB a trial.
HEAPS = {"MALLOC_ARENA_MAX": "2"}
# A local cluster listens on loopback alone, and asks for a token of this process.
LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
TOKEN = "RAY_AUTH_TOKEN"
_given: dict[str, str | None] = {}  # the caller's own, of the variables that a local cluster took


def address_of(experiment: Experiment) -> str | None:
    """The cluster to join: what was asked for, else what Ray's own variable names.

    None is this machine alone.
    """
    named = experiment.address or os.environ.get("RAY_ADDRESS")
    return None if named in ("", "local") else named


@contextmanager
def cluster(
    experiment: Experiment, targets: list[Target], *, warm: bool = False, insecure: bool = False
) -> Iterator[bool]:
    """Ray, for the time of a run. One that the caller had started is used, and left running.

    Yields whether its processes were started from this one, and so have its environment.

    Args:
        experiment: what Ray is for.
        targets: modules of the user's that other hosts need.
        warm: let the processes that a local Ray holds ready import Keras while the driver is still
            setting up.
        insecure: join a cluster that asks for no token, too.
    """
    address = address_of(experiment)
    variables = {k: v for k, v in ENVIRONMENT.items() if k not in os.environ}
    if address is None and "ray" not in sys.modules:
        # Ray reads these once, when it is imported, so they stay for the next run of this process.
        _set(LOCAL | {TOKEN: secrets.token_hex(32)})
    with _environment(variables):
        import ray

        _hush()
        if address is None and not ray.is_initialized():
            _take_token()
        folders: list[str] = []
        started = False
        try:
            if not ray.is_initialized():
                started = True
                with _signals_wait():
                    if address is None:
                        folders.append(new_folder())
                        _start(experiment, folders[0], warm=warm)
                    else:
                        _join(address, targets, folders, insecure=insecure)
                _let_raylet_print(False)
            yield started and address is None
        finally:
            if started:
                ray.shutdown()
                _let_raylet_print(True)
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)


def _let_raylet_print(allowed: bool) -> None:
    """Of each process that dies it prints a paragraph.

    Here the records and the closing lines say what came of it.
    """
    from ray._private import worker

    # `log_to_driver` does not reach `listen_error_messages` (2.60).
    worker._worker_logs_enabled = allowed


def _take_token() -> None:
    """Have a token where the caller imported Ray first.

    Ray would write one that all may read into the home (2.60).
    """
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    _given.setdefault("RAY_AUTH_MODE", os.environ.get("RAY_AUTH_MODE"))  # Ray sets it
    if TOKEN not in os.environ:
        _set({TOKEN: secrets.token_hex(32)})
        AuthenticationTokenLoader.instance().reset_cache()  # of an earlier Ray of the caller's


def _set(variables: dict[str, str]) -> None:
    """Set environment variables that stay, until `_give_back`."""
    for name, value in variables.items():
        _given.setdefault(name, os.environ.get(name))
        os.environ[name] = value


def _give_back() -> None:
    """Show a cluster the caller's own token.

    An earlier search of this process may have put a local one in its place.

    Ray keeps all of it from when it was imported, so it is told too.
    """
    from ray._private import ray_constants
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    if not _given:
        return
    for name, value in _given.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _given.clear()
    ray_constants.ENABLE_RAY_CLUSTER = (
        os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "1") != "0"
    )
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


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
def _signals_wait() -> Iterator[None]:
    """Do what a signal asks for once Ray has started.

    Broken off, Ray crashes this process as it ends (2.60).

    The same signal again does not wait, unless a sweep passes it on. Nor does one that has no
    handler in Python. Ray leaves that of SIGTERM as it is; its own would exit at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    from ray._private import utils

    handlers: dict[int, Any] = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM, PASSED_ON)
        if callable(handler := signal.getsignal(number))
    }
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if number not in came:
            came.append(number)
        elif number != PASSED_ON:
            handlers[number](number, frame)

    theirs = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        for number in handlers:
            signal.signal(number, wait)
        yield
    finally:
        utils.set_sigterm_handler = theirs
        with ExitStack() as after:  # each handler may raise
            for number in reversed(came):
                after.callback(signal.raise_signal, number)
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def keep_signals() -> Iterator[None]:
    """Keep Tune from taking SIGINT, and SIGUSR1 whatever it is told (2.60).

    Nobody would know why the search ended.
    """
    from ray.tune import tune

    theirs = tune._setup_signal_catching
    tune._setup_signal_catching = threading.Event
    try:
        yield
    finally:
        tune._setup_signal_catching = theirs


@contextmanager
def let_trials_inherit() -> Iterator[None]:
    """Keep Tune from giving its actors environment variables.

    Ray would start a process for each (Ray 2.60).

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

    # Else Ray replaces a loopback address by the machine's own. It reads this from the environment
    # when it is imported, which the caller may have done before.
    ray_constants.ENABLE_RAY_CLUSTER = False
    # Workers find what the driver finds, also when it is not the current directory that holds it.
    # They inherit it: with a runtime environment Ray starts a process for each actor, and those
    # that it holds ready stay unused (2.60).
    inherited = {
        "PYTHONPATH": os.pathsep.join(p for p in (str(HOME), os.environ.get("PYTHONPATH")) if p)
    }
    inherited |= {name: value for name, value in HEAPS.items() if name not in os.environ}
    if warm and _uses_most(experiment):
        inherited |= {"RAY_preload_python_modules": "pipeline.engine.warm"}
        # read while NumPy is imported
        inherited |= {"OMP_NUM_THREADS": str(threads_of(experiment.cpus_per_trial))}
    try:
        with _environment(inherited), _agents_ending(Path(temporary)):
            ray.init(
                num_cpus=experiment.cpus,
                num_gpus=experiment.gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                _node_ip_address="127.0.0.1",
                _temp_dir=temporary,
            )
    except Exception as error:  # of its own kind where Ray waits for a busy machine for 30 s (2.60)
        raise KerasweepError(
            f"Ray did not start on this machine: {' '.join(str(error).split())[:300]}"
        ) from error


@contextmanager
def _agents_ending(temporary: Path) -> Iterator[None]:
    """Let Ray's two agents end as soon as the node does, also if that is while Ray starts.

    Where it was killed, they try for a minute to report that to a server which is dead too, unless
    the node's log has this line (`ray/_private/process_watcher.py`, 2.60): with it they were gone
    after 2.5 s.
    """
    started = threading.Event()

    def tell() -> None:
        while not (logs := list(temporary.glob("session_*/logs/raylet.out"))) and not started.wait(
            0.05
        ):
            pass
        for log in logs:
            with log.open("a") as file:
                file.write("Raylet received SIGTERM, as far as its agents are to know.\n")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        started.set()
        teller.join()


def _join(address: str, targets: list[Target], folders: list[str], *, insecure: bool) -> None:
    import ray

    from pipeline.engine import shipping
    from pipeline.engine.access import check_access

    environment: dict[str, Any] = {"env_vars": ENVIRONMENT | HEAPS}
    # `ray job submit` has shipped the code, and refuses what it was given already.
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        folders.append(shipping.stage(targets))
        environment["working_dir"] = folders[-1]
        environment["env_vars"] |= {k: os.environ[k] for k in ("KERAS_BACKEND",) if k in os.environ}
    _give_back()
    try:
        check_access(address, insecure=insecure)
        ray.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        line = " ".join(str(error).split())[:300]
        raise RequestError(
            f"--address must name a running Ray cluster that this host belongs to; {address} did "
            f"not answer: {line} "
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
    return experiment.gpu_share == 0 and needed > held / 2
