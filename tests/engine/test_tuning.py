"""Searches on a real Ray, told of four CPUs and two GPUs, with real Keras on a small real
dataset."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import Experiment, tune
from pipeline.data.dataset import Dataset
from pipeline.errors import ProgramError, RequestError, UserCodeError
from pipeline.records.entries.trials import read_trials
from pipeline.schedulers import SCHEDULERS
from pipeline.search import SEARCHERS
from pipeline.watch import Interruption, Watcher

ROOT = Path(__file__).parents[2]
SPACES = Path(__file__).parents[1] / "spaces"
pytestmark = pytest.mark.ray


# Each scheduler, and each searcher where trials pause and where they do not. The chaos searches
# draw from all pairs.
PAIRS = [
    ("asha", "grid"),
    ("asha-stopping", "random"),
    ("hyperband", "random"),
    ("median", "grid"),
    ("pbt", "hyperopt"),
    ("none", "hyperopt"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("scheduler", "searcher"), PAIRS)
def test_every_searcher_works_with_every_scheduler(search, searcher, scheduler):
    assert {pair[0] for pair in PAIRS} == set(SCHEDULERS) and {pair[1] for pair in PAIRS} == set(
        SEARCHERS
    )
    run = search(searcher=searcher, scheduler=scheduler, trials=8, max_epochs=3)
    assert len(run.trials) == 8
    assert set(run.trials["status"]) <= {"finished", "stopped"}
    assert run.summary["trials"]["unfinished"] == 0
    assert (run.summary["scored"], run.summary["saved"]) == ("validation", "best epoch")
    assert not {"refit_epochs", "folds", "spread"} & run.summary.keys()
    assert run.best.objective == run.history["val_accuracy"].max()
    assert not run.trials[["hidden", "units", "learning_rate"]].duplicated().any()


@pytest.mark.slow
def test_hyperband_on_two_slots_trains_what_its_arithmetic_says_as_it_is_trained_undisturbed(
    search,
):
    settings = {"searcher": "random", "trials": 17, "max_epochs": 10}
    run = search(scheduler="hyperband", reduction_factor=3, **settings)
    # Brackets of 3, 5 and 9 trials: 3 x 10; 5 x 3 + 2 x 6; 9 x 1 + 3 x 2 + 1 x 6 epochs.
    assert sorted(run.trials["epochs"]) == [1] * 6 + [3] * 2 + [3] * 3 + [9] * 3 + [10] * 3
    assert run.summary["epochs"] == 78
    # A trial that was paused reports what one does that was not: those of the first two brackets.
    undisturbed = search(scheduler="none", **settings | {"trials": 8})
    both = run.history.merge(
        undisturbed.history, on=["trial", "epoch"], suffixes=("", "_undisturbed")
    )
    assert len(both) == 57
    np.testing.assert_allclose(both["val_loss"], both["val_loss_undisturbed"], rtol=1e-4)


STEPS = """
import keras
import numpy as np

def build(hp, data):
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    optimizer = keras.optimizers.SGD(hp.Float("rate", 0.001, 0.1))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def fit(hp, model, *args, **kwargs):
    return model.fit(*(np.concatenate(4 * [arg]) for arg in args), batch_size=1, **kwargs)
"""


@pytest.mark.slow
def test_trials_are_compiled_from_the_rung_on_that_is_far_enough_from_the_next(search, tmp_path):
    """Some 4,400 steps an epoch: one epoch to the first rung, three to the end."""
    file = tmp_path / "steps.py"
    file.write_text(STEPS)
    run = search(
        dataset="digits",
        search_space=str(file),
        scheduler="asha",
        trials=4,
        max_epochs=4,
    )
    few, many = "looped: too few steps for a compilation to pay", "compiled: many steps"
    plans = {record.epochs: record.fit_plan for record in read_trials(run.layout).values()}
    assert plans == {1: few, 4: f"{few}, from epoch 2 {many}"}
    assert set(run.summary["fit_plans"]) == set(plans.values())


MEETING = """
import os
import pathlib
import time

