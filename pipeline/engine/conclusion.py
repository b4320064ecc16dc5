"""The end of a search: tables, the best model measured once, and the summary last."""

import contextlib
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.engine.preparation import Prepared
from pipeline.engine.trials.jobs import Jobs
from pipeline.errors import ProgramError
from pipeline.experiment import Experiment
from pipeline.names import Source
from pipeline.records.data_files import recorded_files
from pipeline.records.entries.folds import median_best_epoch, spread_metric
from pipeline.records.entries.reports import Report
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.hand_over import write_hand_over
from pipeline.records.outputs.model_check import ModelCheck
from pipeline.records.outputs.scores import Baseline
from pipeline.records.outputs.summary import (
    BestEpoch,
    find_best,
    remove_summary,
    summary_of,
    write_summary,
)
from pipeline.records.outputs.tables import write_tables
from pipeline.records.retention import Retention
from pipeline.search.searcher import searcher_class
from pipeline.version import __version__
from pipeline.watch import Watcher
from pipeline.worker.devices.machine import processor

# What a summary says of the data.
DATA_FACTS = (
    *("name", "source", "licence", "task", "classes", "class_names", "target"),
    *("shape", "counts"),
)


@dataclass(frozen=True)
class Circumstances:
    """What a summary says of the search beside its records.

    `wall_clock_s` counts earlier processes too.
    """

    exhausted: bool
    interrupted: bool
    wall_clock_s: float
    sources: Sequence[Source]


def conclude(
    prepared: Prepared,
    layout: Layout,
    ledger: Ledger,
    retention: Retention,
    circumstances: Circumstances,
    watcher: Watcher,
) -> dict[str, Any]:
    """Write the tables, measure the best model once, and write the summary last.

    Where there is a summary, the rest is there too, and it is what the summary speaks of: that of
    an earlier end is removed first. Returns what it holds.
    """
    began = time.monotonic()
    best = find_best(ledger.trials, ledger.reports, prepared.objective)
    remove_summary(layout)
    write_tables(layout, prepared.objective, ledger)
    measured = refit_epochs = baseline = None
    if best is not None:
        refit_epochs = _refit_epochs(prepared, best, ledger)
        doing = "" if refit_epochs is None else ", training the best configuration on all examples"
        watcher.preparing(f"measuring the best model{doing}")
        measured = _evaluated(prepared, best, layout, refit_epochs)
        baseline = _baseline(prepared, measured["scores"])
        if doubt := _doubt(measured):
            watcher.warned(doubt)
    wall_clock_s = circumstances.wall_clock_s + time.monotonic() - began
    facts: dict[str, Any] = {
        "exhausted": circumstances.exhausted,
        "interrupted": circumstances.interrupted,
        "objective": str(prepared.objective),
        "validation": measured and measured["validation"],
        "check": measured and measured["check"],
        "no_model": (measured or {}).get("no_model", ""),
        "scored": "validation" if prepared.experiment.folds is None else "folds",
        "saved": _saved(measured, refit_epochs),
        "scores": (measured or {}).get("scores", {}),
        "no_scores": (measured or {}).get("no_scores", ""),
        "loss_target_divided_by": (measured or {}).get("loss_target_divided_by"),
        "baseline": baseline and baseline.plain(),
        "wall_clock_s": round(wall_clock_s, 1),
        "concurrent": prepared.places(),
        "examples": prepared.data["counts"],
        "data": {name: prepared.data[name] for name in DATA_FACTS if name in prepared.data},
        "versions": _versions(prepared.experiment) | prepared.space.versions(),
        "device": _device(prepared.experiment),
        "sources": {
            source.component: {"name": source.name, "sha256": source.sha256}
            for source in circumstances.sources
        },
    }
    if best is not None and measured is not None and refit_epochs is not None:
        report = next(r for r in _reports_of(best, ledger) if r.epoch == best.epoch)
        spread = report.metrics[spread_metric(prepared.objective.name)]
        facts["spread"] = spread
        if "folds" in measured:
            facts |= {name: measured[name] for name in ("refit_examples", "folds")}
            facts["refit_epochs"] = refit_epochs
    shutil.rmtree(layout.engine, ignore_errors=True)
    retention.conclude(ledger.trials.values())
    facts |= {"best": best, "test": measured and measured["test"], "trials": ledger.trials}
    facts["epochs"] = len(ledger.reports)
    saved = None if measured is None or measured["no_model"] else measured
    if saved is not None:
        facts["data"] |= (
            {"files_sha256": files}
            if (files := recorded_files(layout))
            else {"arrays_sha256": saved["data_sha256"]}
        )
    summary = summary_of(layout, **facts)
    if saved is not None:
        write_hand_over(layout, summary, saved["takes"], saved["checksums"])
    write_summary(layout, summary)
    return summary


