"""A trial of several folds: what a loop by hand gives, through stops and restarts, the check of its
models, and the model that is trained anew."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from pipeline.objective import Objective
from pipeline.records.entries.folds import median_best_epoch
from pipeline.records.layout import Layout
from pipeline.worker.serving.model_file import load_keras_model
from pipeline.worker.session import Stopped
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.refit import evaluate_folds
from pipeline.worker.training.repeats import carry_out, directories
from tests.worker import stage

FOLDS, EPOCHS = 3, 5
LOSS = Objective("val_loss", "min")


def build(hp, data):
    keras.utils.set_random_seed(11)
    # it overshoots from the third epoch on: folds are best after 3, 5 and 3, their mean after 3
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([8], [1.0, 3.0])
    return stage.linear_model(keras.optimizers.SGD(rate))


def fit(hp, model, *args, **kwargs):
    """In the order of the rows, as by hand; ours follows from the trial's seed."""
    return model.fit(*args, shuffle=False, **kwargs)


SPACE = stage.space(build, fit)


@pytest.fixture(scope="module")
def digits():
    return stage.dataset("digits").with_folds(FOLDS, seed=2)


def task_of(folder, **settings):
    settings = {"repeats": FOLDS, "folds": FOLDS, "session_keeps": True, "max_epochs": EPOCHS} | (
        settings
    )
    return stage.job(folder / "trials", **settings)


def carried_out(task, data, space=SPACE, stop=None):
    notes = stage.Notes(stop)
    try:
        return notes, carry_out(task, space, data, notes)
    except Stopped:
        return notes, None


def by_hand(data, epochs=EPOCHS):
    """Each fold's history of a plain loop."""
    x, y = (np.concatenate([getattr(data, f"{a}_train"), getattr(data, f"{a}_val")]) for a in "xy")
    histories = []
    for train, val in StratifiedKFold(FOLDS, shuffle=True, random_state=2).split(x, y):
        model = build(None, data)
        held_out = (x[val], y[val])
        fitted = model.fit(
            x[train], y[train], validation_data=held_out, epochs=epochs, shuffle=False, verbose=0
        )
        histories.append(fitted.history)
    return histories


@pytest.fixture(scope="module")
def expected(digits):
    return by_hand(digits)


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """A trial that was carried out to its end."""
    task = task_of(tmp_path_factory.mktemp("run"))
    notes, ending = carried_out(task, digits)
    assert ending is not None and ending.failure is None
    return task, notes.epochs


def best_of(epochs):
    return min(epochs, key=lambda e: LOSS.loss(e.objective))


def evaluated(task, data, epochs, refit_epochs=2, space=SPACE):
    best, layout = best_of(epochs), Layout(task.directory.parents[1])
    epoch = None if best.final else best.epoch
    found = evaluate_folds(task, space, data, epoch, layout, best.objective, refit_epochs)
    return found, layout


def test_each_fold_has_the_values_of_a_loop_by_hand_at_each_epoch(whole, expected):
    _, epochs = whole
    assert [e.epoch for e in epochs] == list(range(1, EPOCHS + 1))
    for place, epoch in enumerate(epochs):
        each = [history["val_loss"][place] for history in expected]
        for fold, value in enumerate(each):
            assert epoch.metrics[f"split{fold}_val_loss"] == pytest.approx(value, abs=1e-6)
        assert epoch.objective == pytest.approx(np.mean(each), abs=1e-6)
        assert epoch.metrics["val_loss_std"] == pytest.approx(np.std(each), abs=1e-6)
        for name in ("loss", "accuracy", "val_accuracy"):
            mean = np.mean([history[name][place] for history in expected])
            assert epoch.metrics[name] == pytest.approx(mean, abs=1e-6)


def test_folds_differ_in_their_best_epochs_and_keep_the_one_of_the_best_mean(whole, expected):
    task, epochs = whole
    own = [int(np.argmin(history["val_loss"])) + 1 for history in expected]
    best = best_of(epochs)
    assert len(set(own)) > 1 and best.epoch < EPOCHS, "else the test says nothing"
    states = [Checkpoints(d).best_state() for d in directories(task)]
    assert [state.epoch for state in states] == [best.epoch] * FOLDS
    assert np.mean([state.objective for state in states]) == pytest.approx(best.objective)
    assert median_best_epoch(epochs, LOSS, FOLDS) == int(np.floor(np.median(own) + 0.5))


def test_the_folds_models_measured_again_give_the_recorded_mean(whole, digits, expected):
    task, epochs = whole
    best = best_of(epochs)
    found, _ = evaluated(task, digits, epochs)
    assert found["check"]["result"] == "equal" and found["check"]["folds"] == FOLDS
    assert found["check"]["recorded"] == best.objective
    assert found["check"]["measured"] == pytest.approx(best.objective, rel=1e-5)
    assert found["validation"]["loss"] == found["check"]["measured"]
    for fold, metrics in enumerate(found["folds"]):
        assert metrics["loss"] == pytest.approx(
            expected[fold]["val_loss"][best.epoch - 1], rel=1e-5
        )


