"""Several repeats of a trial: their mean, their spread, and that they stay what each would be
alone."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.objective import Objective
from pipeline.worker.session import Stopped
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.evaluate import trained
from pipeline.worker.training.repeats import carry_out, directories
from tests.worker import stage


@pytest.fixture(scope="module")
def digits():
    return stage.dataset("digits")


def carried_out(task, family, data, stop=None):
    notes = stage.Notes(stop)
    try:
        return notes, carry_out(task, family, data, notes)
    except Stopped:
        return notes, None


def alone(task, repeat, family, data):
    """The curve of one execution that trains by itself."""
    folder = task.directory / "alone" / str(repeat)
    return stage.run(replace(task, repeats=1, repeat=repeat, directory=folder), family, data)[
        0
    ].epochs


def test_reports_mean_and_spread_of_what_each_execution_reports_alone(digits, tmp_path):
    task = stage.job(tmp_path, repeats=3, max_epochs=3)
    notes, ending = carried_out(task, stage.space(), digits)
    assert ending is not None and ending.failure is None
    each = [alone(task, k, stage.space(), digits) for k in range(3)]
    assert stage.differ(each[0], each[1])
    for epoch, reported in enumerate(notes.epochs):
        values = [curve[epoch].objective for curve in each]
        assert reported.epoch == epoch + 1
        assert reported.objective == pytest.approx(np.mean(values), rel=stage.TOLERANCE)
        assert reported.metrics["val_loss_std"] == pytest.approx(np.std(values), rel=1e-3)
        accuracies = [curve[epoch].metrics["accuracy"] for curve in each]
        assert reported.metrics["accuracy"] == pytest.approx(
            np.mean(accuracies), rel=stage.TOLERANCE
        )


def test_first_execution_is_the_trial_that_runs_once(digits, tmp_path):
    task = stage.job(tmp_path, max_epochs=2)
    stage.assert_same(
        stage.run(task, stage.space(), digits)[0].epochs, alone(task, 0, stage.space(), digits)
    )


def test_executions_draw_the_same_hyperparameters(digits, tmp_path):
    asked = []

    def build(hp, data):
        asked.append(hp.Float("rate", 1e-4, 1e-1, sampling="log"))
        return stage.linear_model()

    carried_out(stage.job(tmp_path, repeats=3, max_epochs=1), stage.space(build), digits)
    assert len(asked) == 3 and len(set(asked)) == 1


@pytest.mark.slow
def test_trial_that_is_stopped_goes_on_in_step(digits, tmp_path):
    task = stage.job(tmp_path, repeats=2, max_epochs=4)
    whole, _ = carried_out(replace(task, directory=tmp_path / "whole"), stage.space(), digits)
    first, _ = carried_out(task, stage.space(), digits, stop=2)
    rest, ending = carried_out(task, stage.space(), digits)
    assert ending is not None and ending.failure is None
    stage.assert_same(whole.epochs, first.epochs + rest.epochs)


@pytest.mark.slow
def test_execution_that_is_behind_catches_up(digits, tmp_path):
    task = stage.job(tmp_path, repeats=2, max_epochs=4)
    whole, _ = carried_out(replace(task, directory=tmp_path / "whole"), stage.space(), digits)
    carried_out(task, stage.space(), digits, stop=2)
    (directories(task)[1] / "last.npz").unlink()
    rest, _ = carried_out(task, stage.space(), digits)
    assert [e.epoch for e in rest.epochs] == [3, 4]
    stage.assert_same(whole.epochs[2:], rest.epochs)


@pytest.mark.slow
def test_execution_that_ends_early_counts_with_its_best(digits, tmp_path):
    fits = []

    def fit(hp, model, *args, **kwargs):
        fits.append(model)
        return model.fit(*args, **kwargs | {"epochs": 1 if len(fits) == 1 else 3})

    task = stage.job(tmp_path, repeats=2, max_epochs=3)
    notes, _ = carried_out(task, stage.space(fit=fit), digits)
    each = [alone(task, k, stage.space(), digits) for k in range(2)]
    assert [e.epoch for e in notes.epochs] == [1, 2, 3]
    expected = np.mean([each[0][0].objective, each[1][2].objective])
    assert notes.epochs[2].objective == pytest.approx(expected, rel=stage.TOLERANCE)


def test_failure_of_one_execution_is_the_trials(digits, tmp_path):
    builds = []

    def build(hp, data):
        builds.append(1)
        if len(builds) == 2:
            raise ValueError("only the second")
        return stage.linear_model()

    _, ending = carried_out(stage.job(tmp_path, repeats=2), stage.space(build), digits)
    assert ending.failure.blames == "program" and "only the second" in ending.failure.reason


def test_divergence_of_one_execution_is_reported_as_such(digits, tmp_path):
    builds = []

    def build(hp, data):
        builds.append(1)
        model = stage.linear_model()
        if len(builds) == 2:
            model.optimizer.learning_rate = float("nan")
        return model

    notes, ending = carried_out(stage.job(tmp_path, repeats=2), stage.space(build), digits)
    assert (
        ending is None
        and notes.failure.blames == "configuration"
        and "diverged" in notes.failure.reason
    )
    assert notes.epochs[-1].objective is None


def test_model_is_that_of_the_best_execution(digits, tmp_path):
    task = stage.job(tmp_path, repeats=3, max_epochs=2, objective=Objective("val_accuracy", "max"))
    carried_out(task, stage.space(), digits)
    states = [Checkpoints(d).best_state() for d in directories(task)]
    model, held = trained(task, stage.space(), digits)
    assert held.objective == max(s.objective for s in states)
    measured = model.evaluate(digits.x_val, digits.y_val, verbose=0, return_dict=True)["accuracy"]
    assert measured == pytest.approx(held.objective, abs=stage.TOLERANCE)


def test_trial_whose_fit_raises_once_is_tried_again_and_finishes(digits, tmp_path):
    fits = []

    def fit(hp, model, *args, **kwargs):
        fits.append(1)
        if len(fits) == 1:
            raise OSError("only the first")
        return model.fit(*args, **kwargs)

    task = stage.job(tmp_path, max_epochs=2, retries=1)
    notes, ending = carried_out(task, stage.space(fit=fit), digits)
    assert ending.failure is None and len(fits) == 2
    assert [e.epoch for e in notes.epochs] == [1, 2]
    fits.clear()
    _, ending = carried_out(
        replace(task, directory=tmp_path / "once", retries=0), stage.space(fit=fit), digits
    )
    assert "only the first" in ending.failure.reason and len(fits) == 1


@pytest.mark.slow
def test_execution_that_had_ended_still_counts_after_a_restart(digits, tmp_path):
    def fit(hp, model, *args, callbacks, **kwargs):
        first = callbacks[0].repeat == 0
        return model.fit(*args, callbacks=callbacks, **kwargs | ({"epochs": 1} if first else {}))

    task = stage.job(tmp_path, repeats=2, max_epochs=4)
    whole, _ = carried_out(
        replace(task, directory=tmp_path / "whole"), stage.space(fit=fit), digits
    )
    first, _ = carried_out(task, stage.space(fit=fit), digits, stop=2)
    rest, ending = carried_out(task, stage.space(fit=fit), digits)
    assert ending is not None and ending.failure is None
    stage.assert_same(whole.epochs, first.epochs + rest.epochs)


def test_an_exit_of_user_code_does_not_hang_the_trial(digits, tmp_path):
    def build(hp, data):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        carried_out(stage.job(tmp_path, repeats=2), stage.space(build), digits)
