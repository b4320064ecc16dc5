"""A run that ended: what it says of itself, and how an earlier one is opened."""

from pathlib import Path

import pytest

from pipeline import open_run
from pipeline.engine.run import Run
from pipeline.errors import RequestError
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.layout import Layout
from pipeline.records.outputs.summary import BestEpoch, summary_of, write_summary
from pipeline.records.settings import write_experiment

BEST = BestEpoch("t0001", {"units": 64, "layer": "<dense>"}, 0.91234567, 3)


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """A run in ./runs/mine that was asked for, and has not ended."""
    monkeypatch.chdir(tmp_path)
    layout = Layout(Path("runs/mine"))
    write_experiment(layout, "dataset: mnist\n")
    return layout


def end(layout, best=BEST, **facts):
    statuses = ("finished", "stopped", "stopped", "failed")
    trials = {f"t000{n}": TrialRecord(f"t000{n}", {}, status=s) for n, s in enumerate(statuses)}
    test = {"accuracy": 0.9, "loss": 0.25} if best else None
    known = {"validation": None, "wall_clock_s": 75.0, "objective": "val_accuracy:max"} | facts
    write_summary(
        layout, summary_of(layout, best=best, test=test, trials=trials, epochs=12, **known)
    )


def test_printed_it_says_what_came_out_and_where_the_records_are(layout):
    end(layout)
    assert repr(open_run("runs/mine")).splitlines() == [
        "trials           4 (1 finished, 2 stopped, 1 failed), 12 epochs in 0:01:15",
        "best trial       t0001, epoch 3",
        "objective        val_accuracy 0.91235, maximised",
        "hyperparameters  units=64 layer=<dense>",
        "test             accuracy=0.9 loss=0.25",
        "model            runs/mine/best/model.weights.h5",
        "records          runs/mine",
    ]


def test_what_is_long_is_wrapped_under_its_own_heading(layout):
    many = {f"units_of_block_{n}": 32 * n for n in range(9)}
    end(layout, BestEpoch("t0001", many, 0.5, 3))
    lines = str(open_run("runs/mine")).splitlines()
    assert max(map(len, lines)) <= 80
    at = next(n for n, line in enumerate(lines) if line.startswith("hyperparameters  units_of"))
    assert lines[at + 1].startswith(" " * 17 + "units_of")


def test_a_run_without_a_best_trial_says_so(layout):
    end(layout, best=None)
    assert "best trial       none reported a finite objective" in repr(open_run("runs/mine"))


def test_in_a_notebook_it_is_a_table_of_the_same(layout):
    end(layout)
    html = open_run("runs/mine")._repr_html_()
    assert html.startswith("<table>") and html.count("<tr>") == 7
    assert ">accuracy=0.9 loss=0.25</td>" in html and ">runs/mine</td>" in html
    assert "layer=&lt;dense&gt;" in html and "<dense>" not in html


def test_an_earlier_run_is_opened_by_its_directory(layout, monkeypatch):
    end(layout)
    run = open_run(layout.root)
    assert isinstance(run, Run) and run.best == BEST and run.directory == layout.root
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert open_run("~/runs/mine").summary == run.summary


def test_what_is_no_run_is_refused_with_what_is_there(layout):
    must = "^A run must be a directory with an experiment.yaml; "
    with pytest.raises(RequestError, match=f"{must}mine does not exist.$"):
        open_run("mine")
    with pytest.raises(RequestError, match=f"{must}runs has no experiment.yaml, but the runs mine"):
        open_run("runs")
    with pytest.raises(RequestError, match=f"{must}runs/mine/experiment.yaml is a file.$"):
        open_run("runs/mine/experiment.yaml")


def test_a_run_that_has_not_ended_is_refused_with_what_ends_it(layout):
    with pytest.raises(
        RequestError,
        match="^A run that ended must have a summary.json; runs/mine has none: it still runs, or "
        "--resume goes on with it.$",
    ):
        open_run("runs/mine")