def test_the_saved_model_is_that_of_a_training_by_hand_on_all_examples(whole, digits):
    task, epochs = whole
    found, layout = evaluated(task, digits, epochs, refit_epochs=3)
    x = np.concatenate([digits.x_train, digits.x_val])
    y = np.concatenate([digits.y_train, digits.y_val])
    model = build(None, digits)
    model.fit(x, y, epochs=3, shuffle=False, verbose=0)
    for ours, theirs in zip(
        load_keras_model(layout.best_model).get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert found["test"] == pytest.approx(
        model.evaluate(digits.x_test, digits.y_test, verbose=0, return_dict=True), abs=1e-6
    )
    beside = json.loads(layout.best_metrics.read_text())
    assert beside == {"trial": "t0000", "epoch": 3, "validation": None, "test": found["test"]}
    assert not list(task.directory.glob("refit*"))


def test_a_trial_that_is_stopped_goes_on_with_all_folds(whole, digits, tmp_path):
    _, epochs = whole
    task = task_of(tmp_path)
    reports = []
    for stop in (1, 3, None):
        notes, _ = carried_out(task, digits, stop=stop)
        reports += notes.epochs
        last = [Checkpoints(d).last_state().epoch for d in directories(task)]
        assert last == [stop or EPOCHS] * FOLDS, "all stop at once"
    stage.assert_same(epochs, reports)
    found, _ = evaluated(task, digits, epochs)
    assert found["check"]["result"] == "equal"


@pytest.mark.slow
def test_a_fold_whose_checkpoints_were_lost_comes_to_the_kept_epoch_again(whole, digits, tmp_path):
    _, epochs = whole
    best, task = best_of(epochs), task_of(tmp_path)
    carried_out(task, digits, stop=best.epoch + 1)
    Checkpoints(directories(task)[1]).remove()
    rest, _ = carried_out(task, digits)
    stage.assert_same(epochs[best.epoch + 1 :], rest.epochs)
    states = [Checkpoints(d).best_state() for d in directories(task)]
    assert [state.epoch for state in states] == [best.epoch] * FOLDS


@pytest.mark.slow
def test_the_check_trains_to_the_recorded_epoch_where_weights_are_older(whole, digits, tmp_path):
    _, epochs = whole
    task = task_of(tmp_path)
    carried_out(task, digits, stop=1)  # the worker was killed before it saved more
    found, _ = evaluated(task, digits, epochs)
    assert found["check"]["result"] == "equal"


@pytest.mark.slow
def test_weights_that_are_another_epochs_are_told_of(whole, digits, tmp_path, monkeypatch):
    _, epochs = whole
    task = task_of(tmp_path)
    carried_out(task, digits, stop=1)
    monkeypatch.setattr("pipeline.worker.training.evaluate.carry_out", lambda *_: None)
    found, _ = evaluated(task, digits, epochs)
    assert found["check"]["result"] == "different"
    assert "The weights of that epoch were lost" in found["check"]["reason"]


@pytest.mark.slow
def test_executions_of_each_fold_count_alike(digits, tmp_path):
    space = stage.space(lambda hp, data: stage.linear_model())
    task = task_of(tmp_path, repeats=2 * FOLDS, max_epochs=1)
    notes, _ = carried_out(task, digits, space)
    states = [Checkpoints(d).best_state().objective for d in directories(task)]
    (epoch,) = notes.epochs
    each = [np.mean(states[fold::FOLDS]) for fold in range(FOLDS)]
    assert len(set(states)) == 2 * FOLDS
    for fold in range(FOLDS):
        assert epoch.metrics[f"split{fold}_val_loss"] == pytest.approx(each[fold])
    assert epoch.objective == pytest.approx(np.mean(states))
    assert epoch.metrics["val_loss_std"] == pytest.approx(np.std(each))
    found, _ = evaluated(task, digits, notes.epochs, space=space)
    assert found["check"]["result"] == "equal"


@pytest.mark.slow
def test_a_fold_that_ends_by_itself_counts_with_what_it_kept(whole, digits, tmp_path):
    def ends(hp, model, *args, callbacks, **kwargs):
        early = callbacks[0].repeat == 0
        epochs = {"epochs": 2} if early else {}
        return fit(hp, model, *args, callbacks=callbacks, **kwargs | epochs)

    _, epochs = whole
    task = task_of(tmp_path)
    space = stage.space(build, ends)
    notes, _ = carried_out(task, digits, space)
    stage.assert_same(epochs[:2], notes.epochs[:2])
    stands = min(epochs[:2], key=lambda e: e.objective).metrics["split0_val_loss"]
    for ours, theirs in zip(notes.epochs[2:], epochs[2:], strict=True):
        assert ours.metrics["split0_val_loss"] == pytest.approx(stands)
        others = [theirs.metrics[f"split{fold}_val_loss"] for fold in (1, 2)]
        assert ours.objective == pytest.approx(np.mean([stands, *others]), abs=1e-6)
    found, _ = evaluated(task, digits, notes.epochs, space=space)
    assert found["check"]["result"] == "equal"


@pytest.mark.slow
def test_what_fit_returns_is_the_trials_score_and_is_compared_with_nothing(digits, tmp_path):
    def returns(hp, model, *args, **kwargs):
        fit(hp, model, *args, **kwargs)
        return {"val_loss": 0.5}

    task, space = task_of(tmp_path, max_epochs=2), stage.space(build, returns)
    notes, _ = carried_out(task, digits, space)
    assert [e.final for e in notes.epochs] == [False, False, True]
    assert notes.epochs[-1].objective == pytest.approx(0.5)
    found, layout = evaluated(task, digits, notes.epochs[-1:], space=space)
    assert found["check"]["result"] == "not compared" and found["test"] is None
    assert "what `fit` returned" in found["check"]["reason"]
    assert layout.best_model.is_file()


@pytest.mark.slow
def test_a_returned_score_that_is_the_best_epochs_is_no_other_score(digits, tmp_path):
    def returns(hp, model, *args, **kwargs):
        return {"val_loss": min(fit(hp, model, *args, **kwargs).history["val_loss"])}

    notes, _ = carried_out(task_of(tmp_path), digits, stage.space(build, returns))
    assert len(notes.epochs) == EPOCHS and not any(e.final for e in notes.epochs)


@pytest.mark.slow
def test_a_training_anew_that_fails_leaves_no_model_and_says_why(whole, digits, tmp_path):
    _, epochs = whole

    def fails(hp, model, x, *args, **kwargs):
        if len(x) == 120:
            raise ValueError("it is too much")
        return fit(hp, model, x, *args, **kwargs)

    task = task_of(tmp_path)
    carried_out(task, digits)
    found, layout = evaluated(task, digits, epochs, space=stage.space(build, fails))
    assert "trained anew, it failed" in found["no_model"] and "too much" in found["no_model"]
    assert found["check"]["result"] == "equal" and not layout.best_model.exists()


def test_a_fit_that_prepares_data_in_its_own_way_is_not_compared(digits, tmp_path):
    def scales(hp, model, x, y, validation_data, **kwargs):
        x_val, y_val = validation_data
        return model.fit(x / 8, y, validation_data=(x_val / 8, y_val), **kwargs)

    task, space = task_of(tmp_path, max_epochs=1), stage.space(build, scales)
    notes, _ = carried_out(task, digits, space)
    found, _ = evaluated(task, digits, notes.epochs, space=space)
    assert found["check"]["result"] == "not compared"
    assert found["validation"] is None and found["folds"] is None and found["test"] is None


def test_a_training_objective_is_compared_with_nothing(digits, tmp_path):
    task = task_of(tmp_path, max_epochs=1, objective=Objective("loss", "min"))
    notes, _ = carried_out(task, digits)
    found, _ = evaluated(task, digits, notes.epochs)
    assert found["check"]["result"] == "not compared" and found["test"] is not None
    assert "mean over an epoch" in found["check"]["reason"]


def test_a_regression_has_a_mean_over_folds_too(tmp_path):
    def line(hp, data):
        model = keras.Sequential([keras.Input(data.shape), keras.layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    data = stage.dataset("diabetes").with_folds(FOLDS, seed=2)
    task, space = task_of(tmp_path, max_epochs=1), stage.space(line)
    notes, _ = carried_out(task, data, space)
    states = [Checkpoints(d).best_state().objective for d in directories(task)]
    assert notes.epochs[0].objective == pytest.approx(np.mean(states))
    found, _ = evaluated(task, data, notes.epochs, space=space)
    assert found["check"]["result"] == "equal"


def test_failure_of_one_fold_is_the_trials(digits, tmp_path):
    task = task_of(tmp_path, max_epochs=1)
    builds = []

    def breaks(hp, data):
        builds.append(len(data.x_train))
        if len(builds) == 2:
            raise ValueError("only the second")
        return build(hp, data)

    _, ending = carried_out(task, digits, stage.space(breaks))
    assert "only the second" in ending.failure.reason
    assert builds == [80] * FOLDS, "each fold is built on its own part"


def test_a_search_without_folds_keeps_its_best_epoch_by_itself(digits, tmp_path):
    plain = replace(task_of(tmp_path), repeats=1, folds=1, session_keeps=False)
    notes, _ = stage.run(plain, SPACE, replace(digits, folds=None))
    best = best_of(notes.epochs)
    assert Checkpoints(plain.directory).best_state().epoch == best.epoch
    assert "val_loss_std" not in notes.epochs[0].metrics
