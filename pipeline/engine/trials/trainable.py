"""A trial as a Ray actor.

Keras's `fit` runs in a thread of it and waits, after each epoch, for Tune's decision.

A class and not a function trainable. When Tune pauses or stops a trial its thread is waiting in
`report`, so it can write its checkpoint and unwind at once: a worker that already imported
TensorFlow is reused without the races of Ray's function runner (its reset allows an old thread two
seconds and then fails the *new* trial), and a pause saves the epoch that it paused at, not the last
one that happened to be saved.
"""

import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Literal

import psutil
import ray
from ray import tune
from ray._common.utils import get_system_memory
from ray._private.utils import get_num_cpus
from ray.train._internal.session import _TrainingResult

from pipeline.engine.messages import (
    ASKED_BY_BUILD,
    ENDED,
    EPOCH,
    FAILURE,
    FINAL,
    GROWN,
    HELD,
    METRICS,
    OBJECTIVE,
    PLACE,
    REPORTED,
    REQUESTED,
    RESOURCES,
    SECONDS,
    WARNING,
    OutOfShare,
    Setting,
    UnfitNode,
)
from pipeline.engine.worker_imports import import_keras
from pipeline.errors import KerasweepError
from pipeline.space.hyperparameters import Requested
from pipeline.worker.devices import machine
from pipeline.worker.faults import DEVICE_MEMORY, Failure, classify
from pipeline.worker.session import Epoch, Job, Stopped

Command = Literal["continue", "save", "stop"]


# A worker is given another trial while it holds no more than this part of its share of the node's
# memory, or this many times what it held before its first: what trials leave behind, such as
# TensorFlow's, adds up (tensorflow/tensorflow#62854).
KEPT_SHARE, KEPT_TIMES = 0.5, 2.0

# A trial that was told to end is between two epochs, so it unwinds in the time of a save.
UNWIND_S = 60.0


def held_bytes() -> int:
    """Memory of this process that it shares with no other."""
    held = psutil.Process().memory_info()
    return int(held.rss - held.shared)


