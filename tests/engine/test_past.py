"""A resume opens an earlier run once, under one lock, and reads each of its files once."""

import json
import subprocess
import sys

import pytest

from pipeline import Experiment, tune
from pipeline.engine.past import Past
from pipeline.engine.tuning import go_on
from pipeline.errors import RequestError
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.settings import write_experiment
from tests.conftest import ROOT, SPACES
from tests.reopened import counted_reads

WRITTEN = [
    "experiment.yaml",
    "starts.json",
    "history.jsonl",
    "trials/t0000/trial.json",
    "trials/t0001/trial.json",
    "summary.json",
    "checksums.json",
    "trials.csv",
    "history.csv",
    "best/model.keras",
    "best/hyperparameters.json",
    "best/metrics.json",
]


@pytest.fixture
def ended(ray_cluster, tmp_path):
    """A run of two trials, which was given what to start from."""
    starts = tmp_path / "starts.json"
    starts.write_text(json.dumps([{"hidden": False}]))
    experiment = Experiment(
        dataset=str(SPACES / "few.py"),
        search_space=str(SPACES / "tiny.py"),
        scheduler="none",
        trials=2,
        max_epochs=1,
        time_budget_s=3600,
        start_from=str(starts),
        storage=str(tmp_path),
        name="run",
    )
    return tune(experiment).layout


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_is_gone_on_with_after_one_look_at_each_file(ended):
    with counted_reads(ended.root) as reads:
        longer = go_on(ended.root, {"trials": 3})

    assert longer.summary["trials"]["total"] == 3
    assert {name: reads[name] for name in WRITTEN} == dict.fromkeys(WRITTEN, 1)
    assert longer.faults() == []


@pytest.mark.ray
@pytest.mark.slow
def test_where_nothing_is_left_to_do_each_file_is_looked_at_once_and_ray_is_not_started(ended):
    code = (
        "import json, ray, sys\n"
        "from pipeline.engine.tuning import go_on\n"
        "from tests.reopened import counted_reads\n"
        "with counted_reads(sys.argv[1]) as reads:\n"
        "    run = go_on(sys.argv[1])\n"
        "assert not ray.is_initialized()\n"
        "print(json.dumps([run.best.trial, reads]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ended.root)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    best, reads = json.loads(done.stdout)
    assert best in ("t0000", "t0001")
    assert {name: reads[name] for name in WRITTEN} == dict.fromkeys(WRITTEN, 1)


@pytest.fixture
def begun(tmp_path):
    """A run that ended before its first report."""
    layout = Layout(tmp_path / "run")
    layout.root.mkdir()
    write_experiment(layout, Experiment(dataset="digits").to_yaml())
    ledger = Ledger(layout)
    ledger.start("t0000", {})
    ledger.close()
    return layout


def test_it_belongs_to_this_process_until_it_is_closed(begun):
    with Past(begun, pytest.fail) as past:
        with pytest.raises(RequestError, match="is in use by another"):
            Ledger(begun)
        past.read()
        with pytest.raises(RequestError, match="is in use by another"):
            Ledger(begun)
    Ledger(begun).close()


def test_what_is_no_run_is_refused_and_left_as_it_is(tmp_path):
    with pytest.raises(RequestError, match="does not exist"):
        Past(Layout(tmp_path / "none"), pytest.fail)
    with pytest.raises(RequestError, match=r"has no experiment\.yaml"):
        Past(Layout(tmp_path), pytest.fail)
    assert list(tmp_path.iterdir()) == []


def test_another_search_is_refused_before_anything_is_put_right(begun):
    begun.trial_record("t0000").write_text("{")
    with Past(begun, pytest.fail) as past:
        with pytest.raises(RequestError, match="A resumed run keeps its searcher"):
            past.experiment(searcher="grid")
        with pytest.raises(RequestError, match="A resumed run keeps its seed"):
            past.check_same_search(Experiment(dataset="digits", seed=1))
    assert begun.trial_record("t0000").read_text() == "{"
