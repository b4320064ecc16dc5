"""A `fit` of one's own: what it returns, how it goes on, what is measured of its model."""

import json
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from pipeline.data.fit_data import FitData
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.worker.session import Stopped
from pipeline.worker.spaces.reveal import check_default
from pipeline.worker.training.checkpoints import Checkpoints
from pipeline.worker.training.evaluate import evaluate_best, trained
from pipeline.worker.training.repeats import carry_out
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

    notes, ending = stage.run(
        stage.job(tmp_path, max_epochs=2, objective=ACCURACY), space(fit), digits
    )
    assert ending.failure is None
    assert [(e.epoch, e.final) for e in notes.epochs] == [(1, False), (2, False), (3, True)]
    assert notes.epochs[-1].objective == pytest.approx(0.25)


def of_rows(hp, data):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def by_rows(hp, model, x, y, **kwargs):
    """What only tables and Series can do: rows by place, and one number an example."""
    half = len(x) // 2
    train, val = ((x.iloc[rows], y.iloc[rows]) for rows in (slice(half), slice(half, None)))
    model.fit(*train, validation_data=val, **kwargs)
    return float(np.mean((model.predict(x, verbose=0)[:, 0] - y) ** 2))


def test_a_table_and_a_series_arrive_as_such_and_are_trained_on_as_their_arrays(tmp_path):
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.random((40, 3)), columns=list("abc"))
    data = FitData.of("d", x, pd.Series(x.sum(axis=1)), as_given=True)
    objective = Objective("mean", "min")

    def of_arrays(hp, model, x, y, **kwargs):
        x, y = x.to_numpy(), y.to_numpy()[:, None]
        return {"mean": model.fit(x[:20], y[:20], **kwargs).history["loss"][-1]}

    task = stage.job(tmp_path / "1", max_epochs=2, objective=objective)
    notes, ending = stage.run(task, space(by_rows, of_rows), data)
    assert ending.failure is None, ending.failure
    task = stage.job(tmp_path / "2", max_epochs=2, objective=objective)
    others, ending = stage.run(task, space(of_arrays, of_rows), data)
    assert ending.failure is None, ending.failure
    assert [e.metrics["loss"] for e in notes.epochs[:2]] == [
        e.metrics["loss"] for e in others.epochs[:2]
    ]
    assert notes.epochs[-1].objective < 1  # it is of 40 differences, and not of 40 x 40
    assert check_default(space(by_rows, of_rows), data, objective).weights == 4


def test_a_returned_best_epoch_is_no_report_more(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        return max(model.fit(*args, **kwargs).history["val_accuracy"])

    notes, _ = stage.run(stage.job(tmp_path, max_epochs=2, objective=ACCURACY), space(fit), digits)
    assert [e.final for e in notes.epochs] == [False, False]


def evaluated(hp, model, x, y, validation_data, **kwargs):
    model.fit(x, y, validation_data=validation_data, **kwargs)
    return model.evaluate(
        validation_data[0][:30], validation_data[1][:30], verbose=0, return_dict=True
    )["accuracy"]


def ended_early(hp, model, *args, callbacks, **kwargs):
    early = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, min_delta=10, restore_best_weights=True
    )
    return evaluated(hp, model, *args, callbacks=[early, *callbacks], **kwargs)


def shorter(hp, model, *args, **kwargs):
    return evaluated(hp, model, *args, **kwargs | {"epochs": 2})


