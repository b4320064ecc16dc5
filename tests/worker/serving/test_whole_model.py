"""The saved model takes rows as they are, and predicts what the trained one did."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from pipeline import table
from pipeline.data.files.data_file import DataFile
from pipeline.data.request import DataRequest
from pipeline.worker.serving.model_file import load_keras_model
from pipeline.worker.serving.whole_model import whole_model
from tests.conftest import installed
from tests.data.tables.conftest import RAW

TARGETS = {"all kinds": "Species", "amounts": "Body Mass (g)"}
# What only some tables have.
PARTS = {
    "numbers alone": ["bill_depth_mm", "year", "species"],
    "codes alone": ["island", "sex", "species"],
    "no holes": ["island", "year", "species"],
}


def trained(data, **compiled):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(8), keras.layers.Dense(data.classes or 1)])
    model.compile("adam", **compiled or {"loss": "mse"})
    model.build((None, *data.shape))
    model.optimizer.build(model.trainable_variables)
    return model


def difference(data, model, path):
    """Between what the trained model and its file say of the validation rows."""
    whole_model(model, data).save(path)
    rows, _ = data.measured()["validation"]
    loaded = load_keras_model(path)
    assert loaded.input_shape == (None, rows.shape[1])
    return abs(model.predict(data.x_val, verbose=0) - loaded.predict(rows, verbose=0)).max()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_file_predicts_from_rows_what_the_model_does_from_inputs(target, tmp_path):
    data = DataFile(RAW, DataRequest(target=target))(seed=0)

    assert difference(data, trained(data), tmp_path / "model.keras") < 1e-5


@pytest.mark.parametrize("columns", PARTS.values(), ids=PARTS)
def test_so_it_does_with_few_kinds_of_columns(columns, penguins, tmp_path):
    frame = penguins[columns].dropna() if "year" in columns else penguins[columns]
    data = table(frame, target="species")(seed=0)

    assert difference(data, trained(data), tmp_path / "model.keras") < 1e-5


def test_it_is_compiled_as_the_model_was(penguins, tmp_path):
    data = table(penguins, target="species")(seed=0)

    def own(y, predicted):
        return keras.losses.sparse_categorical_crossentropy(y, predicted, from_logits=True)

    model = trained(data, loss=own, metrics=["accuracy"])
    before, optimizer = model.evaluate(data.x_test, data.y_test, verbose=0), model.optimizer
    whole = whole_model(model, data)
    rows, y = data.measured()["test"]

    assert whole.evaluate(rows, y, verbose=0) == pytest.approx(before, rel=1e-5)
    assert whole.loss is own and whole.optimizer is optimizer


def test_a_model_of_other_data_stays_as_it_is(digits):
    model = trained(digits)

    assert whole_model(model, digits) is model


CHILD = """
import json, sys
import keras, numpy as np
assert "pipeline" not in sys.modules
model = keras.saving.load_model(sys.argv[1])
rows = np.array(json.load(open(sys.argv[2])), np.float32)
print(keras.backend.backend(), json.dumps(model.predict(rows, verbose=0).tolist()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed(b) for b in ("jax", "torch")])
def test_the_file_opens_without_this_package_on_any_backend(backend, tmp_path, monkeypatch):
    data = DataFile(RAW, DataRequest(target="Species"))(seed=0)
    model = trained(data)
    whole_model(model, data).save(tmp_path / "model.keras")
    rows, _ = data.measured()["test"]
    (tmp_path / "rows").write_text(json.dumps(rows.tolist()))
    monkeypatch.setenv("KERAS_BACKEND", backend)
    told = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "model.keras", tmp_path / "rows"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert told.returncode == 0, told.stderr[-2000:]
    name, _, predicted = told.stdout.strip().splitlines()[-1].partition(" ")
    assert name == backend
    expected = model.predict(data.x_test, verbose=0)
    assert np.allclose(json.loads(predicted), expected, atol=1e-5)
