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
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import psutil
import ray
from ray import tune

from pipeline.engine.imports import import_keras
from pipeline.engine.internals.ray_state import cpus_here, memory_here
from pipeline.engine.internals.tune_trials import nothing_saved
from pipeline.engine.messages import (
    RESOURCES,
    OutOfShare,
    Setting,
    TrialMessage,
    UnfitNode,
    WorkerMemory,
)
from pipeline.engine.trials.host import Process
from pipeline.errors import KerasweepError
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts
from pipeline.worker.devices import machine
from pipeline.worker.faults import DEVICE_MEMORY, Failure, classify
from pipeline.worker.session import Job, Stopped, TrialUpdate
from pipeline.worker.spaces.turns import Turn

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
    _is_alone = True  # in its process
    _taken_again = False  # after another trial

    def setup(self, config: dict[str, Any], setting: Setting) -> None:  # type: ignore[override]
        """Prepare the process; training starts with the first `step`, after a possible restore."""
        self._setting = setting
        self._process = Process()
        machine.prepare_process(self._has("CPU"), self._has("GPU"))
        self._begin(config["job"])

    def live_in(self, process: Process) -> None:
        """Share a process with other trials; before the first `step`."""
        self._is_alone, self._process = False, process
        self._turn = Turn(process.turns)

    def step(self) -> dict[str, Any]:
        """Let the trial go on until its next report, and return it."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._train_in_turn, name=f"trial-{self._job.trial}", daemon=True
            )
            self._thread.start()
        else:
            self._commands.put("continue")
        message = self._wait() or TrialMessage()
        held = held_bytes()
        memory = WorkerMemory(held / 2**30, memory_here() / 2**30, self._has_grown(held))
        return replace(message, memory=memory).to_result(self._job.objective)

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Have the trial write its state where it belongs, in the run.

        Ray's own would also copy something to storage that every node sees: there is nothing that
        Tune should keep.
        """
        if self._thread is not None and self._thread.is_alive():
            self._commands.put("save")
            self._wait()
        return nothing_saved(self)

    def restore(self, checkpoint_path: Any) -> None:
        """Nothing to do: a trial that starts goes on from its own last checkpoint."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._end()
        self._taken_again = self._is_alone
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
        """What its process has; where others share that, Ray counts a part of it for each."""
        share: Any = self.trial_resources
        counted = float(share.required_resources.get(resource, 0.0))
        return max(counted, self._setting.process.get(resource, 0.0))

    def _begin(self, job: Job) -> None:
        self._job = job
        self._thread = None
        self._turn = Turn(self._process.turns)
        self._commands: queue.Queue[Command] = queue.Queue()
        self._answers: queue.Queue[TrialMessage | BaseException | None] = queue.Queue()

    def _end(self) -> None:
        if self._thread is None:
            return
        self._commands.put("stop")
        told = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(1.0)
            late = time.monotonic() - max(told, self._turn.since) > UNWIND_S
            if late and not self._turn.waits and self._thread.is_alive():
                os._exit(1)  # user code that will not let go must not train beside the next trial
        self._thread = None

    def _wait(self) -> TrialMessage | None:
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _has_grown(self, held: int) -> bool:
        share = min(1.0, self._has("CPU") / cpus_here())
        return held > max(
            KEPT_SHARE * share * memory_here(), KEPT_TIMES * self._process.fresh_bytes
        )

    def _train_in_turn(self) -> None:
        with self._turn:
            self._train()

    def _train(self) -> None:
        process = self._process
        try:
            node = ray.util.get_node_ip_address()
            place = TrialFacts(
                node=node,
                node_id=ray.get_runtime_context().get_node_id(),
                devices=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            )
            session = RaySession(self._commands, self._answers, place, self._turn)
            try:
                machine.claim(self._has("CPU"), self._has("GPU"))
                import_keras()
                process.fresh_bytes = process.fresh_bytes or held_bytes()
                from pipeline.worker.spaces.loading import load_search_space
                from pipeline.worker.training.repeats import carry_out

                data = ray.get(self._setting.data[0])
                if process.space is None:
                    process.space = load_search_space(self._setting.search_space)
            except KerasweepError as error:
                failure = classify(error)
                if failure.blames == "request":
                    raise UnfitNode(node, failure.reason) from error
                session.end(failure)
                return
            others = None if self._is_alone else InTurn(self._turn)
            ending = carry_out(self._job, process.space, data, session, others)
            if ending.failure is not None and ending.failure.where == DEVICE_MEMORY:
                if 0 < self._has("GPU") < 1:
                    raise OutOfShare(ending.failure.reason)
                if self._taken_again and self._has("GPU"):
                    os._exit(1)  # what earlier trials left may be at fault: it is tried in another
            session.end(ending.failure)
        except Stopped:
            pass
        except BaseException as error:
            self._answers.put(error)


@dataclass(frozen=True)
class InTurn:
    """Carries requests out together with those of the other trials of the process."""

    turn: Turn

    def carry_out(self, requests: list[Any]) -> list[Any]:
        """Of `Carrier`."""
        done: list[Any] = self.turn.together(
            requests, draws=any(request.draws for request in requests)
        )
        return done


class RaySession:
    """The `Session` of a trial's thread: hands a report over and waits for what to do next.

    Args:
        commands: what Tune wants of the trial.
        answers: takes a message a report, and None once a checkpoint is saved.
        place: where the trial runs.
        turn: is another trial's while this one waits.
    """

    def __init__(
        self,
        commands: "queue.Queue[Command]",
        answers: "queue.Queue[Any]",
        place: TrialFacts,
        turn: Turn,
    ) -> None:
        self._commands, self._answers, self._place = commands, answers, place
        self._turn = turn
        self._told: TrialFacts | None = None
        self._last: EpochReport | None = None

    def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
        """Of `Session`."""
        new = update.facts != self._told  # they change where `fit` asks for more later
        self._last, self._told = update.report, update.facts
        answer: TrialMessage | None = TrialMessage(
            update.report,
            self._facts() if new else None,
            update.warning,
            update.failure,
            ended=update.failure is not None,
        )
        while True:
            self._turn.end(returns=answer is not None and not answer.ended)
            self._answers.put(answer)
            command = self._commands.get()
            self._turn.begin()
            if command == "continue":
                return
            checkpoint()
            if command == "stop":
                raise Stopped
            answer = None  # it is saved

    def end(self, failure: Failure | None) -> None:
        """Tell that the trial is over."""
        self._answers.put(TrialMessage(self._last, self._facts(), failure=failure, ended=True))

    def _facts(self) -> TrialFacts:
        """What the trial told, and where it runs."""
        return replace(self._told or TrialFacts(), **self._place.known())
