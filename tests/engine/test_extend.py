"""A finished run takes more: trials, and epochs for those that had all they could have."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest

from pipeline import tune
from pipeline.engine.past import Past, earlier_seconds
from pipeline.engine.same_search import check_same_search, resumed
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import summary_of, write_summary
from pipeline.records.outputs.tables import write_tables
from pipeline.records.settings import read_settings
from tests.conftest import ROOT, SPACES
from tests.engine.hearing import Hearing
from tests.reopened import is_complete


def recorded(folder, **settings):
    layout = Layout(folder)
    layout.experiment.write_text(Experiment(dataset="digits", **settings).to_yaml())
    return layout


def summarise(layout, ledger):
    write_tables(layout, Objective("val_accuracy", "max"), ledger)
    facts = {"exhausted": True, "wall_clock_s": 12.5, "objective": "val_accuracy:max"}
    write_summary(
        layout,
        summary_of(
            layout, best=None, test=None, trials=ledger.trials, epochs=len(ledger.reports), **facts
        ),
    )


def ended_after_one_epoch(folder, **settings):
    """A run of one trial, with its summary."""
    layout = recorded(folder, **settings)
    ledger = Ledger(layout)
    ledger.start("t0000", {})
    ledger.report(Report(1, 0.5, {}, 4.0, trial="t0000", time=10.0))
    ledger.end("t0000", "finished")
    summarise(layout, ledger)
    ledger.close()
    return layout


def test_epochs_are_raised_and_never_lowered(tmp_path):
    recorded(tmp_path, max_epochs=10)
    assert resumed(tmp_path, max_epochs=20).max_epochs == 20
    with pytest.raises(RequestError, match="may have more epochs, not fewer than 10; got 5"):
        resumed(tmp_path, max_epochs=5)
    with pytest.raises(RequestError, match="not fewer than 10; got 5"):
        asked = Experiment(dataset="digits", max_epochs=5)
        check_same_search(asked, Layout(tmp_path), read_settings(Layout(tmp_path)))


@pytest.mark.parametrize("scheduler", ["hyperband", "pbt"])
def test_where_all_that_was_done_followed_from_the_epochs_they_stay(tmp_path, scheduler):
    recorded(tmp_path, scheduler=scheduler)
    with pytest.raises(
        RequestError, match=rf"run of {scheduler} keeps its max_epochs \(10\); .*--start-from"
    ):
        resumed(tmp_path, max_epochs=20)


def test_a_run_with_more_epochs_to_train_is_not_complete(tmp_path):
    layout = recorded(tmp_path)
    ledger = Ledger(layout)
    for number in range(20):
        ledger.start(f"t{number:04d}", {})
        ledger.end(f"t{number:04d}", "finished")
    ledger.close()
    summarise(layout, ledger)
    assert is_complete(resumed(tmp_path), layout)
    assert not is_complete(resumed(tmp_path, max_epochs=11), layout)


def test_a_run_that_took_more_and_was_killed_is_not_complete_and_its_time_counts(tmp_path):
    layout = ended_after_one_epoch(tmp_path, max_epochs=3)
    assert is_complete(resumed(tmp_path), layout)
    ledger = Ledger(layout)
    ledger.reopen(1)
    for epoch, at in ((2, 100.0), (3, 130.0)):
        ledger.report(Report(epoch, 0.5, {}, 4.0, trial="t0000", time=at))
    ledger.close()
    assert not is_complete(resumed(tmp_path), layout)
    assert earlier_seconds(layout) == 12.5 + 34.0


def test_a_run_that_was_killed_before_its_new_summary_is_not_complete(tmp_path):
    layout = ended_after_one_epoch(tmp_path, max_epochs=2)
    ledger = Ledger(layout)
    ledger.reopen(1)
    ledger.report(Report(2, 0.5, {}, 4.0, trial="t0000", time=20.0))
    ledger.end("t0000", "finished")
    ledger.close()
    assert not is_complete(resumed(tmp_path), layout)
    summarise(layout, ledger)
    assert is_complete(resumed(tmp_path), layout)


def test_where_only_its_end_is_missing_a_spent_time_budget_is_no_hindrance(tmp_path):
    layout = recorded(tmp_path, trials=1, time_budget_s=1)
    ledger = Ledger(layout)
    ledger.start("t0000", {})
    ledger.trials["t0000"].started = 5.0
    ledger.report(Report(1, 0.5, {}, 4.0, trial="t0000", time=10.0))
    ledger.end("t0000", "finished")
    ledger.close()
    with Past(layout, pytest.fail) as past:
        past.read()
        assert not past.is_complete(resumed(tmp_path))
        past.check_budget_left(resumed(tmp_path))
        with pytest.raises(RequestError, match="of 1 s this run has spent 5 s"):
            past.check_budget_left(resumed(tmp_path, trials=2))


def test_a_night_between_two_processes_that_were_killed_is_not_spent(tmp_path):
    layout = recorded(tmp_path)
    ledger = Ledger(layout)
    ledger.start("t0000", {})
    ledger.trials["t0000"].started = 1000.0
    ledger.note("t0000", TrialFacts(node="here"))
    for epoch, at in ((1, 1020.0), (2, 1030.0), (3, 50_000.0), (4, 50_010.0)):
        ledger.report(Report(epoch, 0.5, {}, 10.0, trial="t0000", time=at))
    ledger.close()
    assert earlier_seconds(layout) == 20 + 10 + (10 + 60) + 10


def test_only_who_had_all_its_epochs_is_taken_up_again(tmp_path):
    ledger = Ledger(Layout(tmp_path))
    for trial, status, epochs in (
        ("a", "finished", 2),
        ("b", "finished", 1),
        ("c", "stopped", 2),
        ("d", "failed", 2),
    ):
        ledger.start(trial, {})
        for epoch in range(1, epochs + 1):
            ledger.report(Report(epoch, 0.5, {}, 1.0, trial=trial, time=0.0))
        ledger.end(trial, status)
    ledger.start("e", {})
    ledger.report(Report(2, 0.5, {}, 1.0, trial="e", time=0.0, final=True))
    ledger.end("e", "finished")
    ledger.reopen(2)
    assert ledger.unfinished() == ["a"]
    ledger.close()


@pytest.mark.slow
def test_with_more_epochs_the_best_go_on_and_nobody_else(search):
    first = search(trials=6, max_epochs=4, max_concurrent=1)
    further = search(resume=first.directory, trials=6, max_epochs=6, max_concurrent=1)
    ended = first.trials.set_index("trial")
    best = list(ended.index[ended.status == "finished"])
    assert 1 <= len(best) < 6 and further.summary["trials"]["unfinished"] == 0
    for trial, epochs in further.history.groupby("trial").epoch:
        assert list(epochs) == list(range(1, (6 if trial in best else ended.epochs[trial]) + 1))


SETTINGS = {"searcher": "random", "scheduler": "none", "max_concurrent": 1}


@pytest.fixture(scope="module")
def searched(ray_cluster, tmp_path_factory):
    """The directory of a finished run of two trials and two epochs each."""
    experiment = Experiment(
        dataset=str(SPACES / "few.py"),
        search_space=str(SPACES / "tiny.py"),
        storage=str(tmp_path_factory.mktemp("searched")),
        **SETTINGS | {"trials": 2, "max_epochs": 2},
    )
    return tune(experiment, quiet=True).directory


@pytest.fixture
def first(searched, tmp_path):
    """A copy of it that may be gone on with."""
    return Layout(shutil.copytree(searched, tmp_path / "first"))


@pytest.mark.slow
def test_what_went_on_is_what_it_would_have_been_from_the_start(search, first):
    settings = SETTINGS | {"trials": 2, "max_epochs": 4}
    further = search(resume=first.root, **settings)
    whole = search(**settings)
    curves = [
        run.history.sort_values(["trial", "epoch"]).reset_index(drop=True)
        for run in (further, whole)
    ]
    pd.testing.assert_frame_equal(*(curve.drop(columns="seconds") for curve in curves))
    assert further.summary["test"] == whole.summary["test"]


KILLED = """
import os, sys
from pipeline.engine.tuning import go_on

def before(event, facts):
    if event == "os.rename" and str(facts[1]) == sys.argv[2]:
        os._exit(9)

sys.addaudithook(before)
go_on(sys.argv[1], {"trials": 3})
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checksums.json", "summary.json"])
def test_killed_as_its_end_is_written_anew_it_is_one_that_did_not_end_and_not_damaged(
    search, first, name
):
    tables = [first.trials_table, first.history_table]
    before = [path.read_bytes() for path in tables]

    arguments = [str(first.root), str(first.root / name)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, cwd=ROOT
    )

    assert done.returncode == 9, done.stderr
    assert all(path.read_bytes() != data for path, data in zip(tables, before, strict=True)), (
        "it was killed after the tables were written"
    )
    with pytest.raises(RequestError, match=r"A run that ended must have a summary\.json; "):
        Results(first.root)
    settings = SETTINGS | {"trials": 3, "max_epochs": 2}
    again = search(resume=first.root, watchers=[hearing := Hearing()], **settings)
    assert len(again.trials) == 3 and again.faults() == [] and again.best_model()
    assert hearing.said == []
