"""From raw rows to predictions in the user's words."""

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from pipeline import Dataset, load_model, table
from pipeline.data.tables import reading
from pipeline.errors import RequestError
from pipeline.worker.serving.whole_model import whole_model


def saved(data, folder, loss=None, activation=None, flat=False):
    keras.utils.set_random_seed(0)
    units, ours = (data.classes, "sparse_categorical_crossentropy") if data.classes else (1, "mse")
    activation = activation or ("softmax" if data.classes else "linear")
    layers = [keras.layers.Flatten()] if flat else []
    model = keras.Sequential([*layers, keras.layers.Dense(units, activation=activation)])
    model.compile("sgd", loss or ours)
    model.build((None, *data.shape))
    model.optimizer.build(model.trainable_variables)
    folder.mkdir(parents=True, exist_ok=True)
    whole_model(model, data).save(folder / "model.keras")
    (folder / "preprocessing.json").write_text(json.dumps(data.preprocessing()))
    return model


@pytest.fixture(scope="module")
def served(penguins, tmp_path_factory):
    """A model of species, its table, and its dataset."""
    folder = tmp_path_factory.mktemp("run")
    data = table(penguins, target="species")(seed=0)
    model = saved(data, folder / "best")
    return load_model(folder), model, data


def test_rows_give_names_and_probabilities(served, penguins):
    model, _, data = served
    rows = penguins.drop(columns="species").set_index(penguins.index + 1000)[5:15]
    told = model.predict(rows)

    assert list(told.columns) == [
        "prediction",
        *(f"probability_{name}" for name in ("Adelie", "Chinstrap", "Gentoo")),
    ]
    assert told.index.equals(rows.index)
    values = told.iloc[:, 1:].to_numpy()
    assert np.allclose(values.sum(axis=1), 1, atol=1e-6)
    assert told["prediction"].tolist() == [data.class_names[i] for i in values.argmax(axis=1)]


def test_they_are_those_of_the_model_that_was_trained(served, penguins):
    model, trained, _ = served
    every = model.predict(penguins)
    inputs = model._inputs.preparation.features(model.inputs(penguins))

    assert np.allclose(every.iloc[:, 1:], trained.predict(inputs, verbose=0), atol=1e-5)


@pytest.mark.parametrize("form", ["csv", "parquet", "frame", "columns", "dictionaries"])
def test_rows_may_come_in_several_forms(form, served, penguins, tmp_path):
    rows = penguins.dropna().reset_index(drop=True)[:20]
    given = {
        "csv": lambda: rows.to_csv(tmp_path / "rows.csv", index=False) or tmp_path / "rows.csv",
        "parquet": lambda: rows.to_parquet(tmp_path / "r.parquet") or str(tmp_path / "r.parquet"),
        "frame": lambda: rows.sample(frac=1, axis=1, random_state=0),  # columns in any order
        "columns": lambda: rows.to_dict("list"),
        "dictionaries": lambda: rows.to_dict("records"),
    }[form]()

    pd.testing.assert_frame_equal(served[0].predict(given), served[0].predict(rows))


def test_what_did_not_train_has_a_defined_answer(served, penguins):
    model = served[0]
    row = penguins.drop(columns="species")[:1]
    preparation = model._inputs.preparation
    none = preparation.codes
    sex = model.preprocessing["row"].index("sex")
    island = model.preprocessing["row"].index("island")

    assert model.inputs(row.assign(island="Biscuit"))[0, island] == none  # none of the islands
    assert model.inputs(row.assign(island=None))[0, island] == none  # no hole trained
    assert model.inputs(row.assign(sex=None))[0, sex] not in (none, model.inputs(row)[0, sex])
    for hole in (None, np.nan, np.inf, "?"):
        changed = row.assign(bill_depth_mm=hole)
        inputs = preparation.features(model.inputs(changed))[0]
        place = model.preprocessing["row"].index("bill_depth_mm")
        assert inputs[place] == 0  # the mean
        assert model.predict(changed).notna().all(axis=None)


def test_amounts_are_told_as_they_are(penguins, tmp_path):
    data = table(penguins, target="body_mass_g")(seed=0)
    model = saved(data, tmp_path / "best")
    told = load_model(tmp_path / "best").predict(penguins)

    assert list(told.columns) == ["prediction"] and len(told) == 344
    again = load_model(tmp_path / "best" / "model.keras")
    inputs = again._inputs.preparation.features(again.inputs(penguins))
    assert np.allclose(told["prediction"], model.predict(inputs, verbose=0)[:, 0], atol=1e-5)


def test_two_classes_of_one_unit(penguins, tmp_path):
    data = table(penguins.dropna(), target="sex")(seed=0)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.build((None, *data.shape))
    model.optimizer.build(model.trainable_variables)
    whole_model(model, data).save(tmp_path / "model.keras")
    (tmp_path / "preprocessing.json").write_text(json.dumps(data.preprocessing()))
    told = load_model(tmp_path).predict(penguins)

    above = told["probability_male"] > 0.5
    assert (told["prediction"] == np.where(above, "male", "female")).all()
    assert np.allclose(told["probability_male"] + told["probability_female"], 1)


