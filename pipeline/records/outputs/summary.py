"""How a run ended: its best trial, and `summary.json`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from pipeline.objective import Objective
from pipeline.records.checksummed import (
    Warned,
    clear_the_way,
    file_or_copy_exists,
    read_checksummed,
    validate,
    write_checksummed,
)
from pipeline.records.entries.former_names import SUMMARY, renamed
from pipeline.records.entries.reports import BestReports, Report
from pipeline.records.entries.trials import COUNTED, TrialRecord
from pipeline.records.layout import Layout, persist


@dataclass(frozen=True)
class BestEpoch:
    """The best epoch of a trial."""

    trial: str
    hyperparameters: dict[str, Any]
    objective: float
    epoch: int
    final: bool = False  # what `fit` returned, and no epoch's


def find_best(
    trials: Mapping[str, TrialRecord], reports: Iterable[Report], objective: Objective
) -> BestEpoch | None:
    """The best epoch of any trial."""
    return next(iter(ranking(trials, reports, objective)), None)


def ranking(
    trials: Mapping[str, TrialRecord], reports: Iterable[Report], objective: Objective
) -> list[BestEpoch]:
    """The best epoch of each trial that has one, the best trial first.

    Of equals the earlier trial.
    """
    order = {trial: place for place, trial in enumerate(trials)}
    ranked = sorted(
        BestReports(objective, reports),
        key=lambda r: (objective.loss(r.objective), order[r.trial]),
    )
    return [
        BestEpoch(
            r.trial, trials[r.trial].in_force(r.epoch), float(r.objective or 0.0), r.epoch, r.final
        )
        for r in ranked
    ]


@dataclass(frozen=True)
class _Counts:
    total: int
    finished: int
    stopped: int
    failed: int
    unfinished: int


@dataclass(frozen=True)
class _Summary:
    """What is read of a summary; more stands there."""

    best: BestEpoch | None
    test: dict[str, float | None] | None
    trials: _Counts
    epochs: int
    objective: str
    validation: dict[str, float | None] | None = None
    fit_plans: dict[str, int] = field(default_factory=dict)
    checksums: bool = False  # whether there is a `checksums.json`
    check: dict[str, Any] | None = None  # a `ModelCheck`, of runs that made one
    no_model: str = ""  # why there is no best model, where a trial was best
    scored: str = "validation"  # what the objective was measured on; or "folds"
    saved: str | None = "best epoch"  # which model was; or "refit"
    # where a family scaled the target itself: the standard deviation that each loss is divided by
    loss_target_divided_by: float | None = None
    # of a run with folds: epochs and examples of the refit, the spread of the objective over
    # folds, and the metrics of each fold, measured again
    refit_epochs: int | None = None
    refit_examples: int | None = None
    spread: float | None = None
    folds: list[dict[str, float | None]] | None = None
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)  # by split, each a `Score`
    no_scores: str = ""  # why there are none
    baseline: dict[str, Any] | None = None  # a `Baseline`, of what has a task
    exhausted: bool = False
    interrupted: bool = False
    wall_clock_s: float = 0.0


_SUMMARY = TypeAdapter(_Summary)


def read_summary(layout: Layout, warned: Warned | None = None) -> dict[str, Any]:
    """What `summary.json` says.

    `warned` is for the process that writes the run: see `checksummed.read_checksummed`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged; says where.
    """
    return read_checksummed(layout, layout.summary, _checked, warned)


def _checked(plain: dict[str, Any]) -> dict[str, Any]:
    plain = renamed(plain, SUMMARY)
    validate(_SUMMARY, plain)
    return plain


def remove_summary(layout: Layout) -> None:
    """Remove `summary.json` and its copy, as what it speaks of is about to be written anew.

    A process that is killed meanwhile leaves a run that has not ended, and no summary of something
    else than there is.
    """
    for path in (layout.summary, layout.copy(layout.summary)):
        clear_the_way(layout, path)
        persist(layout, path, partial(path.unlink, missing_ok=True))


def write_summary(layout: Layout, summary: Mapping[str, Any]) -> None:
    """Write `summary.json`: what `summary_of` made."""
    write_checksummed(layout, layout.summary, dict(summary))


def summary_of(
    layout: Layout,
    *,
    best: BestEpoch | None,
    test: dict[str, float] | None,
    trials: Mapping[str, TrialRecord],
    epochs: int,
    **facts: Any,
) -> dict[str, Any]:
    """What `summary.json` holds; `facts` are wall clock, versions and the like.

    Of the trials' counts `total` is that of all but the duplicates, which are counted by
    themselves; `fit_plans` says how many were carried out in which way.
    """
    held = Counter(record.status for record in trials.values())
    counts = {"total": len(trials) - held["duplicate"]} | {
        status: held[status] for status in COUNTED
    }
    counts |= {"unfinished": held["running"], "duplicate": held["duplicate"]}
    return {
        "best": None if best is None else vars(best),
        "test": test,
        "trials": counts,
        "epochs": epochs,
        "fit_plans": dict(
            Counter(record.fit_plan for record in trials.values() if record.fit_plan).most_common()
        ),
        # so that their loss can be told
        "checksums": file_or_copy_exists(layout, layout.checksums),
        **facts,
    }
