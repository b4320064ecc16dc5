"""Two trials of the same configuration, where only `fit` shows it: the second is ended, recorded
and not counted."""

from pathlib import Path

import pandas as pd
import pytest
from ray.tune.experiment import Trial

from pipeline.engine.messages import EPOCH, OBJECTIVE
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.trials import read_trials
from pipeline.records.outputs.results import Results
from pipeline.schedulers.asha import PromotingHalving
from pipeline.schedulers.scheduler import Context

SPACE = str(Path(__file__).parents[2] / "spaces" / "nested_fit.py")
NAMES = ["batch_size", "patience"]


def trained(run):
    """Configurations of the trials that count, as text: 64, 7 and 32, none."""
    rows = run.trials[run.trials["status"] != "duplicate"].reindex(columns=NAMES)
    return [
        tuple("none" if pd.isna(v) else str(v) for v in row) for row in rows.itertuples(index=False)
    ]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("searcher", ["random", "hyperopt"])
def test_a_space_that_only_fit_shows_is_exhausted_and_nothing_is_trained_twice(search, searcher):
    run = search(
        search_space=SPACE,
        searcher=searcher,
        scheduler="asha",
        trials=20,
        max_epochs=2,
        max_concurrent=4,
    )
    assert len(trained(run)) == len(set(trained(run))) == 2 + 3
    assert run.summary["exhausted"] and run.summary["trials"]["total"] == 5


@pytest.mark.slow
@pytest.mark.ray
def test_a_duplicate_is_ended_at_its_first_report_named_and_does_not_count(search):
    # Once the first has told of patience, three are asked for at once: (64, 8), (32, 7) and (32,
    # 8).
    settings = {
        "search_space": SPACE,
        "searcher": "grid",
        "scheduler": "none",
        "max_epochs": 3,
        "max_concurrent": 4,
    }
    run = search(trials=4, **settings)
    assert run.summary["trials"] == {
        "total": 4,
        "finished": 4,
        "stopped": 0,
        "failed": 0,
        "unfinished": 0,
        "duplicate": 1,
    }
    (row,) = run.trials[run.trials["status"] == "duplicate"].to_dict("records")
    other = row["error"].removeprefix("the same configuration as ")
    assert {row["trial"], other} == {"t0002", "t0003"}
    records = read_trials(run.layout)
    assert (
        records[row["trial"]].hyperparameters
        == records[other].hyperparameters
        == {"batch_size": 32}
    )
    assert row["epochs"] == 0 and row["trial"] not in set(run.history["trial"])
    assert not run.summary["exhausted"] and len(set(trained(run))) == 4

    # There is nothing to go on with, and a longer search goes on with what is new.
    again = search(resume=run.directory, trials=4, storage=str(run.directory.parent), **settings)
    assert again.summary == run.summary
    settings["max_concurrent"] = 1
    longer = search(resume=run.directory, trials=20, storage=str(run.directory.parent), **settings)
    assert (
        longer.summary["exhausted"]
        and len(set(trained(longer))) == longer.summary["trials"]["total"] == 5
    )
    assert read_trials(longer.layout)[row["trial"]] == records[row["trial"]]
    assert Results(longer.directory).best is not None


def test_the_scheduler_learns_nothing_of_a_duplicate():
    experiment = Experiment(dataset="digits", max_epochs=9, trials=9)
    scheduler = PromotingHalving(Context(experiment, Objective("val_loss", "min")))
    supervisor = Supervisor(scheduler, lambda: 2)
    for name in ("kept", "twin"):
        trial = Trial("trainable", trial_id=name, stub=True)
        supervisor.on_trial_add(None, trial)
        if name == "twin":
            supervisor.discount(name)
        supervisor.on_trial_complete(None, trial, {EPOCH: 1, OBJECTIVE: 0.5})
    third = Trial("trainable", trial_id="third", stub=True)
    supervisor.on_trial_add(None, third)
    supervisor.on_trial_result(None, third, {EPOCH: 1, OBJECTIVE: 0.1})
    decision = supervisor.take_decisions()[-1]
    assert (decision.rung, decision.rank, decision.of) == (1, 1, 2), "it and the one that was kept"
