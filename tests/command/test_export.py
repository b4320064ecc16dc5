"""What an exported model is compared by, without a search."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris
from typer.testing import CliRunner

from pipeline import Experiment
from pipeline.command.export import app, inputs_to_compare_by
from pipeline.data.files.data_file import DataFile
from pipeline.errors import RequestError
from pipeline.records.layout import Layout
from pipeline.records.settings import write_experiment
from pipeline.worker.backends import exports
from pipeline.worker.backends.exports import check_format
from pipeline.worker.serving.export import check_single_input, export
from pipeline.worker.serving.served import load_model
from pipeline.worker.serving.whole_model import whole_model
from tests.conftest import ROOT
from tests.data.pictures.conftest import write_digits
from tests.data.tables.conftest import penguins as penguins


@pytest.fixture
def run_on(tmp_path):
    """A run whose model has learnt nothing: `run_on(data, dataset=…)`."""

    def made(data, **settings):
        layout = Layout(tmp_path / "run")
        layout.best.mkdir(parents=True)
        model = keras.Sequential([keras.Input(data.shape), keras.layers.Dense(2)])
        whole_model(model, data).save(layout.best_model)
        layout.best_preprocessing.write_text(json.dumps(data.preprocessing()))
        write_experiment(layout, Experiment(**settings, storage=str(tmp_path)).to_yaml())
        return SimpleNamespace(layout=layout)

    return made


def compared(run):
    return inputs_to_compare_by(run, load_model(run.layout.root).model)


@pytest.fixture
def table_run(run_on, penguins, tmp_path):
    """A run on a file of rows that was cut otherwise than its hold-out split, and the file."""
    path = tmp_path / "birds.csv"
    penguins.to_csv(path, index=False)
    asked = Experiment(dataset=str(path), target="species")
    data = asked.resolved_dataset()(0).whole()
    return run_on(data, dataset=str(path), target="species"), path


def test_the_rows_are_those_of_the_file_as_the_saved_model_takes_them(table_run, penguins):
    run, _ = table_run
    inputs, what = compared(run)

    assert what == "32 rows of birds.csv"
    expected = load_model(run.layout.root).inputs(penguins[:32])
    np.testing.assert_array_equal(inputs, expected)


def test_an_identifier_of_digits_keeps_its_zeros(run_on, penguins, tmp_path):
    path = tmp_path / "birds.csv"
    islands = penguins["island"].map({"Torgersen": "00501", "Biscoe": "00502", "Dream": "10003"})
    penguins.assign(island=islands).to_csv(path, index=False)
    settings = {"dataset": str(path), "target": "species", "column": ["island=category"]}
    run = run_on(Experiment(**settings).resolved_dataset()(0).whole(), **settings)
    inputs, what = compared(run)

    assert what == "32 rows of birds.csv"
    np.testing.assert_array_equal(inputs, load_model(run.layout.root).inputs(str(path))[:32])


GONE = {
    "changed": (
        lambda path, frame: frame.drop(columns="sex").to_csv(path, index=False),
        "it lacks sex)",
    ),
    "removed": (lambda path, frame: path.unlink(), "be a file that can be read; No such file"),
}


@pytest.mark.parametrize(("change", "says"), GONE.values(), ids=GONE)
def test_why_there_are_no_real_rows_is_said_as_it_is(change, says, table_run, penguins):
    run, path = table_run
    change(path, penguins)
    inputs, what = compared(run)

    assert what.startswith("32 made-up inputs, since its data could not be taken (")
    assert says in what
    np.testing.assert_array_equal(inputs, load_model(run.layout.root).made_up_inputs(32))


def test_one_more_column_in_the_file_changes_nothing(table_run, penguins):
    run, path = table_run
    before, _ = compared(run)
    penguins.assign(more=1.5).to_csv(path, index=False)

    np.testing.assert_array_equal(compared(run)[0], before)


def test_a_table_in_memory_is_in_no_file(run_on, penguins):
    from pipeline import table

    given = table(penguins, target="species")
    run = run_on(given(0), dataset=given, search_space="mlp")
    inputs, what = compared(run)

    assert what.endswith("could not be taken (they were a Python object, which is not recorded)")
    assert inputs.shape[0] == 32


def test_pictures_are_the_first_of_the_folder(run_on, tmp_path):
    folder = write_digits(tmp_path / "photos", 2, 5)
    settings = {"dataset": f"{folder}/", "image_size": "4"}
    data = Experiment(**settings, storage=str(tmp_path)).resolved_dataset()(0)
    inputs, what = compared(run_on(data, **settings))

    assert what == "10 pictures of photos" and inputs.shape == (10, 4, 4, 1)
    assert {picture.tobytes() for picture in inputs} == {
        picture.tobytes() for x in (data.x_train, data.x_val, data.x_test) for picture in x
    }


def test_arrays_are_of_the_validation_split_while_they_are_of_one_shape(run_on, tmp_path):
    x, y = load_iris(return_X_y=True)
    path = tmp_path / "iris.npz"
    np.savez(path, x=x, y=y)
    data = Experiment(dataset=str(path)).resolved_dataset()(0)
    assert isinstance(Experiment(dataset=str(path)).resolved_dataset(), DataFile)
    run = run_on(data, dataset=str(path))
    inputs, what = compared(run)

    assert what == "30 rows of the validation split"
    np.testing.assert_array_equal(inputs, data.x_val)
    np.savez(path, x=x[:, :3], y=y)
    inputs, what = compared(run)
    assert what.endswith("taken (its data are of shape (3,) now; it takes (4,))")
    assert inputs.shape == (32, 4)


def test_a_model_of_two_inputs_is_refused():
    one, other = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(RequestError, match="must have one input to be exported; this one has 2"):
        check_single_input(keras.Model([one, other], keras.layers.Add()([one, other])))


def test_a_format_that_there_is_not_is_refused_before_anything_else(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # it is set here, and put back afterwards
    refused = CliRunner().invoke(app, ["no run", "--format", "pmml"]).exception

    assert isinstance(refused, RequestError)
    assert str(refused) == "format must be one of saved_model, onnx, litert; got 'pmml'."


def test_packages_that_a_format_takes_are_asked_for(monkeypatch):
    monkeypatch.setattr(exports, "find_spec", lambda name: None if name == "tf2onnx" else name)

    assert check_format("litert").file == "model.tflite"
    with pytest.raises(RequestError, match=r"onnx takes tf2onnx: pip install 'kerasweep\[onnx\]'"):
        check_format("onnx")


ELSEWHERE = """
import keras
from pipeline.worker.backends.exports import check_format
check_format("saved_model")
"""


def test_a_process_with_another_backend_exports_nothing():
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.stderr.endswith(
        "A model is exported by TensorFlow, whatever backend trained it; this process has jax. Set "
        "KERAS_BACKEND=tensorflow.\n"
    )


class Eager(keras.layers.Layer):
    """Computes with NumPy, which no graph can."""

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x):
        return keras.ops.convert_to_tensor(np.asarray(x))


def test_a_model_that_keras_cannot_export_is_one_line_and_leaves_nothing(tmp_path):
    model = keras.Sequential([keras.Input((2,)), Eager()])
    with pytest.raises(RequestError, match="could not export this model as saved_model: ") as told:
        export(model, "saved_model", tmp_path / "saved_model")

    assert "\n" not in str(told.value) and not list(tmp_path.iterdir())
