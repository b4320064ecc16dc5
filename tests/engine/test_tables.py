"""A search on a real table, from the file to predictions."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, mean_absolute_error

from pipeline import Experiment, load_model, open_run, table
from pipeline.console.result import result_rows
from pipeline.data.files.data_file import DataFile
from pipeline.data.request import DataRequest
from pipeline.errors import RequestError
from tests.data.tables.conftest import RAW

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def penguins():
    return pd.read_csv(RAW)


def rows_of(data, frame, split):
    """The rows of the file that are in a split, found by their sample's number and its study."""
    number = {"val": data.values, "test": data.test_values}[split]
    place = slice(len(data.y_train), None) if split == "val" else slice(None)
    columns = ["Sample Number", "Culmen Length (mm)", "Body Mass (g)"]
    columns = [column for column in columns if column in number]
    wanted = np.stack([number[column].array[place] for column in columns], axis=1)
    held = frame[columns].to_numpy(dtype=np.float64)
    found = [
        next(i for i, row in enumerate(held) if np.array_equal(row, one, equal_nan=True))
        for one in wanted
    ]
    return frame.iloc[found]


def test_a_classification_is_what_scikit_learn_scores_by_hand(search, penguins, tmp_path):
    run = search(
        dataset=RAW, target="Island", search_space="mlp", trials=2, max_epochs=3, drop="studyName"
    )
    data = DataFile(RAW, DataRequest(target="Island", drop=("studyName",)))(seed=0)
    split = rows_of(data, penguins, "val")
    told = run.predict(split)

    assert accuracy_score(split["Island"], told["prediction"]) == pytest.approx(
        run.best.objective, abs=1e-6
    )
    test = rows_of(data, penguins, "test")
    assert accuracy_score(test["Island"], run.predict(test)["prediction"]) == pytest.approx(
        run.summary["test"]["accuracy"], abs=1e-6
    )
    assert run.summary["check"]["result"] == "equal"
    assert run.summary["loss_target_divided_by"] is None
    # moved, opened again, and from a file
    moved = (tmp_path / "runs").rename(tmp_path / "moved") / run.directory.name
    again = open_run(moved)
    penguins.to_parquet(tmp_path / "rows.parquet")
    told = again.predict(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(told, load_model(moved).predict(penguins))
    plain = json.loads((moved / "best" / "preprocessing.json").read_text())
    assert plain["target"] == "Island" and plain["class_names"] == ["Biscoe", "Dream", "Torgersen"]
    assert Experiment.from_yaml((moved / "experiment.yaml").read_text(), "it").target == "Island"


def test_a_regression_is_told_in_the_targets_unit(search, penguins):
    frame = penguins.assign(grams=penguins["Body Mass (g)"]).drop(columns="Body Mass (g)")
    frame = frame[frame["grams"].notna()].reset_index(drop=True)
    given = table(frame, target="grams", drop=["studyName"])
    run = search(dataset=given, search_space="mlp", trials=2, max_epochs=4, objective="val_mae")
    data = given(seed=0)
    split = rows_of(data, frame, "val")
    told = run.predict(split)["prediction"]

    assert mean_absolute_error(split["grams"], told) == pytest.approx(run.best.objective, rel=1e-5)
    # the loss is that of a target of standard deviation 1
    measured = run.summary["validation"]
    errors = (split["grams"] - told) / data.target_scale[1]
    assert (errors**2).mean() == pytest.approx(measured["loss"], rel=1e-4)
    std = run.summary["loss_target_divided_by"]
    assert std == pytest.approx(data.target_scale[1], rel=1e-6)
    named = f"of the target divided by {std:.5g}, its standard deviation in the rows that train"
    card = (run.layout.best / "README.md").read_text()
    assert result_rows(run)["loss"] == named and f"- loss: {named}\n" in card
    assert "SHA-256 of the arrays: `" in card  # a frame has no file
    assert run.summary["check"]["result"] == "equal"
    assert run.best_model().layers[0].name == "row"


def test_a_resume_goes_on_with_the_same_table(search, penguins, tmp_path):
    file = tmp_path / "penguins.csv"
    penguins.to_csv(file, index=False)
    given = {"dataset": str(file), "target": "Species", "search_space": "mlp", "max_epochs": 1}
    run = search(trials=1, name="once", **given)
    more = search(trials=2, name="once", resume=run.directory, **given)

    assert len(more.trials) == 2 and more.summary["check"]["result"] == "equal"
    penguins[:-1].to_csv(file, index=False)
    says = rf"A resumed run keeps its data; {file} has changed since the run began\."
    with pytest.raises(RequestError, match=says):
        search(trials=3, name="once", resume=run.directory, **given)
