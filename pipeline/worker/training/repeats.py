"""Several trainings of one configuration, from different seeds, side by side.

A trial that reports their mean.

They go in step, an epoch of each in turn: a scheduler sees a mean after every epoch, and can stop
    the trial there.
"""

import math
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.data.fit_data import Data
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.store.remote import RemotePath
from pipeline.worker.session import Job, SearchSpace, Session, Stopped, TrialUpdate
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.trial import Ending, train


def carry_out(job: Job, space: SearchSpace, data: Data, session: Session) -> Ending:
    """Carry out a trial with all its repeats, and again where user code raised.

    See `trial.train`.
    """
    for _ in range(job.retries):
        ending = _once(job, space, data, session)
        if ending.failure is None or ending.failure.blames != "program":
            return ending
    return _once(job, space, data, session)


def _once(job: Job, space: SearchSpace, data: Data, session: Session) -> Ending:
    if job.repeats == 1:
        return train(job, space, data, session)
    parts = [
        _Repeat(replace(job, repeat=k, directory=d), space, data)
        for k, d in enumerate(directories(job))
    ]
    try:
        while any(part.training for part in parts):
            for part in parts:
                part.advance()
            # After a restart one may go on from an older checkpoint than another.
            level = max(part.epoch for part in parts)
            for part in parts:
                while part.training and part.epoch < level:
                    part.advance()
            if failed := next((p.ending for p in parts if p.ending and p.ending.failure), None):
                return failed
            if any(part.training for part in parts):
                _report(job, parts, session)
        return Ending()
    finally:
        for part in parts:
            part.stop()


def directories(job: Job) -> list[Path | RemotePath]:
    """Where each repeat of a trial has its checkpoints."""
    if job.repeats == 1:
        return [job.directory]
    return [job.directory / f"execution-{k}" for k in range(job.repeats)]


@dataclass(frozen=True)
class _Reported:
    update: TrialUpdate
    checkpoint: Callable[[], None]


class _Repeat:
    """One training, in a thread that runs only while `advance` waits for it.

    It is its training's `Session`.
    """

    def __init__(self, job: Job, space: SearchSpace, data: Data) -> None:
        self._job, self._space, self._data = job, space, data
        self._thread = threading.Thread(
            target=self._train, name=f"{job.trial}-repeat-{job.repeat}", daemon=True
        )
        self._commands: queue.Queue[Literal["go on", "stop"]] = queue.Queue()
        self._answers: queue.Queue[_Reported | Ending | BaseException | None] = queue.Queue()
        self.ending: Ending | None = None
        # After a restart one that had ended reports no more: what it had reported stands.
        state = Checkpoints(job.directory).last_state()
        last, self.best = (state.report, state.best) if state else (None, None)
        self.reported = _Reported(TrialUpdate(last, TrialFacts()), lambda: None) if last else None

    @property
    def training(self) -> bool:
        return self.ending is None

    @property
    def epoch(self) -> int:
        """The last that it reported."""
        return self.reported.update.report.epoch if self.reported else 0

    def advance(self) -> None:
        """Train to the next report, or to the end."""
        if not self.training:
            return
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._commands.put("go on")
        answer = self._answers.get()
        if isinstance(answer, BaseException):
            self.ending = Ending()
            raise answer
        if isinstance(answer, _Reported):
            self.reported = answer
            value = answer.update.report.objective
            held = self.best.objective if self.best else None
            if value is not None and self._job.objective.better(value, held):
                self.best = answer.update.report
        else:
            self.ending = answer or Ending()

    def stop(self) -> None:
        """End the training where it waits."""
        if self._thread.ident is not None and self._thread.is_alive():
            self._commands.put("stop")
            self._thread.join()

    def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
        """Of `Session`: called in the training's thread."""
        self._answers.put(_Reported(update, checkpoint))
        if self._commands.get() == "stop":
            raise Stopped

    def _train(self) -> None:
        try:
            self._answers.put(train(self._job, self._space, self._data, self))
        except Stopped:
            self._answers.put(None)
        except BaseException as error:  # such as SystemExit of user code
            self._answers.put(error)


def _report(job: Job, parts: list[_Repeat], session: Session) -> None:
    """Report the mean over the repeats; of one that has ended already, its best epoch stands."""
    reported = [(p, p.reported) for p in parts if p.reported is not None]
    epochs = [
        told.update.report if part.training or part.best is None else part.best
        for part, told in reported
    ]
    failure = next((t.update.failure for _, t in reported if t.update.failure is not None), None)
    values = [e.objective for e in epochs if e.objective is not None]
    metrics: dict[str, float | None] = {}
    for name in epochs[0].metrics:
        numbers = [e.metrics.get(name) for e in epochs]
        metrics[name] = (
            _mean([n for n in numbers if n is not None]) if None not in numbers else None
        )
    whole = len(values) == len(epochs)
    metrics[f"{job.objective.name}_std"] = float(np.std(values)) if whole else None
    training = [told for part, told in reported if part.training]
    longest = max(training, key=lambda told: told.update.report.epoch).update

    def checkpoint() -> None:
        for told in training:
            told.checkpoint()

    session.report(
        TrialUpdate(
            replace(
                longest.report,
                objective=_mean(values) if whole else None,
                metrics=metrics,
                seconds=math.fsum(told.update.report.seconds for told in training),
            ),
            longest.facts,
            warning="; ".join(t.update.warning for _, t in reported if t.update.warning),
            failure=failure,
        ),
        checkpoint,
    )
    if failure:
        raise Stopped


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
