"""The best model is the best epoch's, measured and saved."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from pipeline.records.layout import Layout
from pipeline.records.outputs.checksums import read_checksums
from pipeline.worker.serving.model_file import load_keras_model
from pipeline.worker.training.evaluate import evaluate_best
from tests.worker.stage import dataset, digits_model, job, run, space


@pytest.fixture(scope="module")
def digits():
    return dataset("digits")


def build(hp, data):
    return digits_model(
        keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))
    )


def fit(hp, model, *args, **kwargs):
    return model.fit(*args, batch_size=hp.Choice("batch_size", [30, 60]), **kwargs)


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A trial of three epochs, of which the last is the best."""
    folder = tmp_path_factory.mktemp("run")
    configuration = {"learning_rate": 0.02, "batch_size": 30}
    task = job(folder / "trials", configuration=configuration, max_epochs=3)
    notes, ending = run(task, space(build, fit), digits)
    assert ending.failure is None
    assert [e.objective for e in notes.epochs] == sorted(
        (e.objective for e in notes.epochs), reverse=True
    )
    return task, notes.epochs, Layout(folder)


def test_it_scores_as_recorded_and_measures_the_test_split(trained, digits):
    task, epochs, layout = trained

    measured = evaluate_best(task, space(build, fit), digits, 3, layout)

    assert measured["validation"] == pytest.approx(
        {
            name.removeprefix("val_"): v
            for name, v in epochs[2].metrics.items()
            if name.startswith("val_")
        },
        rel=1e-5,
    )
    assert measured["test"].keys() == {"loss", "accuracy"}
    assert measured["test"] != measured["validation"]
    predicted = load_keras_model(layout.best_model).predict(digits.x_test, verbose=0).argmax(-1)
    assert measured["test"]["accuracy"] == pytest.approx((predicted == digits.y_test).mean())


def test_the_files_of_best_say_what_it_is(trained, digits):
    task, _, layout = trained
    measured = evaluate_best(task, space(build, fit), digits, 3, layout)

    assert sorted(path.name for path in layout.best.iterdir()) == [
        "confusion.csv",
        "hyperparameters.json",
        "metrics.json",
        "model.keras",
        "preprocessing.json",
    ]
    hyperparameters = json.loads(layout.best_hyperparameters.read_text())
    assert hyperparameters == {"learning_rate": 0.02, "batch_size": 30}, "what `fit` requested too"
    splits = {split: measured[split] for split in ("validation", "test")}
    assert json.loads(layout.best_metrics.read_text()) == {"trial": "t0000", "epoch": 3, **splits}
    covered = [f"best/{path.name}" for path in layout.best.iterdir()]
    assert sorted(read_checksums(layout)) == sorted(covered)


def test_the_saved_model_scores_the_same(trained, digits):
    task, _, layout = trained
    measured = evaluate_best(task, space(build, fit), digits, 3, layout)
    keras.utils.clear_session()

    model = load_keras_model(layout.best_model)

    again = model.evaluate(digits.x_test, digits.y_test, batch_size=60, verbose=0, return_dict=True)
    assert again == pytest.approx(measured["test"], rel=1e-5)


def test_what_tables_were_scaled_by_goes_along(tmp_path):
    data = dataset("breast_cancer")

    def tables(hp, data):
        model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy", run_eagerly=True)
        return model

    task, layout = job(tmp_path / "trials", max_epochs=1), Layout(tmp_path)
    run(task, space(tables), data)
    evaluate_best(task, space(tables), data, 1, layout)

    scaling = json.loads(layout.best_standardisation.read_text())
    assert np.shape(scaling["mean"]) == np.shape(scaling["std"]) == (30,)


def test_weights_older_than_the_best_epoch_are_trained_on_to_it(trained, digits, tmp_path):
    """A worker that is killed leaves the checkpoints of an earlier epoch."""
    task, epochs, _ = trained
    task = replace(task, directory=tmp_path / "t0000")
    run(task, space(build, fit), digits, stop=1)

    measured = evaluate_best(task, space(build, fit), digits, 3, Layout(tmp_path))

    assert measured["validation"]["loss"] == pytest.approx(epochs[2].objective, rel=1e-6)
    assert json.loads(Layout(tmp_path).best_metrics.read_text())["epoch"] == 3


def test_no_weights_at_all_are_trained_from_the_start(trained, digits, tmp_path):
    task, epochs, _ = trained
    task = replace(task, directory=tmp_path / "t0000")

    measured = evaluate_best(task, space(build, fit), digits, 2, Layout(tmp_path))

    assert measured["validation"]["loss"] == pytest.approx(epochs[1].objective, rel=1e-6)
