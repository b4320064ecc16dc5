"""A `fit` of one's own: what it returns, how it goes on, what is measured of its model."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.worker.evaluate import evaluate_best, trained
from pipeline.worker.reveal import check
from tests.worker import stage

ACCURACY = Objective("val_accuracy", "max")


@pytest.fixture(scope="module")
def digits():
    return stage.dataset("digits")


def space(fit, build=lambda hp, data: stage.linear_model()):
    return stage.space(build, fit)


@pytest.mark.parametrize("returned", [0.25, {"val_accuracy": 0.25, "other": 3.0}, [0.2, 0.3]])
def test_what_fit_returns_is_the_trials_worth(returned, digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        return returned

    notes, ending = stage.run(stage.job(tmp_path, max_epochs=2, objective=ACCURACY), space(fit), digits)
    assert ending.failure is None
    assert [(e.epoch, e.final) for e in notes.epochs] == [(1, False), (2, False), (3, True)]
    assert notes.epochs[-1].objective == pytest.approx(0.25)


def test_a_returned_best_epoch_is_no_report_more(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        return max(model.fit(*args, **kwargs).history["val_accuracy"])

    notes, _ = stage.run(stage.job(tmp_path, max_epochs=2, objective=ACCURACY), space(fit), digits)
    assert [e.final for e in notes.epochs] == [False, False]


def test_an_epoch_that_was_not_validated_counts_without_a_report(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs | {"validation_freq": [1, 3]})

    notes, ending = stage.run(stage.job(tmp_path, max_epochs=3, objective=ACCURACY), space(fit), digits)
    assert ending.failure is None
    assert [e.epoch for e in notes.epochs] == [1, 3]


def test_an_epoch_without_the_objective_though_it_was_validated_ends_the_trial(digits, tmp_path):
    def fit(hp, model, *args, callbacks, **kwargs):
        class Drops(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    del logs["val_accuracy"]

        return model.fit(*args, callbacks=[Drops(), *callbacks], **kwargs)

    notes, ending = stage.run(stage.job(tmp_path, max_epochs=3, objective=ACCURACY), space(fit), digits)
    assert [e.epoch for e in notes.epochs] == [1]
    assert (
        ending.failure.where == "objective" and "got 'val_accuracy'. Possible: accuracy, loss" in ending.failure.reason
    )


def twice(hp, model, *args, **kwargs):
    model.fit(*args, **kwargs | {"epochs": 2})
    return model.fit(*args, **kwargs | {"epochs": 2})


def by_hand(hp, model, x, y, validation_data, callbacks, **kwargs):
    """A loop of one's own: SGD by hand, an epoch at a time."""
    for callback in callbacks:
        callback.set_model(model)
    for epoch in range(3):
        for start in range(0, len(x), 20):
            model.train_on_batch(x[start : start + 20], y[start : start + 20])
        loss = model.evaluate(*validation_data, verbose=0, return_dict=True)["loss"]
        for callback in callbacks:
            callback.on_epoch_end(epoch, {"val_loss": loss, "loss": loss})


@pytest.mark.parametrize("fit", [twice, by_hand])
@pytest.mark.parametrize("stop", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_what_only_its_fit_could_go_on_with_begins_anew(fit, stop, digits, tmp_path):
    task = stage.job(tmp_path, max_epochs=4)
    whole, _ = stage.run(replace(task, directory=tmp_path / "whole"), space(fit), digits)
    stage.run(task, space(fit), digits, stop=stop)
    again, ending = stage.run(task, space(fit), digits)
    assert ending.failure is None
    # Whatever of the first epochs is reported again is what it was: the records hold each once.
    expected = {e.epoch: e for e in whole.epochs}
    assert [e.epoch for e in again.epochs][-1] == whole.epochs[-1].epoch
    for epoch in again.epochs:
        assert epoch.metrics == pytest.approx(expected[epoch.epoch].metrics, rel=stage.TOLERANCE)


def flat(hp, model, x, y, validation_data, **kwargs):
    """Prepare the data in `fit`: the model takes rows of 64."""
    x_val, y_val = validation_data
    return model.fit(x.reshape(-1, 64), y, validation_data=(x_val.reshape(-1, 64), y_val), **kwargs)


def deferred(hp, data):
    model = keras.Sequential([keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def test_a_model_of_prepared_data_comes_back_with_its_shapes(digits, tmp_path):
    task = stage.job(tmp_path, max_epochs=3)
    whole, _ = stage.run(replace(task, directory=tmp_path / "whole"), space(flat, deferred), digits)
    stage.run(task, space(flat, deferred), digits, stop=2)
    rest, ending = stage.run(task, space(flat, deferred), digits)
    assert ending.failure is None
    stage.assert_same(whole.epochs[2:], rest.epochs)
    model, held = trained(task, space(flat, deferred), digits)
    loss = model.evaluate(digits.x_val.reshape(-1, 64), digits.y_val, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(held["objective"], rel=1e-4)


@pytest.mark.parametrize(
    "fit",
    [
        flat,
        lambda hp, model, x, y, validation_data, **kwargs: model.fit(
            5 - 3 * x, y, validation_data=(5 - 3 * validation_data[0], validation_data[1]), **kwargs
        ),
    ],
    ids=["of another shape", "of other values"],
)
def test_a_score_is_not_measured_on_data_that_fit_would_have_prepared(fit, digits, tmp_path):
    build = deferred if fit is flat else lambda hp, data: stage.linear_model()
    task = stage.job(tmp_path, max_epochs=2)
    stage.run(task, space(fit, build), digits)
    epoch = trained(task, space(fit, build), digits)[1]["epoch"]
    layout = Layout(tmp_path / "run")
    assert evaluate_best(task, space(fit, build), digits, epoch, layout) == {"validation": None, "test": None}
    assert json.loads(layout.best_metrics.read_text())["epoch"] == epoch


def test_a_fit_that_only_changes_how_it_is_trained_is_measured(digits, tmp_path):
    fit = lambda hp, model, *args, **kwargs: model.fit(*args, batch_size=7, **kwargs)  # noqa: E731
    task = stage.job(tmp_path, max_epochs=2)
    notes, _ = stage.run(task, space(fit), digits)
    best = min(notes.epochs, key=lambda e: e.objective)
    measured = evaluate_best(task, space(fit), digits, best.epoch, Layout(tmp_path / "run"))
    assert measured["validation"]["loss"] == pytest.approx(best.objective, rel=1e-4)
    assert measured["test"]["accuracy"] is not None


def test_a_fit_that_needs_more_than_a_few_examples_is_checked_on_more(digits):
    data = stage.dataset("digits", 400)

    def fit(hp, model, x, y, **kwargs):
        steps = len(x) // 128
        return model.fit(x[: steps * 128], y[: steps * 128], batch_size=np.array_split(x, steps)[0].shape[0], **kwargs)

    assert check(space(fit), data, Objective("val_loss", "min")).weights == 650
