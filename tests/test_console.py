"""What a person sees, from records of a run that did not take place."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.console import Display, describe_space, plan_rows
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.ledger import Report, TrialRecord
from pipeline.space.specs import Boolean, Float, Int
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
    return Report(trial, epoch, objective, {"val_accuracy": objective}, 1.0, 0.0)


@pytest.fixture
def shown():
    def display(*, terminal, **settings):
        file = io.StringIO()
        made = Display()
        made.console = Console(
            file=file, force_terminal=terminal, width=160, highlight=False, color_system=None
        )
        experiment = Experiment(dataset="digits", trials=4, **settings)
        plan = SearchPlan(
            experiment, Objective("val_accuracy", "max"), FACTS, [], 650, 2, None, Path("runs/mine")
        )
        made.planned(plan)
        return made, file

    return display


def test_the_plan_is_shown_before_the_first_trial(shown):
    _, file = shown(terminal=False, time_budget_s=90)
    text = file.getvalue()
    assert "4 trials, at most 10 epochs each: at most 40 epochs, 0:01:30" in text
    assert "2 trials, each 1 CPU" in text and "Records: runs/mine" in text


def test_in_a_terminal_a_table_shows_each_trial_and_how_far_the_search_is(shown):
    display, file = shown(terminal=True)
    with display.searching():
        display.started(record("t0000", units=32))
        display.reported(report("t0000", 1, 0.5))
        display.reported(report("t0000", 2, 0.4))
        display.ended(record("t0000", "stopped", units=32))
        display.started(record("t0001", units=64, rate=0.001))
    last = file.getvalue().rpartition("trial ")[2]
    assert "t0000  stopped  2      0.5" in last and "units=32" in last  # its best, after two epochs
    assert "t0001  running  0" in last and "units=64 rate=0.001" in last
    assert "1/4 trials · 2 epochs · best val_accuracy 0.5 (t0000)" in last and "left" in last


def test_elsewhere_each_trial_is_a_line(shown):
    display, file = shown(terminal=False)
    with display.searching():
        display.started(record("t0000", units=32))
        display.reported(report("t0000", 1, 0.5))
        display.ended(record("t0000", "finished", units=32))
    assert (
        file.getvalue().splitlines()[-1]
        == "t0000 finished epoch  1  best val_accuracy 0.5  units=32"
    )
    assert "\x1b" not in file.getvalue()


def test_a_resumed_run_counts_what_was_done_before(shown):
    display, _ = shown(terminal=True)
    display.remembered([record("t0000", "finished", units=8)], [report("t0000", 1, 0.9)])
    assert "1/4 trials · 1 epochs · best val_accuracy 0.9 (t0000)" in display._progress()


def test_quiet_shows_nothing_of_a_run(capsys):
    display = Display(quiet=True)
    display.preparing("loading")
    assert capsys.readouterr().out == ""


def test_a_warning_is_a_line_for_who_asked_for_quiet_too(capsys):
    Display(quiet=True).warned("history.jsonl was damaged [0]; no line is from its copy.")
    assert (
        capsys.readouterr().out
        == "Warning: history.jsonl was damaged [0]; no line is from its copy.\n"
    )


def test_the_plan_says_why_so_many_trials_share_a_gpu():
    line = "the default model's peak is 812 of 81,559 MiB: 16 trials a GPU, 4,497 MiB each"
    plan = SearchPlan(
        Experiment(dataset="digits", gpus_per_trial=0.0625),
        Objective("val_accuracy", "max"),
        FACTS,
        [],
        650,
        16,
        (),
        Path("runs/mine"),
        measured=line,
    )
    assert plan_rows(plan)["GPU memory"] == line
    assert plan_rows(plan)["at once"] == "16 trials, each 1 CPU and 0.0625 GPU"


def test_a_dry_run_marks_what_only_other_configurations_request_and_says_what_each_decides():
    layers, rate = (
        Int(name="layers", min_value=1, max_value=2),
        Float(name="rate", min_value=0.0, max_value=1.0),
    )
    units, broken = Int(name="units_1", min_value=8, max_value=16, start=12), Boolean(name="broken")
    plan = SearchPlan(
        Experiment(dataset="digits"),
        Objective("val_accuracy", "max"),
        FACTS,
        [(layers, 1), (rate, 0.5)],
        650,
        2,
        (),
        Path("runs/mine"),
        (units, broken),
        {"layers": "model", "rate": "algorithm", "units_1": "model"},
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
