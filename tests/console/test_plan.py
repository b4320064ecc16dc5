"""The plan of a search in words."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pipeline import table
from pipeline.console.plan import describe_columns, describe_space, plan_rows
from pipeline.experiment import UNBOUNDED
from pipeline.space.specs import Boolean, Float, Int


def test_the_plan_says_what_is_used_of_the_gpus_and_why_and_what_of_the_cluster_is_not(plan_of):
    line, idle = "2 share one", "1 node without a GPU trains nothing"
    plan = plan_of(concurrent=2, gpus_per_trial=0.5, on_gpus=line, left_idle=idle)
    assert plan_rows(plan)["GPU"] == line and plan_rows(plan)["left idle"] == idle
    assert plan_rows(plan)["at once"] == "2 trials, each 1 CPU and 0.5 GPU"
    assert not {"GPU", "left idle"} & plan_rows(plan_of()).keys()


def test_the_plan_says_how_many_trials_share_a_process(plan_of):
    plan = plan_of(concurrent=8, seats=4, cpus_per_trial=2)
    assert plan_rows(plan)["at once"] == "8 trials, 4 in each process of 2 CPU"


def test_the_plan_says_how_many_trainings_there_are_with_folds(plan_of):
    def told(by, **settings):
        plan = plan_of(**settings)
        return plan_rows(replace(plan, data=plan.data | {"folds": {"by": by}}))["validation"]

    assert told("by group", folds=4, executions_per_trial=2, trials=3) == (
        "4 folds, by group: 8 trainings a trial, 24 at most; then the best is trained on all of it"
    )
    assert told("by time", folds=4, trials=UNBOUNDED) == (
        "4 folds, by time: 4 trainings a trial; then the best is trained on all of it"
    )
    assert "validation" not in plan_rows(plan_of())
    plan = plan_of(folds=4)
    counts = {"train": 455, "val": 455, "test": 114}
    described = plan_rows(replace(plan, data=plan.data | {"folds": {"by": "x"}, "counts": counts}))
    assert described["dataset"].endswith("; 455 train and validation, 114 test")


def test_a_dry_run_marks_what_only_other_configurations_request_and_says_what_each_decides(
    plan_of,
):
    layers, rate = (
        Int(name="layers", min_value=1, max_value=2),
        Float(name="rate", min_value=0.0, max_value=1.0),
    )
    units, broken = Int(name="units_1", min_value=8, max_value=16, start=12), Boolean(name="broken")
    plan = plan_of(
        [(layers, 1), (rate, 0.5)],
        conditional=(units, broken),
        roles={"layers": "model", "rate": "algorithm", "units_1": "model"},
    )
    console = Console(file=io.StringIO(), width=80)
    console.print(describe_space(plan))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert lines[1:] == [
        "layers int 1 to 2, step 1, linear 1 the model",
        "rate float 0 to 1, linear 0.5 how it is trained",
        "",
        "conditional:",
        "units_1 int 8 to 16, step 1, linear 12 the model",
        "broken boolean True, False False not known",  # no configuration with it could be built
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (None, "3 classes;"),
        (["setosa", "versicolor", "virginica"], "3 classes (setosa, versicolor, virginica);"),
        (["a" * 30, "b" * 30, "c"], "3 classes;"),
    ],
)
def test_a_few_classes_are_named(plan_of, names, said):
    plan = plan_of()
    facts = {**plan.data, "classes": 3, "class_names": names, "counts": {"train": 8}}

    assert said in plan_rows(replace(plan, data=facts))["dataset"]


def test_the_plan_of_a_table_says_what_its_columns_and_its_target_are(plan_of):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": [None, *rng.normal(size=59)],
            "colour": ["red", "green", "blue"] * 20,
            "weight": rng.normal(size=60),
            "one": 1,
            "price": rng.normal(100, 5, 60),
        }
    )
    facts = [table(frame, target=name)(seed=0).describe() for name in ("price", "colour")]
    rows = [plan_rows(replace(plan_of(), data=told)) for told in facts]

    assert rows[0]["columns"] == "2 numbers, 1 category, 1 left out"
    mean, std = facts[0]["target_scale"].values()
    assert rows[0]["target"].startswith(
        f"price, a regression: mean {mean:.4g}, std {std:.4g}; a search space of ours learns it "
    )
    assert rows[1]["target"] == "colour, a classification"

    console = Console(file=io.StringIO(), width=200)
    console.print(describe_columns(facts[0]["columns"]))
    told = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert told[0] == "column kind missing encoding"
    assert told[1].startswith("size number 1 scaled: mean ")
    assert told[2] == "colour category 0 one-hot, 3 inputs"
    assert told[4] == "one left out it is constant: 1"
