"""A process that has a GPU, or a share of one, and trains the default model on it as it is told."""

import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from pipeline.data.fit_data import Data
from pipeline.engine.cluster.node_facts import FREED_S
from pipeline.engine.imports import import_keras
from pipeline.errors import RequestError
from pipeline.names import Source
from pipeline.worker.backends.known import current
from pipeline.worker.devices import cuda, machine
from pipeline.worker.devices.busy import Busy
from pipeline.worker.session import Job, SearchSpace, Stopped, TrialUpdate

# an epoch: what passes between two must not count for much, and families of ours take larger
# batches where there are 10,000 examples or more
PROBE_EXAMPLES = 16_384
EPOCHS = 10**6  # of a training that is ended from outside


@dataclass(frozen=True)
class Gpu:
    """The first GPU that a process sees.

    `name` is the maker's, `mark` tells it from the others of its kind; `node` is the id of Ray's
    node, `on` what computes on it: Keras, its backend, and their versions; `plans` are the fit
    plans to be tried there.
    """

    name: str
    mark: str
    total_mib: int
    node: str
    on: dict[str, str]
    plans: tuple[str, ...] = ("plain",)


@dataclass(frozen=True)
class Window:
    """What was seen of a training for some seconds; see `choice.Measured`."""

    epochs_a_s: float
    busy: float | None
    peak_mib: int


class PacedTraining:
    """A training that goes on for as long as it is told, and rests between: its own `Session`.

    Args:
        job: the trial, whose own directory and epochs do not count.
        space: the model family.
        data: what it trains on.
    """

    def __init__(self, job: Job, space: SearchSpace, data: Data) -> None:
        self.failure = ""
        self._epochs, self._until, self._over = 0, 0.0, False
        self._go, self._rests = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._train, args=(job, space, data), name="gauge", daemon=True
        )

    def start(self) -> None:
        """Train the first epoch, in which all is compiled."""
        self._thread.start()
        self._rests.wait()

    def go_on(self, seconds: float) -> float:
        """Train for so long, to the end of an epoch; epochs a second, 0 of one that has ended."""
        if not self._thread.is_alive():
            return 0.0
        began, before = time.monotonic(), self._epochs
        self._until = began + seconds
        self._rests.clear()
        self._go.set()
        self._rests.wait()
        return (self._epochs - before) / (time.monotonic() - began)

    def end(self) -> None:
        """End it where it rests."""
        self._over = True
        self._go.set()
        self._thread.join()

    def report(self, update: TrialUpdate, checkpoint: Any) -> None:
        """Of `Session`: called in the training's thread."""
        self._epochs += 1
        if update.failure is not None:
            self.failure = update.failure.reason
            raise Stopped
        if time.monotonic() < self._until:
            return
        self._rests.set()
        self._go.wait()
        self._go.clear()
        if self._over:
            raise Stopped

    def _train(self, job: Job, space: SearchSpace, data: Data) -> None:
        from pipeline.worker.training.repeats import carry_out

        try:
            with tempfile.TemporaryDirectory() as folder:
                own = replace(
                    job, directory=Path(folder), fill="default", max_epochs=EPOCHS, rungs=()
                )
                ending = carry_out(own, space, data, self)
            self.failure = ending.failure.reason if ending.failure else ""
        except Stopped:
            pass
        except BaseException as error:  # such as SystemExit of user code
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self._rests.set()


class OnShare:
    """Claims its share as a trial does, and is ended to give it back."""

    def __init__(self, cpus: float, gpus: float) -> None:
        machine.prepare_process(cpus, gpus)
        self._cpus, self._gpus = cpus, gpus
        self._training: PacedTraining | None = None

    def gpu(self, whole: bool) -> Gpu | None:
        """The GPU, once the backend has it; None where CUDA shows none.

        Raises:
            RequestError: the backend does not see it, or, where it is to be a `whole` one, others
                have more than half of its memory.
        """
        found = cuda.first()
        if found is None:
            return None
        if whole:
            _check_free()
        machine.claim(self._cpus, self._gpus)
        import_keras()
        node = ray.get_runtime_context().get_node_id()
        tried = ("plain", *current().plans_to_measure)
        return Gpu(cuda.model(), found[1], found[0], node, machine.versions(), tried)

    def warm_up(self, source: Source | Any, data: Data, job: Job) -> str:
        """Train the default configuration for an epoch, all its repeats; why that failed."""
        from pipeline.worker.spaces.loading import load_search_space

        if self._training is not None:
            self._training.end()
        sample = data.sample(PROBE_EXAMPLES)
        self._training = PacedTraining(job, load_search_space(source), sample)
        self._training.start()
        return self._training.failure

    def go_on(self, seconds: float) -> Window:
        """Train on for so long; `warm_up` must have come before."""
        with Busy() as busy:
            rate = self._training.go_on(seconds) if self._training is not None else 0.0
        return Window(rate, busy.share, machine.peak_memory_mib())


def _check_free() -> None:
    """Refuse a GPU that others use."""
    found = cuda.first()
    if found is not None and (memory := cuda.still_short(found[0] // 2, FREED_S)) is not None:
        raise RequestError(
            f"A trial with a GPU needs half of its memory free; {memory.free_mib:,} of "
            f"{memory.total_mib:,} MiB are: see nvidia-smi."
        )


Gauge = ray.remote(max_restarts=0)(OnShare)
