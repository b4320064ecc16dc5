"""How many trials share a GPU, found out.

The default model trains for some steps on a whole one.
"""

import math
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from pipeline.data.fit_data import Data
from pipeline.engine.cluster.capacity import live_nodes
from pipeline.engine.imports import import_keras
from pipeline.engine.internals.ray_errors import ours
from pipeline.errors import KerasweepError, LostError, RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.names import Source
from pipeline.worker.devices import cuda, machine
from pipeline.worker.session import Job, Stopped, Until

MOST_ON_A_GPU = 16  # trials a GPU: it computes one after the other, and each holds a process
# other configurations are larger than the default, and memory is handed out in pieces
HEADROOM = 1.25
PROBE_EXAMPLES = 2048  # some steps of any sensible batch size
# parts of a GPU that Ray counts: seven shares of 1/7, each rounded up, would be more than one
FINEST = 10_000


@dataclass(frozen=True)
class Measured:
    """A training's peak, and what its GPU has; `failure` says why it did not train."""

    peak_mib: int
    total_mib: int
    failure: str = ""


def measured_share(
    experiment: Experiment, search_space: Any, data: Any, job: Job
) -> tuple[float, str]:
    """The share of a GPU that lets as many trials as possible share one, and a line on why.

    Raises:
        RequestError: the default model does not train on a whole GPU, or there is none to be asked.
        KerasweepError: it could not be measured.
    """
    task: Any = _measure  # Ray gives it `options`
    probe = task.options(num_cpus=experiment.cpus_per_trial, num_gpus=1)
    found = checked(measured_by(probe.remote(search_space, data, job, experiment.cpus_per_trial)))
    count = most_that_fit(found, most_of_use(experiment, live_nodes()))
    share = math.floor(FINEST / count) / FINEST
    cap = f", {machine.memory_cap_mib(found.total_mib, share):,} MiB each" if count > 1 else ""
    return share, (
        f"the default model's peak is {found.peak_mib:,} of {found.total_mib:,} MiB: {count} "
        f"trial{'s' * (count > 1)} a GPU{cap}"
    )


def measured_by(probe: Any) -> Any:
    """What came of a probe.

    Raises:
        KerasweepError: none came; or as it raised it.
    """
    try:
        with ours("the process that trained it"):
            return ray.get(probe)
    except LostError as error:
        raise _not_measured(str(error)) from error
    except KerasweepError:
        raise
    except Exception as error:
        raise _not_measured(str(error)) from error


def _not_measured(why: str) -> KerasweepError:
    return KerasweepError(
        f"gpus_per_trial auto could not measure the default model. {one_line(why)}"
    )


def checked(found: Measured | None) -> Measured:
    """What a probe found, if that is a measurement.

    Raises:
        RequestError: there was no GPU, nothing was trained, or what it took is not known.
    """
    if found is None:
        raise RequestError(
            "gpus_per_trial auto must find a GPU to measure on; where Ray counts one, CUDA shows "
            "none. Give a number."
        )
    if found.failure:
        raise RequestError(
            "gpus_per_trial auto must see the default configuration train on a whole GPU; it "
            f"failed: {found.failure}"
        )
    if not found.peak_mib:
        raise RequestError(
            "gpus_per_trial auto must know what the default model takes of a GPU; Keras's backend "
            "tells no peak. Give "
            "a number."
        )
    return found


def most_of_use(experiment: Experiment, nodes: list[dict[str, float]]) -> int:
    """How many trials a GPU there are CPUs for, and trials, on the node that has most."""
    gpus = [node for node in nodes if node.get("GPU", 0)]
    by_cpu = [
        math.floor(node.get("CPU", 0) / experiment.cpus_per_trial / node["GPU"] + 1e-9)
        for node in gpus
    ]
    at_once = min(experiment.trials, experiment.max_concurrent or experiment.trials)
    by_trials = math.ceil(at_once / max(1, sum(math.floor(node["GPU"]) for node in gpus)))
    return max(1, min(MOST_ON_A_GPU, max(by_cpu, default=1), by_trials))


def most_that_fit(found: Measured, most: int) -> int:
    """How many trials of that peak share a GPU, each within the cap of its share.

    1 where no two do.
    """
    needed = found.peak_mib * HEADROOM
    fit = (
        n for n in range(most, 1, -1) if machine.memory_cap_mib(found.total_mib, 1 / n) >= needed
    )
    return next(fit, 1)


@ray.remote(max_calls=1, max_retries=0)  # its process ends with it, and gives the GPU back
def _measure(search_space: Source | Any, data: Data, job: Job, cpus: float) -> Measured | None:
    machine.claim(cpus, gpus=1)
    memory = cuda.memory()
    if memory is None:
        return None
    import_keras()
    failure = train_default(search_space, data, job)
    return Measured(machine.peak_memory_mib(), memory.total_mib, failure)


def train_default(search_space: Source | Any, data: Data, job: Job) -> str:
    """Train the default configuration for some steps, all its repeats.

    Why that failed, if it did.
    """
    from pipeline.worker.spaces.loading import load_search_space
    from pipeline.worker.training.repeats import carry_out

    with tempfile.TemporaryDirectory() as folder, suppress(Stopped):
        own = replace(job, directory=Path(folder), fill="default")
        ending = carry_out(
            own, load_search_space(search_space), data.sample(PROBE_EXAMPLES), Until(1)
        )
        return ending.failure.reason if ending.failure else ""
    return ""
