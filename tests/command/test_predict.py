"""`kerasweep predict`: what it writes, without a search."""

import json

import keras
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline import images
from pipeline.command.predict import app
from tests.data.pictures.conftest import write_digits


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A directory with a model of pictures that has learnt nothing, and the pictures."""
    folder = tmp_path_factory.mktemp("run")
    write_digits(folder / "photos", 2, 3)
    data = images(folder / "photos", image_size=4)(seed=0)
    model = keras.Sequential(
        [keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    (folder / "best").mkdir()
    model.save(folder / "best" / "model.keras")
    (folder / "best" / "preprocessing.json").write_text(json.dumps(data.preprocessing()))
    return folder


READERS = {"csv": pd.read_csv, "parquet": pd.read_parquet, "feather": pd.read_feather}


@pytest.mark.parametrize("ending", READERS)
def test_each_prediction_of_pictures_names_its_file(ending, run, tmp_path):
    output = tmp_path / f"told.{ending}"
    done = CliRunner().invoke(app, [str(run), str(run / "photos"), "--output", str(output)])

    assert done.exit_code == 0, done.output
    told = READERS[ending](output)
    assert list(told.columns[:2]) == ["picture", "prediction"]
    assert told["picture"].tolist() == sorted(map(str, (run / "photos").rglob("*.png")))


def test_predictions_that_cannot_be_written_are_one_line(run, tmp_path):
    def told(output):
        refused = CliRunner().invoke(app, ["no run", "photos", "--output", output]).exception
        return str(refused)

    assert told("told.xlsx") == "--output must end in .csv, .parquet, .feather; got told.xlsx."
    asked = [str(run), str(run / "photos"), "--output", str(tmp_path / "no" / "told.csv")]
    refused = CliRunner().invoke(app, asked).exception
    assert str(refused).startswith("--output must be a file that can be written; ")
