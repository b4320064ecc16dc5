"""The plan of a small search, and what is told of its trials."""

from pathlib import Path

import pytest

from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.watch import SearchPlan

FACTS = {
    "name": "few",
    "shape": [8, 8, 1],
    "dtype": "float32",
    "range": [0.0, 1.0],
    "classes": 10,
    "task": "classification",
    "counts": {"train": 96, "val": 32, "test": 32},
}


def record(trial, status="running", **requested):
    items = [{"name": name, "value": value} for name, value in requested.items()]
    return TrialRecord(trial, requested, status=status, requested=items)


def report(trial, epoch, objective):
    return Report(epoch, objective, {"val_accuracy": objective}, 1.0, trial=trial, time=0.0)


@pytest.fixture
def plan_of():
    """A function: settings -> the plan of a search for the best of four trials on digits."""

    def plan(requested=(), concurrent=2, **more):
        settings = {k: v for k, v in more.items() if k in Experiment.model_fields}
        given = {k: v for k, v in more.items() if k not in settings}
        return SearchPlan(
            Experiment(dataset="digits", **{"trials": 4, **settings}),
            Objective("val_accuracy", "max"),
            FACTS,
            list(requested),
            650,
            concurrent,
            (),
            Path("runs/mine"),
            **given,
        )

    return plan