def _saved(measured: Mapping[str, Any] | None, refit_epochs: int | None) -> str | None:
    """Which model is in `best/`."""
    if measured is None or measured["check"] is None:
        return None
    return "best epoch" if refit_epochs is None else "refit"


def _doubt(measured: Mapping[str, Any]) -> str:
    """What must be known of the saved model: that there is none, or not the one that was scored."""
    if measured["check"] is None:  # none was to be saved
        return ""
    if measured["no_model"]:
        return f"No model was saved: {measured['no_model']}."
    check = ModelCheck(**measured["check"])
    different = check.result == "different"
    models = "models of the folds are" if check.folds else "saved model is"
    return f"The {models} not as scored: {check}" if different else ""


def raise_if_all_failed(ledger: Ledger) -> None:
    """Raise where no trial is worth anything, since the first failed.

    Raises:
        ProgramError: a trial failed; with its traceback.
    """
    record = next((r for r in ledger.trials.values() if r.status == "failed"), None)
    if record is not None:
        raise ProgramError(
            f"No trial reported a finite objective; the first failed so: {record.error}",
            record.traceback or "",
        )


def _reports_of(best: BestEpoch, ledger: Ledger) -> list[Report]:
    return [report for report in ledger.reports if report.trial == best.trial]


def _refit_epochs(prepared: Prepared, best: BestEpoch, ledger: Ledger) -> int | None:
    """How long the best configuration is trained on all examples; None where it is not."""
    experiment = prepared.experiment
    if experiment.folds is None:
        return None
    if best.final:  # its `fit` says how long
        return experiment.max_epochs
    return median_best_epoch(_reports_of(best, ledger), prepared.objective, experiment.folds)


def _evaluated(
    prepared: Prepared, best: BestEpoch, layout: Layout, refit_epochs: int | None
) -> dict[str, Any]:
    job = Jobs(prepared.experiment, prepared.objective, layout, len(prepared.first))(
        best.trial, best.hyperparameters
    )
    job = replace(job, devices=1)  # the helper has no GPU
    epoch = None if best.final else best.epoch
    return prepared.space.evaluate(job, epoch, layout, best.objective, refit_epochs)


def _baseline(prepared: Prepared, scores: Mapping[str, Any]) -> Baseline | None:
    found = prepared.space.baseline()
    return found and Baseline.of(*found, prepared.objective, scores)


def _device(experiment: Experiment) -> dict[str, Any]:
    """What a trial had, and the machine that searched."""
    return {
        "cpus_per_trial": experiment.cpus_per_trial,
        "gpus_per_trial": experiment.gpu_share,
        "machine": platform.machine(),
        "processor": processor(),
    }


def _versions(experiment: Experiment) -> dict[str, str]:
    """Python's version, ours, and those of installed packages that searched."""
    own = searcher_class(experiment.searcher).distribution
    found = {"python": platform.python_version(), "kerasweep": __version__}
    for package in ("ray", "numpy", "pandas", *([own] if own else [])):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
