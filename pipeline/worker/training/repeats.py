"""Several trainings of one configuration side by side: a trial that reports their mean.

A repeat has a seed of its own, and with folds a part of the data. All go in step, an epoch of each
in turn: a scheduler sees a mean after every epoch, and can stop the trial there.

Without folds each repeat keeps the weights of its own best epoch, and the best repeat's are the
trial's. With folds all keep those of one epoch, that of the best mean, so that they can be measured
again; a fold that has ended by itself counts with what it kept until then.
"""

import math
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.data.fit_data import Data
from pipeline.records.entries.folds import fold_metric, spread_metric
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.store.remote import RemotePath
from pipeline.worker.backends.known import current
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
        # After a restart one may go on from an older checkpoint than another, of before the epoch
        # whose weights the others kept.
        kept = max((part.best.epoch for part in parts if part.best), default=0)
        while any(part.training for part in parts):
            for part in parts:
                part.advance()
                part.keep_of(kept)
            level = max(part.epoch for part in parts)
            for part in parts:
                while part.training and part.epoch < level:
                    part.advance()
                    part.keep_of(kept)
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
        self._random: tuple[Any, ...] | None = None  # where it stood when it reported last
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
        answer = self._next_answer()
        if isinstance(answer, BaseException):
            self.ending = Ending()
            raise answer
        if isinstance(answer, _Reported):
            self.reported = answer
            value = answer.update.report.objective
            held = self.best.objective if self.best else None
            if self._job.session_keeps or value is None:
                return
            if self._job.objective.better(value, held):
                self.best = answer.update.report
        else:
            self.ending = answer or Ending()

    def _next_answer(self) -> "_Reported | Ending | BaseException | None":
        """Let it train, with random numbers that no other training draws from."""
        backend = current()
        outside = backend.random_state()
        if self._random is not None:
            backend.set_random_state(self._random)
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._commands.put("go on")
        answer = self._answers.get()
        self._random = backend.random_state()
        backend.set_random_state(outside)
        return answer

    def keep(self) -> None:
        """With folds, keep the weights of the epoch that was reported last."""
        if self.training and self.reported and self.reported.update.keep:
            self.reported.update.keep()
            self.best = self.reported.update.report

    def keep_of(self, epoch: int) -> None:
        """With folds, keep the weights of an epoch if it is the one that was reported last."""
        if self.epoch == epoch:
            self.keep()

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
    """Report the mean over the repeats; of one that has ended already, what it kept stands."""
    counting = [(p, p.reported) for p in parts if p.reported is not None]
    epochs = [
        told.update.report if part.training or part.best is None else part.best
        for part, told in counting
    ]
    failure = next((t.update.failure for _, t in counting if t.update.failure is not None), None)
    values = [e.objective for e in epochs if e.objective is not None]
    metrics: dict[str, float | None] = {}
    for name in epochs[0].metrics:
        numbers = [e.metrics.get(name) for e in epochs]
        metrics[name] = (
            _mean([n for n in numbers if n is not None]) if None not in numbers else None
        )
    whole = len(values) == len(epochs)
    mean = _mean(values) if whole else None
    training = [told for part, told in counting if part.training]
    longest = max(training, key=lambda told: told.update.report.epoch).update
    report = replace(
        longest.report,
        objective=mean,
        metrics=metrics,
        seconds=math.fsum(told.update.report.seconds for told in training),
    )
    if job.folds > 1:
        report.final = all(epoch.final for epoch in epochs)
        values = _of_folds(job, values) if whole else []
        for fold in range(job.folds):
            metrics[fold_metric(fold, job.objective.name)] = values[fold] if whole else None
        _keep_best(job, parts, report)
    metrics[spread_metric(job.objective.name)] = float(np.std(values)) if whole else None

    def checkpoint() -> None:
        for told in training:
            told.checkpoint()

    session.report(
        TrialUpdate(
            report,
            longest.facts,
            warning="; ".join(t.update.warning for _, t in counting if t.update.warning),
            failure=failure,
        ),
        checkpoint,
    )
    if failure:
        raise Stopped


def _of_folds(job: Job, values: list[float]) -> list[float]:
    """Each fold's value, the mean over its executions, of those of all repeats."""
    return [_mean(values[fold :: job.folds]) for fold in range(job.folds)]


def _keep_best(job: Job, parts: list[_Repeat], report: EpochReport) -> None:
    """Have the weights of this epoch kept by all folds, if their mean is the best so far."""
    for part in parts:
        if part.reported and part.reported.update.report.final:  # whatever its epochs reported
            part.keep()
    kept = [part.best.objective for part in parts if part.best and part.best.objective is not None]
    best = _mean(kept) if len(kept) == len(parts) else None
    value = report.objective
    if value is not None and (report.final or job.objective.better(value, best)):
        for part in parts:
            part.keep()


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