@pytest.mark.parametrize(("fit", "epochs"), [(evaluated, 3), (ended_early, 2), (shorter, 2)])
@pytest.mark.parametrize("repeats", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_fit_returns_is_reported_also_after_a_restart(fit, epochs, repeats, digits, tmp_path):
    """Of a trial that had trained all its epochs; and once, whenever it is restarted."""
    task = stage.job(tmp_path, max_epochs=3, objective=ACCURACY, repeats=repeats)
    whole = stage.Notes()
    carry_out(replace(task, directory=tmp_path / "whole"), space(fit), digits, whole)
    assert [(e.epoch, e.final) for e in whole.epochs[epochs - 1 :]] == [
        (epochs, False),
        (epochs + 1, True),
    ]
    with pytest.raises(Stopped):
        carry_out(task, space(fit), digits, stage.Notes(epochs))
    again = stage.Notes()
    ending = carry_out(task, space(fit), digits, again)
    assert ending.failure is None
    assert again.epochs[-1].final and again.epochs[-1].epoch == epochs + 1
    assert again.epochs[-1].objective == pytest.approx(
        whole.epochs[-1].objective, rel=stage.TOLERANCE
    )
    more = stage.Notes()
    carry_out(task, space(fit), digits, more)
    assert more.epochs == []


def test_weights_that_were_another_trials_are_not_trained_again_for_what_fit_returns(
    digits, tmp_path
):
    task = stage.job(tmp_path, max_epochs=3, objective=ACCURACY, keep_spare=True)
    stage.run(task, space(evaluated), digits, stop=3)
    again, ending = stage.run(task, space(evaluated), digits)
    assert ending.failure is None and again.epochs == []


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_the_history_that_fit_looks_at_is_whole_after_a_restart(stop, digits, tmp_path):
    """Else the best of the epochs since then would be the trial's worth."""
    seen = []

    def fit(hp, model, *args, callbacks, **kwargs):
        falls = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch < 1 else -5.0)
        seen.append(model.fit(*args, callbacks=[falls, *callbacks], **kwargs))
        return max(seen[-1].history["val_accuracy"])

    task = stage.job(tmp_path, max_epochs=4, objective=ACCURACY)
    stage.run(replace(task, directory=tmp_path / "whole"), space(fit), digits)
    stage.run(task, space(fit), digits, stop=stop)
    rest, ending = stage.run(task, space(fit), digits)
    assert ending.failure is None
    assert [(e.epoch, e.final) for e in rest.epochs] == [(k, False) for k in range(stop + 1, 5)]
    assert seen[-1].epoch == seen[0].epoch and seen[-1].history.keys() == seen[0].history.keys()
    for name, values in seen[0].history.items():
        assert seen[-1].history[name] == pytest.approx(values, rel=stage.TOLERANCE)


def test_the_model_of_a_returned_worth_is_trained_again_where_its_weights_are_gone(
    digits, tmp_path
):
    def fit(*args, **kwargs):
        return 5 + evaluated(*args, **kwargs)  # a loss

    task = stage.job(tmp_path / "trials", max_epochs=3)
    notes, _ = stage.run(task, space(fit), digits)
    held = Checkpoints(task.directory).best_state()
    assert notes.epochs[-1].final and held.epoch > 1
    (task.directory / "best.npz").unlink()
    evaluate_best(task, space(fit), digits, None, Layout(tmp_path / "run"))
    assert Checkpoints(task.directory).best_state() == held


def test_an_epoch_that_was_not_validated_counts_without_a_report(digits, tmp_path):
    def fit(hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs | {"validation_freq": [1, 3]})

    notes, ending = stage.run(
        stage.job(tmp_path, max_epochs=3, objective=ACCURACY), space(fit), digits
    )
    assert ending.failure is None
    assert [e.epoch for e in notes.epochs] == [1, 3]


def test_an_epoch_without_the_objective_though_it_was_validated_ends_the_trial(digits, tmp_path):
    def fit(hp, model, *args, callbacks, **kwargs):
        class Drops(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    del logs["val_accuracy"]

        return model.fit(*args, callbacks=[Drops(), *callbacks], **kwargs)

    notes, ending = stage.run(
        stage.job(tmp_path, max_epochs=3, objective=ACCURACY), space(fit), digits
    )
    assert [e.epoch for e in notes.epochs] == [1]
    assert (
        ending.failure.where == "objective"
        and "got 'val_accuracy'. Possible: accuracy, loss" in ending.failure.reason
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
    loss = model.evaluate(digits.x_val.reshape(-1, 64), digits.y_val, verbose=0, return_dict=True)[
        "loss"
    ]
    assert loss == pytest.approx(held.objective, rel=1e-4)


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
    epoch = trained(task, space(fit, build), digits)[1].epoch
    layout = Layout(tmp_path / "run")
    found = evaluate_best(task, space(fit, build), digits, epoch, layout)
    assert (found["validation"], found["test"]) == (None, None)
    assert found["check"]["result"] == "not compared"
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
        return model.fit(
            x[: steps * 128],
            y[: steps * 128],
            batch_size=np.array_split(x, steps)[0].shape[0],
            **kwargs,
        )

    assert check_default(space(fit), data, Objective("val_loss", "min")).weights == 650
