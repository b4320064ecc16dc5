"""`tuner.oracle`: what a search has found out, as KerasTuner's users look at it."""

import keras
import keras_tuner
import pytest

from pipeline import keras_tuner as kt
from pipeline.keras_tuner.oracle import MetricsTracker
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialFacts
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.settings import write_experiment
from pipeline.space.hyperparameters import HyperParameters


def build_model(hp):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(hp.Int("units", 1, 8))])
    model.compile("sgd", "mse")
    return model


@pytest.fixture
def tuner(tmp_path):
    """A project of three trials: one that ended, one that was stopped, one that failed."""
    made = kt.RandomSearch(build_model, "val_loss", 4, seed=1, directory=tmp_path, project_name="p")
    ledger = Ledger(Layout(tmp_path / "p"))
    write_experiment(
        ledger.layout, "dataset: {object: mine, inputs: {shape: [3], dtype: float32}}\nseed: 1\n"
    )
    losses = {"t0000": [0.5, 0.3, 0.4], "t0001": [0.2], "t0002": []}
    for trial, values in losses.items():
        ledger.start(trial, {})
        hp = HyperParameters({"units": 2 + int(trial[-1])})
        hp.Int("units", 1, 8)
        ((spec, value),) = hp.requested
        asked = {**spec.to_dict(), "asked_by": "build", "value": value}
        ledger.note(trial, TrialFacts(requested=[asked]))
        for epoch, loss in enumerate(values, start=1):
            metrics = {"val_loss": loss, "val_accuracy": 1 - loss, "mine": None}
            ledger.report(Report(epoch, loss, metrics, 1.0, trial=trial, time=float(epoch)))
    ledger.end("t0001", "stopped")
    ledger.end("t0000", "finished")
    ledger.end("t0002", "failed", error="ValueError: no")
    ledger.close()
    return made


def test_the_best_trials_come_first_with_score_and_epoch(tuner):
    first, second = tuner.oracle.get_best_trials(5)
    assert (first.trial_id, first.score, first.best_step) == ("t0001", 0.2, 0)
    assert (second.trial_id, second.score, second.best_step) == ("t0000", 0.3, 1)
    assert first.hyperparameters.values == {"units": 3} and first.hyperparameters.get("units") == 3
    assert tuner.oracle.get_best_trials()[0].trial_id == "t0001"


def test_steps_are_counted_as_kerastuner_does(tuner):
    from keras_tuner.src.engine.tuner_utils import get_best_step

    ours = tuner.oracle.get_trial("t0000")
    history = keras.callbacks.History()
    history.history = {
        name: [seen.value[0] for seen in ours.metrics.get_history(name)]
        for name in ("val_loss", "val_accuracy")
    }
    assert ours.best_step == get_best_step(history, keras_tuner.Objective("val_loss", "min")) == 1


def test_the_step_of_a_score_that_fit_returned_is_the_first(tuner):
    ledger = Ledger(Layout(tuner.project_dir))
    ledger.report(Report(4, 0.1, {"val_loss": 0.1}, 1.0, True, trial="t0000", time=9.0))
    ledger.close()
    best = tuner.oracle.get_best_trials()[0]
    assert (best.trial_id, best.score, best.best_step) == ("t0000", 0.1, 0)


def test_every_trial_is_there_with_what_became_of_it(tuner):
    trials = tuner.oracle.trials
    assert {trial: each.status for trial, each in trials.items()} == {
        "t0000": "COMPLETED",
        "t0001": "STOPPED",
        "t0002": "FAILED",
    }
    failed = tuner.oracle.get_trial("t0002")
    assert (failed.score, failed.best_step, failed.message) == (None, None, "ValueError: no")
    assert tuner.oracle.start_order == ["t0000", "t0001", "t0002"]
    assert tuner.oracle.end_order == ["t0001", "t0000", "t0002"]


def test_metrics_are_read_by_name_an_epoch_at_a_time(tuner):
    metrics = tuner.oracle.trials["t0000"].metrics
    assert [(seen.value, seen.step) for seen in metrics.get_history("val_loss")] == [
        ([0.5], 0),
        ([0.3], 1),
        ([0.4], 2),
    ]
    assert metrics.get_best_value("val_loss") == 0.3
    assert metrics.get_best_value("val_accuracy") == 0.7
    assert metrics.get_best_value("mine") is None
    assert [seen.mean() for seen in metrics.get_history("val_loss")] == [0.5, 0.3, 0.4]
    assert metrics.get_best_step("val_loss") == 1 and metrics.get_best_step("mine") is None
    directions = {name: metrics.get_direction(name) for name in metrics.metrics}
    assert directions == {"val_loss": "min", "val_accuracy": "max", "mine": "min"}
    assert metrics.get_last_value("val_loss") == 0.4
    assert metrics.get_statistics("val_loss")["median"] == 0.4
    assert metrics.exists("val_accuracy") and not metrics.exists("accuracy")
    assert metrics.get_history("mine") == [] and metrics.get_last_value("mine") is None
    assert set(metrics.metrics) == {"val_loss", "val_accuracy", "mine"}