class KerasTrial(tune.Trainable):
    """Tune's side of a trial. `config["job"]` is the trial, `setting` what all of them share."""

    _thread: threading.Thread | None

    def setup(self, config: dict[str, Any], setting: Setting) -> None:  # type: ignore[override]
        """Prepare the process; training starts with the first `step`, after a possible restore."""
        self._setting = setting
        self._space: Any = None
        self._fresh_bytes = 0
        machine.prepare(self._has("CPU"), self._has("GPU"))
        self._begin(config["job"])

    def step(self) -> dict[str, Any]:
        """Let the trial go on until its next report, and return it."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._train, name=f"trial-{self._job.trial}", daemon=True
            )
            self._thread.start()
        else:
            self._commands.put("continue")
        report = self._wait()
        held = held_bytes()
        return report | {
            GROWN: self._has_grown(held),
            HELD: (held / 2**30, get_system_memory() / 2**30),
        }

    def save(self, checkpoint_dir: str | None = None) -> _TrainingResult:
        """Have the trial write its state where it belongs, in the run.

        Ray's own would also copy something to storage that every node sees: there is nothing that
        Tune should keep.
        """
        if self._thread is not None and self._thread.is_alive():
            self._commands.put("save")
            self._wait()
        return _TrainingResult(tune.Checkpoint(os.devnull), dict(self._last_result or {}))

    def restore(self, checkpoint_path: Any) -> None:
        """Nothing to do: a trial that starts goes on from its own last checkpoint."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._end()
        self._begin(new_config["job"])
        return True

    def cleanup(self) -> None:
        """End the trial, with its state saved."""
        self._end()

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What a trial takes: Tune asks, since not all take the same."""
        return tune.PlacementGroupFactory([config[RESOURCES]])

    def _has(self, resource: str) -> float:
        share: Any = self.trial_resources
        return float(share.required_resources.get(resource, 0.0))

    def _begin(self, job: Job) -> None:
        self._job = job
        self._thread = None
        self._commands: queue.Queue[Command] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any] | BaseException] = queue.Queue()

    def _end(self) -> None:
        if self._thread is None:
            return
        self._commands.put("stop")
        self._thread.join(UNWIND_S)
        if self._thread.is_alive():
            os._exit(1)  # user code that will not let go must not train beside the next trial
        self._thread = None

    def _wait(self) -> dict[str, Any]:
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _has_grown(self, held: int) -> bool:
        share = min(1.0, self._has("CPU") / get_num_cpus())
        return held > max(KEPT_SHARE * share * get_system_memory(), KEPT_TIMES * self._fresh_bytes)

    def _train(self) -> None:
        try:
            place = {
                "node": ray.util.get_node_ip_address(),
                "node_id": ray.get_runtime_context().get_node_id(),
            }
            place["devices"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            try:
                machine.claim(self._has("CPU"), self._has("GPU"))
                import_keras()
                self._fresh_bytes = self._fresh_bytes or held_bytes()
                from pipeline.worker.spaces.loading import load_search_space
                from pipeline.worker.training.repeats import carry_out

                data = ray.get(self._setting.data[0])
                if self._space is None:
                    self._space = load_search_space(self._setting.search_space)
            except KerasweepError as error:
                failure = classify(error)
                if failure.blames == "request":
                    raise UnfitNode(place["node"], failure.reason) from error
                self._answers.put(
                    _result(self._job, None, place, failure) | {ENDED: True, "done": True}
                )
                return
            session = _RaySession(self._job, self._commands, self._answers, place)
            ending = carry_out(self._job, self._space, data, session)
            if (
                ending.failure is not None
                and ending.failure.where == DEVICE_MEMORY
                and 0 < self._has("GPU") < 1
            ):
                raise OutOfShare(ending.failure.reason)
            result = _result(self._job, session.last, place, failure=ending.failure)
            self._answers.put(result | {ENDED: True, "done": True})
        except Stopped:
            pass
        except BaseException as error:
            self._answers.put(error)


class _RaySession:
    """The `Session` of a trial's thread: hands a report over and waits for what to do next."""

    def __init__(
        self,
        job: Job,
        commands: "queue.Queue[Command]",
        answers: "queue.Queue[Any]",
        place: dict[str, Any],
    ) -> None:
        self._job, self._commands, self._answers, self._place = job, commands, answers, place
        self._told: tuple[Requested, str] | None = None
        self.last: Epoch | None = None

    def report(
        self, epoch: Epoch, checkpoint: Callable[[], None], failure: Failure | None = None
    ) -> None:
        self.last = epoch
        result = _result(self._job, epoch, self._place, failure=failure)
        # once, and again if `fit` asks for more later
        if (epoch.requested, epoch.fit_plan) != self._told:
            self._told = epoch.requested, epoch.fit_plan
        else:
            del result[REQUESTED]
        self._answers.put(result | {ENDED: failure is not None, "done": failure is not None})
        while True:
            command = self._commands.get()
            if command == "continue":
                return
            checkpoint()
            if command == "stop":
                raise Stopped
            self._answers.put({})


def _result(
    job: Job, epoch: Epoch | None, place: dict[str, Any], failure: Failure | None
) -> dict[str, Any]:
    """A report as Tune takes it.

    The objective is always there and finite, or schedulers fail in their own ways.
    """
    value = epoch.objective if epoch else None
    return {
        EPOCH: epoch.epoch if epoch else 0,
        OBJECTIVE: value if value is not None and failure is None else job.objective.worst,
        METRICS: {} if epoch is None else {**epoch.metrics},
        REPORTED: value,
        FINAL: epoch is not None and epoch.final,
        SECONDS: epoch.seconds if epoch else 0.0,
        REQUESTED: epoch.requested if epoch else [],
        ASKED_BY_BUILD: epoch.asked_by_build if epoch else 0,
        WARNING: epoch.warning if epoch else "",
        PLACE: place | ({"fit_plan": epoch.fit_plan} if epoch else {}),
        FAILURE: failure,
    }