import tiny

build = tiny.build


def fit(hp, model, *args, **kwargs):
    if os.environ.get("CUDA_VISIBLE_DEVICES") not in ("0", "1"):  # the check beforehand, which is alone
        return model.fit(*args, **kwargs)
    place = pathlib.Path(__file__).parent / "met"
    place.mkdir(exist_ok=True)
    (place / str(os.getpid())).touch()
    until = time.monotonic() + 120
    while len(list(place.iterdir())) < 4 and time.monotonic() < until:
        time.sleep(0.1)
    return model.fit(*args, **kwargs)
"""


@pytest.mark.slow
def test_four_trials_share_two_gpus_each_with_its_own_device_list(search, tmp_path):
    (tmp_path / "tiny.py").write_text((SPACES / "tiny.py").read_text())
    (tmp_path / "meeting.py").write_text(MEETING)
    run = search(
        search_space=str(tmp_path / "meeting.py"),
        gpus_per_trial=0.5,
        max_concurrent=9,
        trials=4,
        max_epochs=2,
        scheduler="none",
    )
    assert run.summary["concurrent"] == 4
    records = read_trials(run.layout).values()
    assert sorted(r.devices for r in records) == ["0", "0", "1", "1"]
    assert max(r.started for r in records) < min(r.ended for r in records)  # all four at once


def assert_identical(one, two):
    """Two runs are, times aside."""
    for table in ("trials", "history"):
        first, second = (getattr(run, table).drop(columns="seconds") for run in (one, two))
        pd.testing.assert_frame_equal(first, second)


@pytest.fixture(scope="module")
def whole(ray_cluster, tmp_path_factory):
    """A search with one trial at a time that nothing befell."""
    experiment = Experiment(
        dataset=str(SPACES / "few.py"),
        search_space=str(SPACES / "tiny.py"),
        storage=str(tmp_path_factory.mktemp("whole")),
        trials=9,
        max_epochs=3,
        max_concurrent=1,
        scheduler="asha",
        seed=3,
    )
    return tune(experiment, quiet=True)


@pytest.mark.slow
def test_with_one_trial_at_a_time_two_runs_are_identical_times_aside(search, whole, tmp_path):
    settings = yaml_of(whole) | {"storage": str(tmp_path / "runs")}
    assert_identical(whole, search(**settings))
    other = search(**settings | {"seed": 4, "trials": 2})
    assert not whole.trials["learning_rate"][:2].equals(other.trials["learning_rate"])


@pytest.mark.slow
def test_grid_trains_each_configuration_of_a_conditional_space_once(search):
    run = search(
        searcher="grid",
        search_space=str(SPACES / "grid.py"),
        scheduler="none",
        trials=40,
        max_epochs=1,
    )
    assert len(run.trials) == 14 and run.summary["exhausted"]
    assert run.trials["activation_2"].notna().sum() == 8
    # a trial without a GPU sees none
    assert {r.devices for r in read_trials(run.layout).values()} == {"-1"}


@pytest.mark.slow
def test_what_only_fit_asks_for_is_tuned_and_recorded(search):
    run = search(
        search_space=str(SPACES / "slow.py"),
        trials=4,
        max_epochs=1,
        max_concurrent=1,
        searcher="random",
        scheduler="none",
    )
    assert set(run.trials["batch_size"]) <= {64, 128}
    record = next(iter(read_trials(run.layout).values()))
    assert {item["name"]: item["asked_by"] for item in record.requested}["batch_size"] == "fit"


@pytest.mark.slow
def test_a_trial_that_diverges_is_a_recorded_result(search):
    run = search(
        dataset="diabetes",
        search_space=str(SPACES / "diverging.py"),
        searcher="grid",
        trials=5,
        max_epochs=3,
        max_concurrent=1,
    )
    assert run.summary["trials"] == {
        "total": 2,
        "finished": 1,
        "stopped": 0,
        "failed": 1,
        "unfinished": 0,
        "duplicate": 0,
    }
    failed = run.trials[run.trials["status"] == "failed"].iloc[0]
    assert failed["explode"] and failed["error"].startswith("diverged: val_loss is")
    assert pd.isna(failed["val_loss"])
    assert run.best.hyperparameters == {"explode": False}


@pytest.mark.slow
def test_the_same_fault_in_every_trial_ends_the_run_with_the_users_traceback(search, tmp_path):
    with pytest.raises(
        ProgramError, match="3 trials in a row failed in the same way: KeyError"
    ) as raised:
        search(search_space=str(SPACES / "failing.py"), trials=30)
    assert "failing.py" in raised.value.user_traceback
    assert "pipeline/worker/training/trial.py" not in raised.value.user_traceback
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "summary.json").read_text())["trials"]["failed"] >= 3


def test_a_space_that_cannot_be_right_is_refused_and_leaves_nothing(search, tmp_path):
    (tmp_path / "space.py").write_text("def build(hp, data):\n    return 1 / 0\n")
    with pytest.raises(
        UserCodeError, match="must build and train on dataset 'few'; it raised ZeroDivisionError"
    ):
        search(search_space=str(tmp_path / "space.py"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_objective_that_the_model_does_not_report_is_refused(search, tmp_path):
    with pytest.raises(
        RequestError, match="got 'val_auc'. Possible: val_accuracy, val_loss, accuracy, loss."
    ):
        search(objective="val_auc")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_objective_of_a_family_with_its_own_fit_is_checked_too(search, tmp_path):
    with pytest.raises(
        RequestError,
        match="must be among what 'mlp' reports; got 'val_auc'. Possible: val_accuracy, ",
    ):
        search(search_space="mlp", objective="val_auc")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_more_than_the_cluster_will_ever_have_is_refused(search, tmp_path):
    with pytest.raises(
        RequestError,
        match="it needs 1 CPU, 3 GPU, and the cluster's nodes have 4 CPU, 2 GPU. "
        "With --gpus-per-trial 0 it fits.",
    ):
        search(gpus_per_trial=3)
    assert not (tmp_path / "runs").exists()


def tiny_build(hp, data):
    import keras

    model = keras.Sequential(
        [keras.Input(data.shape), keras.layers.Dense(hp.Choice("units", [2, 4]))]
    )
    model.add(keras.layers.Dense(1))
    model.compile("adam", "mse")
    return model


@pytest.mark.slow
def test_dataset_and_space_may_be_objects_and_the_best_model_predicts(search):
    x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
    data = Dataset.split("plane", x, x.sum(axis=1), seed=0)
    run = search(
        dataset=data,
        search_space=tiny_build,
        trials=2,
        max_epochs=2,
        max_concurrent=1,
        objective="val_loss",
    )
    recorded = run.layout.experiment.read_text()
    assert "object: plane" in recorded and "tiny_build" in recorded and "sha256" in recorded
    model = run.best_model()
    loss = float(np.mean((model.predict(data.x_test, verbose=0).ravel() - data.y_test) ** 2))
    assert loss == pytest.approx(run.summary["test"]["loss"], rel=1e-3)


@pytest.mark.slow
def test_a_resumed_run_trains_the_trials_that_were_cut_off_first(search, whole, tmp_path):
    """The driver is stopped from inside, so that what is cut off is known."""
    interruption = Interruption()

    class StopAfterFive(Watcher):
        def reported(self, report):
            self.count = getattr(self, "count", 0) + 1
            if self.count == 5:
                interruption.signal = 15

    settings = yaml_of(whole) | {"storage": str(tmp_path / "cut")}
    cut = tune(Experiment(**settings), watchers=[StopAfterFive()], interruption=interruption)
    assert cut.summary["interrupted"] and len(cut.history) == 5
    assert_identical(whole, search(resume=cut.directory, **settings))


def yaml_of(run):
    import yaml

    return yaml.safe_load(run.layout.experiment.read_text())