def test_what_was_not_reported_is_told_with_what_was(tuner):
    metrics = tuner.oracle.trials["t0000"].metrics
    with pytest.raises(KeyError, match="Unknown metric 'val_los'. Known: mine, val_accuracy, val_"):
        metrics.get_history("val_los")


def test_a_trials_summary_is_printed(tuner, capsys):
    tuner.oracle.get_trial("t0001").summary()
    assert capsys.readouterr().out == (
        "Trial t0001 summary\nHyperparameters:\nunits: 3\nScore: 0.2\n"
    )


def test_a_trial_is_there_as_plain_data_in_kerastuners_form(tuner, capsys):
    from keras_tuner.src.engine.trial import Trial

    ours = tuner.oracle.get_trial("t0001")
    theirs = Trial.from_state(ours.get_state())
    assert theirs.get_state() == ours.get_state()
    assert (theirs.trial_id, theirs.score, theirs.best_step) == ("t0001", 0.2, 0)
    assert theirs.metrics.get_best_value("val_accuracy") == 0.8
    ours.display_hyperparameters()
    assert capsys.readouterr().out == "units: 3\n"


def test_what_a_trial_asked_for_is_among_what_may_be_tuned(tuner):
    ledger = Ledger(Layout(tuner.project_dir))
    ledger.start("t0003", {})
    hp = HyperParameters()
    hp.Boolean("shuffle")
    ((spec, value),) = hp.requested
    asked = {**spec.to_dict(), "asked_by": "fit", "value": value}
    ledger.note("t0003", TrialFacts(requested=[asked]))
    ledger.close()
    assert [spec.name for spec in tuner.oracle.get_space().space] == ["units", "shuffle"]
    assert tuner.oracle.hyperparameters.get("shuffle") is False
    assert tuner.oracle.remaining_trials() == tuner.remaining_trials == 1


def test_what_may_be_tuned_and_what_was_asked_for_is_there_too(tuner):
    oracle = tuner.oracle
    assert (oracle.objective.name, oracle.max_trials) == ("val_loss", 4)
    assert [spec.name for spec in oracle.get_space().space] == ["units"]
    assert oracle.trials["t0001"].status == kt.engine.trial.TrialStatus.STOPPED
    assert oracle.hyperparameters.values == {"units": 1}


def test_it_is_only_to_be_read(tuner):
    with pytest.raises(AttributeError) as raised:
        tuner.oracle.create_trial("tuner0")
    assert str(raised.value).startswith(
        "Unknown part of an oracle here, which is only to be read 'create_trial'. Known: "
    )


def test_before_a_search_it_is_empty(tmp_path):
    made = kt.RandomSearch(build_model, "val_loss", directory=tmp_path, project_name="new")
    assert made.oracle.trials == {} and made.oracle.get_best_trials(3) == []


def test_the_direction_of_the_objective_is_that_of_its_best_value(tmp_path):
    reports = [
        Report(epoch, value, {"mine": value}, 1.0, trial="t0000", time=1.0)
        for epoch, value in ((1, 0.1), (2, 0.4), (3, 0.2))
    ]
    assert MetricsTracker(reports, kt.Objective("mine", "max")).get_best_value("mine") == 0.4
    assert MetricsTracker(reports, kt.Objective("other", "max")).get_best_value("mine") == 0.1


def test_the_names_are_those_of_kerastuner(tuner):
    from keras_tuner.src.engine import metrics_tracking, oracle, trial

    def public(thing):
        return {name for name in dir(thing) if not name.startswith("_")}

    made = oracle.Oracle(objective="val_loss", max_trials=2)
    assert public(type(tuner.oracle)) <= public(made)
    of_a_trial = public(tuner.oracle.trials["t0000"])
    assert of_a_trial <= public(trial.Trial(hyperparameters=made.get_space()))
    assert public(MetricsTracker) <= public(metrics_tracking.MetricsTracker()) | {"metrics"}
