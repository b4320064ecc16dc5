"""Several trainings of one configuration side by side: a trial that reports their mean.

A repeat has a seed of its own, and with folds a part of the data. All go in step, an epoch of each
in turn: a scheduler sees a mean after every epoch, and can stop the trial there.

Without folds each repeat keeps the weights of its own best epoch, and the best repeat's are the
trial's. With folds all keep those of one epoch, that of the best mean, so that they can be measured
again; a fold that has ended by itself counts with what it kept until then.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data.fit_data import Data
from pipeline.records.entries.folds import fold_metric, spread_metric
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.store.remote import RemotePath
from pipeline.worker.fused.company import Carrier, OfOne, to_next_pause
from pipeline.worker.fused.programs import Programs
from pipeline.worker.session import Job, SearchSpace, Session, Stopped, TrialUpdate
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.group import Member, Reported
from pipeline.worker.training.trial import Ending, train


def carry_out(
    job: Job, space: SearchSpace, data: Data, session: Session, carrier: Carrier | None = None
) -> Ending:
    """Carry out a trial with all its repeats, and again where user code raised.

    Args:
        job: the trial; this and the rest as of `trial.train`.
        space: the model family.
        data: what it is trained on.
        session: is told every epoch.
        carrier: carries epochs out together with those of other trials; None where there are none.
    """
    for _ in range(job.retries):
        ending = _once(job, space, data, session, carrier)
        if ending.failure is None or ending.failure.blames != "program":
            return ending
    return _once(job, space, data, session, carrier)


def _once(
    job: Job, space: SearchSpace, data: Data, session: Session, carrier: Carrier | None
) -> Ending:
    if job.repeats == 1:
        return train(job, space, data, session, company=OfOne(carrier) if carrier else None)
    parts = [
        _Repeat(replace(job, repeat=k, directory=d), space, data)
        for k, d in enumerate(directories(job))
    ]
    carrier = carrier or Programs()
    try:
        # After a restart one may go on from an older checkpoint than another, of before the epoch
        # whose weights the others kept.
        kept = max((part.best.epoch for part in parts if part.best), default=0)
        while any(part.training for part in parts):
            _advance(parts, kept, carrier)
            level = max(part.epoch for part in parts)
            while behind := [p for p in parts if p.training and p.epoch < level]:
                _advance(behind, kept, carrier)
            if failed := next((p.ending for p in parts if p.ending and p.ending.failure), None):
                return failed
            if any(part.training for part in parts):
                _report(job, parts, session)
        return Ending()
    finally:
        for part in parts:
            part.stop()


def _advance(parts: "list[_Repeat]", kept: int, carrier: Carrier) -> None:
    """Train each to its next report, or to its end."""
    training = {part.thread: part for part in parts if part.training}
    for thread, told in to_next_pause(training, carrier).items():
        training[thread].told(told)
        training[thread].keep_of(kept)


def directories(job: Job) -> list[Path | RemotePath]:
    """Where each repeat of a trial has its checkpoints."""
    if job.repeats == 1:
        return [job.directory]
    return [job.directory / f"execution-{k}" for k in range(job.repeats)]


class _Repeat(Member):
    """One training of several."""

    def __init__(self, job: Job, space: SearchSpace, data: Data) -> None:
        super().__init__(job, space, data)
        self.ending: Ending | None = None
        # After a restart one that had ended reports no more: what it had reported stands.
        state = Checkpoints(job.directory).last_state()
        last, self.best = (state.report, state.best) if state else (None, None)
        self.reported = Reported(TrialUpdate(last, TrialFacts()), lambda: None) if last else None

    @property
    def training(self) -> bool:
        return self.ending is None

    @property
    def epoch(self) -> int:
        """The last that it reported."""
        return self.reported.update.report.epoch if self.reported else 0

    def told(self, reported: Reported | None) -> None:
        """Take up what it paused with: a report, or None where it ended."""
        if reported is None:
            self.ending = Ending()
            self.ending = self.ended()
            return
        self.reported = reported
        value = reported.update.report.objective
        held = self.best.objective if self.best else None
        if self.job.session_keeps or value is None:
            return
        if self.job.objective.better(value, held):
            self.best = reported.update.report

    def keep(self) -> None:
        """With folds, keep the weights of the epoch that was reported last."""
        if self.training and self.reported and self.reported.update.keep:
            self.reported.update.keep()
            self.best = self.reported.update.report

    def keep_of(self, epoch: int) -> None:
        """With folds, keep the weights of an epoch if it is the one that was reported last."""
        if self.epoch == epoch:
            self.keep()


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