ROWS = {
    "columns": (
        lambda p: p.drop(columns=["sex", "year"]),
        r"The table must have the columns that .*model.keras was trained on; it lacks sex, year\.",
    ),
    "a value": (
        lambda p: p.assign(year=["2007", "soon", *["2008"] * (len(p) - 2)]),
        r"The table, row 1, column 'year': must be a number; got 'soon'\.",
    ),
    "a number": (
        lambda p: 3,
        "Rows must be a DataFrame, a dictionary of columns, a list of dictionaries or the path of "
        "a table; got int",
    ),
    "lengths": (lambda p: {"a": [1, 2], "b": [1]}, "Rows must make a table; All arrays must be of"),
    "a list": (
        lambda p: [*p[:1].to_dict("records"), 5],
        "A list of rows must hold dictionaries; it holds a int",
    ),
    "a name": (
        lambda p: pd.concat([p, p["year"]], axis=1),
        r"The table must name each column once; 'year' stands twice\.",
    ),
    "no rows": (lambda p: p[:0], "model.keras needs a row or more to predict for; got none"),
    "an empty list": (lambda p: [], "The table must have the columns that .* was trained on; it"),
    "a file": (lambda p: "nowhere.csv", "nowhere.csv must be a file that can be read; No such "),
}


@pytest.mark.parametrize(("make", "says"), ROWS.values(), ids=ROWS)
def test_rows_that_cannot_be_are_one_line(make, says, served, penguins):
    with pytest.raises(RequestError, match=says):
        served[0].predict(make(penguins))


def test_outputs_that_tell_nothing_are_one_line(penguins, tmp_path):
    data = table(penguins, target="species")(seed=0)
    saved(data, tmp_path, loss="mse", activation="linear")

    with pytest.raises(RequestError, match="must be told by its outputs; .*load_model"):
        load_model(tmp_path).predict(penguins)


def test_a_model_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RequestError, match="must be a run's directory, or its best/model.keras; "):
        load_model(tmp_path)
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "model.keras")
    with pytest.raises(RequestError, match="must have its preprocessing.json beside it, which"):
        load_model(tmp_path)
    (tmp_path / "preprocessing.json").write_text("{")
    with pytest.raises(RequestError, match="preprocessing.json must be JSON; "):
        load_model(tmp_path)
    for other in ("{}", "[1]", "3", '{"kind": "table"}', '{"kind": "tables"}'):
        (tmp_path / "preprocessing.json").write_text(other)
        with pytest.raises(RequestError, match="preprocessing.json must be what a search wrote "):
            load_model(tmp_path)


def test_a_misspelt_file_is_not_another_model(served, tmp_path):
    best = Path(served[0]._called).parent
    for name in (best / "model.kears", best / "none" / "model.keras", tmp_path / "nowhere"):
        with pytest.raises(RequestError, match=f"there is no file '{name}'"):
            load_model(name)


def test_a_model_that_is_cut_off_is_one_line(served, tmp_path):
    whole = Path(served[0]._called)
    (tmp_path / "model.keras").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "preprocessing.json").write_text(json.dumps(served[0].preprocessing))

    with pytest.raises(RequestError, match=r"must be a whole .keras file; '.*' is cut off, or is"):
        load_model(tmp_path)


def test_a_file_above_the_memory_it_may_take_is_told_whole(served, penguins, tmp_path, monkeypatch):
    rows = penguins.dropna().reset_index(drop=True)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    small = SimpleNamespace(available=10_000)  # bytes
    monkeypatch.setattr(reading.psutil, "virtual_memory", lambda: small)

    told = served[0].predict(tmp_path / "rows.csv")
    pd.testing.assert_frame_equal(told, served[0].predict(rows))
    assert len(reading.read_frame(str(tmp_path / "rows.csv"))[0]) < len(rows)


def test_made_up_rows_are_such_as_could_be(served):
    model = served[0]
    rows = model.made_up_inputs(200)
    codes = rows[:, len(model._inputs.preparation.scaling[0]) :]

    assert rows.shape == (200, model.model.input_shape[1]) and rows.dtype == np.float32
    preparation = model._inputs.preparation
    ends = np.cumsum([column.codes for column in preparation.columns if column.codes])
    for place, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
        assert set(codes[:, place]) == set(range(first, end))
    assert abs(preparation.features(rows)[:, 0].std() - 1) < 0.3


# Arrays.


def test_arrays_are_told_by_their_labels(digits, tmp_path):
    model = saved(digits, tmp_path, flat=True)
    told = load_model(tmp_path).predict(digits.x_test[:5].tolist())

    assert told.columns[1:].tolist() == [f"probability_{i}" for i in range(10)]
    expected = model.predict(digits.x_test[:5], verbose=0)
    assert np.allclose(told.iloc[:, 1:].to_numpy(), expected, atol=1e-6)
    assert told["prediction"].tolist() == [str(i) for i in expected.argmax(axis=1)]
    with pytest.raises(RequestError, match=r"takes arrays of shape \(n, 8, 8, 1\); "):
        load_model(tmp_path).predict([["a"]])


def test_several_targets_are_told_each(tmp_path):
    rng = np.random.default_rng(0)
    data = Dataset.split("two", rng.normal(size=(50, 3)), rng.normal(size=(50, 2)), 0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.keras")
    (tmp_path / "preprocessing.json").write_text(json.dumps(data.preprocessing()))

    told = load_model(tmp_path).predict(data.x_test)
    assert list(told.columns) == ["prediction_0", "prediction_1"] and len(told) == 10


def test_a_model_of_an_unknown_class_is_one_line(tmp_path):
    class Own(keras.layers.Dense):
        pass

    keras.Sequential([keras.Input((2,)), Own(1)]).save(tmp_path / "model.keras")

    says = (
        r"model.keras must be of classes that this process knows; Keras raised TypeError\. Import"
    )
    with pytest.raises(RequestError, match=says):
        load_model(tmp_path)
