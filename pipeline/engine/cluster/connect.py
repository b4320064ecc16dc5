"""Ray started or joined: on loopback with a token, or a cluster that is there."""

import logging
import math
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.engine.cluster.capacity import concurrent, may_have_gpu
from pipeline.engine.internals.ray_process import (
    TOKEN,
    agents_ending,
    environment_with,
    give_variables_back,
    hush,
    let_raylet_print,
    set_variables,
    signals_wait,
    take_token,
    without_widgets,
)
from pipeline.errors import KerasweepError, RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.logs import LOGGER
from pipeline.names import Source, search_path
from pipeline.records.store.scratch import new_folder
from pipeline.worker.devices.machine import threads_of

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


def address_of(experiment: Experiment) -> str | None:
    """The cluster to join: what was asked for, else what Ray's own variable names.

    None is this machine alone.
    """
    named = experiment.address or os.environ.get("RAY_ADDRESS")
    return None if named in ("", "local") else named


@contextmanager
def cluster(
    experiment: Experiment,
    targets: list[Source],
    *,
    warm: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
    insecure: bool = False,
) -> Iterator[bool]:
    """Ray, for the time of a run. One that the caller had started is used, and left running.

    Yields whether its processes were started from this one, and so have its environment.

    Args:
        experiment: what Ray is for.
        targets: modules of the user's that other hosts need.
        warm: let the processes that a local Ray holds ready import Keras while the driver is still
            setting up.
        meanwhile: called while the processes of a local Ray start, for which the driver waits; not
            in a thread: Ray's packages fail where two import them at once.
        insecure: join a cluster that asks for no token, too.
    """
    address = address_of(experiment)
    variables = {k: v for k, v in ENVIRONMENT.items() if k not in os.environ}
    if address is None and "ray" not in sys.modules:
        # Ray reads these once, when it is imported, so they stay for the next run of this process.
        set_variables(LOCAL | {TOKEN: secrets.token_hex(32)})
    with environment_with(variables):
        with without_widgets():
            import ray
        hush()
        if address is None and not ray.is_initialized():
            take_token()
        folders: list[str] = []
        started = False
        try:
            if not ray.is_initialized():
                started = True
                with signals_wait():
                    if address is None:
                        _start(experiment, folders, meanwhile, warm=warm)
                    else:
                        _join(address, targets, folders, insecure=insecure)
                let_raylet_print(False)
            yield started and address is None
        finally:
            if started:
                ray.shutdown()
                let_raylet_print(True)
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)


def _start(
    experiment: Experiment, folders: list[str], meanwhile: Callable[[], None], *, warm: bool
) -> None:
    """Start Ray, at the second try if the first fails: a machine may be busy for a moment."""
    from pipeline.engine.internals.ray_start import start_on_loopback

    # Workers find what the driver finds, also when it is not the current directory that holds it.
    # They inherit it: with a runtime environment Ray starts a process for each actor, and those
    # that it holds ready stay unused (2.60).
    inherited = {"PYTHONPATH": search_path()}
    inherited |= {name: value for name, value in HEAPS.items() if name not in os.environ}
    if warm and _uses_most(experiment):
        inherited |= {"RAY_preload_python_modules": "pipeline.engine.warm"}
        # else one that waits for a trial is ended after a second
        inherited |= {"RAY_num_workers_soft_limit": str(1 + _at_once(experiment))}
        # read while NumPy is imported
        inherited |= {"OMP_NUM_THREADS": str(threads_of(experiment.cpus_per_trial))}
    for again in (True, False):
        folders.append(new_folder())
        try:
            with environment_with(inherited), agents_ending(Path(folders[-1])):
                start_on_loopback(folders[-1], experiment.cpus, experiment.gpus, meanwhile)
            LOGGER.debug("Ray has started on this machine, in %s", folders[-1])
            return
        # of its own kind where Ray waits for a busy machine for 30 s (2.60)
        except Exception as error:
            LOGGER.debug("Ray did not start on this machine: %s", error)
            if not again:
                raise KerasweepError(
                    f"Ray did not start on this machine: {one_line(str(error))}"
                ) from error


def _join(address: str, targets: list[Source], folders: list[str], *, insecure: bool) -> None:
    import ray

    from pipeline.engine.cluster import shipping
    from pipeline.engine.cluster.access import check_access
    from pipeline.engine.internals.ray_errors import NOT_JOINED

    environment: dict[str, Any] = {"env_vars": ENVIRONMENT | HEAPS}
    # `ray job submit` has shipped the code, and refuses what it was given already.
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        folders.append(shipping.stage(targets))
        environment["working_dir"] = folders[-1]
        environment["env_vars"] |= {k: os.environ[k] for k in ("KERAS_BACKEND",) if k in os.environ}
    give_variables_back()
    try:
        check_access(address, insecure=insecure)
        ray.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
        )
        LOGGER.debug("joined the cluster at %s", address)
    except NOT_JOINED as error:
        raise RequestError(
            f"--address must name a running Ray cluster that this host belongs to; {address} did "
            f"not answer: {one_line(str(error))} "
            "From another host: ray job submit --address http://HOST:8265 --working-dir . -- "
            "python -m pipeline.run … --address auto"
        ) from error


def _uses_most(experiment: Experiment) -> bool:
    """Whether the search needs about as many processes as Ray holds ready, which is one a CPU.

    Not with GPUs: which ones a process sees must be settled before JAX is imported.
    """
    gpus = experiment.gpu_share or (experiment.gpus_per_trial is None and may_have_gpu(experiment))
    return not gpus and 1 + _at_once(experiment) > _held(experiment) / 2


def _held(experiment: Experiment) -> int:
    """How many processes a local Ray holds ready: one a CPU."""
    from pipeline.engine.internals.ray_state import cpus_here

    return int(experiment.cpus or cpus_here())


def _at_once(experiment: Experiment, seats: int = 1) -> int:
    """How many processes train at once on a local Ray without GPUs."""
    fit = concurrent(experiment, [{"CPU": _held(experiment)}])
    return min(fit, math.ceil(experiment.at_once / seats))


def start_processes(experiment: Experiment, seats: int) -> None:
    """Have the helper's process and those of trials on a local Ray, before there are trials.

    Each is for so many trials as there are `seats`. Ray holds one a CPU ready, of which the helper
    takes one. It would start another when a trial is there that has none, and that imports for
    seconds first.
    """
    from pipeline.engine.internals.ray_start import start_more

    more = 1 + _at_once(experiment, seats) - _held(experiment)
    if more > 0 and _uses_most(experiment):
        start_more(more)
