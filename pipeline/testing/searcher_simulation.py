"""A search without Ray and without Keras: trials that ask, report and end, and their records."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord, as_plain
from pipeline.search.bookkeeping import Observation
from pipeline.search.known import Trace
from pipeline.search.searcher import Searcher
from pipeline.space.configuration import Fill
from pipeline.space.hyperparameters import HyperParameters, Requested, filling
from pipeline.space.specs import Hyperparameter, Value, from_dict

MOST_TRIALS = 500  # duplicates among them: far more than the spaces here have to offer

Asking = Callable[[HyperParameters], Any]


def trace_of(build: Asking) -> Trace:
    """What `worker.reveal.trace` does, for a `build` that makes no model."""

    def trace(proposal: Mapping[str, Value], fill: Fill) -> Requested:
        rng = np.random.default_rng(fill if isinstance(fill, int) else None)
        hp = HyperParameters(proposal, filling(fill, lambda spec: spec.random(rng)))
        build(hp)
        return hp.requested

    return trace


class SearcherSimulation:
    """A search of `trials` trials by a searcher.

    Args:
        kind: the searcher's class.
        build: what each trial asks `hp` for.
        fit: what it asks for after that.
        score: a trial's objective, of its values.
        objective: what is optimised.
        trials: at most.
        seed: of the search.
        starts: configurations to try first.
        earlier: trials of another run.
    """

    def __init__(
        self,
        kind: type[Searcher],
        build: Asking,
        fit: Asking = lambda hp: None,
        *,
        score: Callable[[Mapping[str, Any]], float] = lambda values: 0.0,
        objective: str = "val_loss",
        trials: int = 20,
        seed: int = 0,
        starts: Sequence[dict[str, Any]] = (),
        earlier: Sequence[Observation] = (),
    ) -> None:
        self.kind, self.build, self.fit, self.score = kind, build, fit, score
        self.objective, self.trials, self.seed = Objective.parse(objective), trials, seed
        self.starts, self.earlier = starts, earlier
        self.searcher = self.fresh()
        self.records: dict[str, TrialRecord] = {}
        self.reports: list[Report] = []

    def fresh(self) -> Searcher:
        """A searcher that was told nothing."""
        return self.kind(
            seed=self.seed,
            objective=self.objective,
            trials=self.trials,
            trace=trace_of(self.build),
            starts=self.starts,
            earlier=self.earlier,
        )

    def ask(self) -> str | None:
        """The next trial, if there is one."""
        trial = f"t{len(self.records):04d}"
        configuration = self.searcher.ask(trial)
        if configuration is None:
            return None
        self.records[trial] = TrialRecord(trial, configuration)
        return trial

    def start(self, trial: str) -> dict[str, Any]:
        """Run its `build` and `fit`, and tell what they asked for; return the values.

        A duplicate is over then.
        """

        def draw(spec: Hyperparameter) -> Value:  # as in worker.trial
            return spec.random(
                np.random.default_rng([self.seed, zlib.crc32((trial + spec.name).encode())])
            )

        record = self.records[trial]
        fill = self.kind.fill_of(list(self.records).index(trial), len(self.starts))
        hp = HyperParameters(record.configuration, filling(fill, draw))
        self.build(hp)
        asked_by_build = len(hp.requested)
        self.fit(hp)
        record.requested = as_plain(hp.requested, asked_by_build)
        if self.searcher.equal_of(trial, hp.requested) is None:
            self.searcher.tell_requested(trial, hp.requested, asked_by_build)
        else:
            record.status = "duplicate"
            self.searcher.tell_duplicate(trial, hp.requested, asked_by_build)
        return record.hyperparameters

    def report(self, trial: str, epoch: int, value: float) -> None:
        """One epoch."""
        self.reports.append(Report(epoch, value, {}, 0.0, trial=trial, time=0.0))
        self.searcher.tell_report(trial, epoch, value)

    def end(self, trial: str, *, failed: bool = False) -> None:
        """It is over."""
        self.records[trial].status = "failed" if failed else "finished"
        self.searcher.tell_end(trial, failed=failed)

    def next(self) -> dict[str, Any] | None:
        """Run one trial from its asking to its end.

        Returns its values, or None if there is none left.
        """
        while (trial := self.ask()) is not None:
            values = self.start(trial)
            if self.records[trial].status != "duplicate":
                self.report(trial, 1, self.score(values))
                self.end(trial)
                return values
            assert len(self.records) < MOST_TRIALS, "what was tried is proposed again and again"
        return None

    def all(self) -> list[dict[str, Any]]:
        """Run trials, one at a time, until the budget is spent or the space exhausted."""
        done: list[dict[str, Any]] = []
        while len(done) < self.trials and (values := self.next()) is not None:
            done.append(values)
        return done

    def rebuilt(self) -> Searcher:
        """A fresh searcher, told the records through JSON, as a resume tells them."""
        searcher = self.fresh()
        for trial, record in self.records.items():
            searcher.tell_asked(trial, json.loads(json.dumps(record.configuration)))
            if record.requested is not None:
                items = json.loads(json.dumps(record.requested))
                requested = [
                    (
                        from_dict(
                            {k: v for k, v in item.items() if k not in ("value", "asked_by")}
                        ),
                        item["value"],
                    )
                    for item in items
                ]
                tell = (
                    searcher.tell_duplicate
                    if record.status == "duplicate"
                    else searcher.tell_requested
                )
                tell(trial, requested, sum(item["asked_by"] == "build" for item in items))
        for report in self.reports:
            assert report.objective is not None
            searcher.tell_report(report.trial, report.epoch, report.objective)
        for trial, record in self.records.items():
            if record.status in ("finished", "failed"):
                searcher.tell_end(trial, failed=record.status == "failed")
        return searcher
