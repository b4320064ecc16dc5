"""A table as a dataset: what is predicted, what goes in, which rows train."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline import Experiment, table
from pipeline.data.files.data_file import DataFile
from pipeline.data.request import DataRequest
from pipeline.data.tables.preparation import Preparation
from pipeline.digest import fingerprint, label
from pipeline.errors import RequestError
from tests.data.tables.conftest import RAW


def columns(data):
    return {c["name"]: (c["kind"], c["missing"]) for c in data.describe()["columns"]}


def test_a_real_file_is_understood():
    data = DataFile(RAW, DataRequest(target="Species"))(seed=0)

    assert data.task == "classification" and data.classes == 3
    assert data.class_names[0] == "Adelie Penguin (Pygoscelis adeliae)"
    assert data.counts == {"train": 206, "val": 69, "test": 69}
    assert columns(data) == {
        "studyName": ("category", 0),
        "Sample Number": ("number", 0),
        "Island": ("category", 0),
        "Clutch Completion": ("yes/no", 0),
        "Date Egg": ("date", 0),
        "Culmen Length (mm)": ("number", 2),
        "Culmen Depth (mm)": ("number", 2),
        "Flipper Length (mm)": ("number", 2),
        "Body Mass (g)": ("number", 2),
        "Sex": ("category", 11),
        "Delta 15 N (o/oo)": ("number", 14),
        "Delta 13 C (o/oo)": ("number", 13),
        "Comments": ("category", 290),
        "Region": ("left out", None),
        "Stage": ("left out", None),
        "Individual ID": ("left out", None),
    }
    why = {c["name"]: c["encoding"] for c in data.describe()["columns"]}
    assert why["Region"] == "it is constant: Anvers"
    assert why["Individual ID"] == "an identifier: each row has another"


def test_what_is_fitted_is_of_the_training_rows(penguins):
    data = table(penguins, target="species")(seed=0)
    kept = penguins.loc[penguins["species"].notna()]
    mass = next(c for c in data.preparation.columns if c.name == "body_mass_g")

    assert len(data.x_train) == 206
    assert np.allclose(data.x_train.mean(axis=0)[:4], 0, atol=0.02)  # but for holes, which are 0
    assert mass.facts["mean"] != pytest.approx(kept["body_mass_g"].mean(), abs=1e-6)
    read = data.values["body_mass_g"].array[:206]
    assert mass.facts["mean"] == pytest.approx(np.nanmean(read), rel=1e-12)
    assert mass.facts["std"] == pytest.approx(np.nanstd(read), rel=1e-12)


def test_a_fold_is_prepared_by_its_own_training_rows(penguins):
    whole = table(penguins, target="species")(seed=0)
    rows = np.random.default_rng(0).permutation(275)
    fold = whole.recut(rows[:200], rows[200:])

    assert fold.shape == whole.shape and len(fold.x_val) == 75
    facts = {c.name: c.facts for c in fold.preparation.columns}
    values = whole.values["bill_length_mm"].array[rows[:200]]
    assert facts["bill_length_mm"]["mean"] == pytest.approx(np.nanmean(values), rel=1e-12)
    y = np.concatenate([whole.y_train, whole.y_val])
    assert (fold.y_val == y[rows[200:]]).all()
    # a category that only the validation rows have has no code, and the shape stays
    island = np.array(whole.values["island"].names)[whole.values["island"].array]
    elsewhere, dream = np.flatnonzero(island != "Dream"), np.flatnonzero(island == "Dream")
    fold = whole.recut(elsewhere, dream)
    assert fold.shape == whole.shape
    place = [c.name for c in fold.preparation.columns].index("island")
    assert "Dream" not in fold.preparation.columns[place].facts["categories"]
    assert (fold.preparation.rows(fold.values)[len(elsewhere) :, 5] == fold.preparation.codes).all()
    # a fold of a fold is cut from it
    assert len(fold.recut(np.arange(10), np.arange(10, 20)).x_val) == 10


def test_saved_rows_become_the_same_inputs(penguins):
    data = table(penguins, target="species")(seed=0)
    again = Preparation.of_plain(data.preprocessing()["columns"])
    (rows, y), (test_rows, _) = data.measured()["validation"], data.measured()["test"]

    assert np.array_equal(again.features(rows), data.x_val)
    assert np.array_equal(again.features(test_rows), data.x_test)
    assert (y == data.y_val).all() and rows.shape[1] == len(data.preprocessing()["row"])
    assert np.isnan(np.concatenate([rows, test_rows])).any()


def test_the_same_seed_gives_the_same_splits_in_proportion(penguins):
    one, same, other = (table(penguins, target="species")(seed) for seed in (0, 0, 1))

    assert (one.y_test == same.y_test).all() and (one.x_train == same.x_train).all()
    assert not (one.y_test == other.y_test).all()
    shares = [np.bincount(y) / len(y) for y in (one.y_train, one.y_val, one.y_test)]
    assert np.ptp(shares, axis=0).max() < 0.02


def test_rows_of_one_group_stay_together():
    groups = np.repeat(np.arange(30), 10)
    frame = pd.DataFrame({"who": groups, "x": np.arange(300.0), "y": np.arange(300) % 2})
    data = table(frame, target="y", group="who")(seed=0)

    x = data.values["x"].array
    train, val, test = x[: len(data.y_train)], x[len(data.y_train) :], data.test_values["x"].array
    parts = [set((part // 10).astype(int)) for part in (train, val, test)]
    assert sum(map(len, parts)) == 30 and set.union(*parts) == set(range(30))
    assert len(test) == len(val) == 60 and len(data.groups) == 300 - len(test)
    assert "who" not in data.forms


def test_rows_of_one_day_are_in_one_split():
    days = np.repeat(pd.date_range("2024-01-01", periods=10).strftime("%d.%m.%Y"), 12)
    frame = pd.DataFrame({"day": days, "x": np.arange(120.0), "y": np.arange(120) % 2})
    data = table(frame, target="y", time="day")(seed=0)

    assert data.counts == {"train": 72, "val": 24, "test": 24}
    frame["day"] = "Jan 2020"
    says = r"table, column 'day': must be numbers, or dates in one format, .* got 'Jan 2020'\."
    with pytest.raises(RequestError, match=says):
        table(frame, target="y", time="day")(seed=0)
    frame["day"] = 1
    with pytest.raises(RequestError, match="time must have a later value for each split; none is"):
        table(frame, target="y", time="day")(seed=0)


def test_what_orders_the_rows_need_be_no_input(penguins):
    data = table(penguins, target="species", time="year", drop=["year"])(seed=0)

    assert "year" not in data.forms and data.left_out["year"] == "it says which rows are later"
    assert data.times is not None


def test_what_is_tested_is_later_by_the_column_of_time():
    days = pd.date_range("2024-01-01", periods=100).strftime("%d/%m/%Y")
    frame = pd.DataFrame({"day": days, "x": np.arange(100.0), "y": np.arange(100) % 2})
    data = table(frame.sample(frac=1, random_state=0), target="y", time="day")(seed=0)

    x = data.values["x"].array
    assert set(x[:60]) == set(range(60)) and set(x[60:]) == set(range(60, 80))
    assert set(data.test_values["x"].array) == set(range(80, 100))
    assert (np.argsort(data.times, kind="stable") == np.argsort(x, kind="stable")).all()


def test_test_rows_may_have_a_file_of_their_own(penguins, tmp_path):
    penguins[:300].to_csv(tmp_path / "train.csv", index=False)
    penguins[300:].to_csv(tmp_path / "test.csv", index=False)
    request = DataRequest(target="island", test=str(tmp_path / "test.csv"))
    data = DataFile(str(tmp_path / "train.csv"), request)(seed=0)

    assert data.counts == {"train": 240, "val": 60, "test": 44}
    assert list(data.y_test) == [data.class_names.index(i) for i in penguins["island"][300:]]


def test_no_test_row_changes_anything_that_is_fitted(written):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=100).round(3).astype(str),
            "day": pd.date_range("2024-01-01", periods=100).strftime("%Y-%m-%d"),
            "colour": rng.choice(["red", "green"], 100),
            "same": "x",
            "y": rng.integers(0, 2, 100),
        }
    )
    rest, tests = frame[:80], frame[80:]
    one = table(
        written(rest.to_csv(index=False)), target="y", test=written(tests.to_csv(), "t.csv")
    )
    changed = tests.assign(number="99", day="2030-01-01", colour="mauve", same="y")
    other = table(
        written(rest.to_csv(index=False)), target="y", test=written(changed.to_csv(), "other.csv")
    )
    before, after = one(seed=0), other(seed=0)

    assert before.preprocessing() == after.preprocessing()
    assert np.array_equal(before.x_train, after.x_train)
    # of one table it is the same: what is odd in a test row is told, and decides no kind
    tested = numbers_of_test_rows(frame)
    place = int(np.flatnonzero(np.isin(frame["number"].astype(float), tested))[0])
    frame.loc[place, "number"] = "odd"
    with pytest.raises(
        RequestError, match=rf"table, row {place}, column 'number': must be a number"
    ):
        table(frame, target="y")(seed=0)


def numbers_of_test_rows(frame):
    return table(frame, target="y")(seed=0).test_values["number"].array


def test_rows_without_a_target_are_left_out_and_counted(penguins):
    data = table(penguins, target="sex")(seed=0)

    assert sum(data.counts.values()) == 333
    assert data.describe()["notes"] == ["11 rows have no sex and were left out"]


TASKS = {
    "words": (["a", "b", "c"] * 20, "classification", ("a", "b", "c")),
    "truth values": ([True, False] * 30, "classification", ("False", "True")),
    "few whole numbers": ([3, 1, 7] * 20, "classification", ("1", "3", "7")),
    "with holes": ([3, 1, None] * 20, "classification", ("1", "3")),
    "many whole numbers": (list(range(60)), "regression", None),
    "fractions": (np.linspace(0, 1, 60), "regression", None),
    "numbers in text": ([f"{i}.5" for i in range(60)], "regression", None),
}


@pytest.mark.parametrize(("values", "task", "names"), TASKS.values(), ids=TASKS)
def test_the_target_says_the_task(values, task, names):
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), "y": values})
    data = table(frame, target="y")(seed=0)

    assert (data.task, data.class_names) == (task, names)
    assert (data.target_scale is None) == (task == "classification")


def test_whole_numbers_are_amounts_where_that_is_said(penguins):
    data = table(penguins, target="year", task="regression")(seed=0)

    assert data.task == "regression" and data.y_train.dtype == np.float32
    assert data.target_scale == pytest.approx((data.y_train.mean(), data.y_train.std()), rel=1e-4)


def test_a_wrong_guess_is_set_right_and_a_column_left_out(penguins):
    request = DataRequest(target="species", kinds={"year": "category"}, drop=("island",))
    data = table(penguins, target="species", columns=request.kinds, drop=request.drop)(seed=0)

    assert columns(data)["year"][0] == "category" and "island" not in columns(data)


def test_a_table_is_told_apart_by_its_values_and_what_is_asked(penguins):
    made = [
        table(penguins, target="species"),
        table(penguins.copy(), target="species"),
        table(penguins, target="species", drop=["year"]),
        table(penguins[:-1], target="species"),
    ]
    sums = [fingerprint(one)["sha256"] for one in made]

    assert sums[0] == sums[1] and len(set(sums)) == 3
    assert label(made[0]) == "table" and label("data/customers.csv") == "customers"
    assert len(pickle.loads(pickle.dumps(made[0]))(0).x_train) == 206


SAID = r"Its columns: species, island, bill_length_mm, bill_depth_mm, "
WRONG = {
    "no target": (
        {},
        r"A table needs a target, the column that is to be predicted: --target NAME\. Columns of the "
        r"table: species, island, ",
    ),
    "another target": (
        {"target": "specie"},
        rf"target must name a column of the table; there is no 'specie'\. {SAID}.*"
        r"Did you mean 'species'\?",
    ),
    "another drop": (
        {"target": "species", "drop": ["x"]},
        r"drop must name a column of the table; ",
    ),
    "another kind's": (
        {"target": "species", "columns": {"x": "number"}},
        r"column must name a column of the table; there is no 'x'",
    ),
    "another group": (
        {"target": "species", "group": "x"},
        r"group must name a column of the table; ",
    ),
    "another time": ({"target": "species", "time": "x"}, r"time must name a column of the table; "),
    "the target left out": (
        {"target": "species", "drop": ["species"]},
        r"target and drop must differ; both name 'species'\.",
    ),
    "a regression of words": (
        {"target": "species", "task": "regression"},
        r"table, row 0, column 'species': the target of a regression must be a number; got 'Adelie'\.",
    ),
    "a kind that it is not": (
        {"target": "species", "columns": {"island": "number"}},
        r"table, row \d+, column 'island': must be a number; got '[A-Z][a-z]+'\. If the column is of "
        r"another kind: --column island=KIND\.",
    ),
    "a hole in the groups": (
        {"target": "species", "group": "sex"},
        r"table, row 3, column 'sex': must have a value; it is missing\.",
    ),
    "the target's kind": (
        {"target": "species", "columns": {"species": "category"}},
        r"target and column must differ; both name 'species'\.",
    ),
    "groups and times": (
        {"target": "species", "group": "island", "time": "year"},
        r"group and time must not be given together; give one of them\.",
    ),
    "a test of another form": (
        {"target": "species", "test": "later.npy"},
        r"test must be a fraction, or the file of a table \(.csv, .* got 'later.npy'\.",
    ),
    "one group": (
        {"target": "sex", "group": "one", "columns": {}},
        r"group must have a value for each split; none is left for test\.",
    ),
    "a large test split": (
        {"target": "species", "test": 1.5},
        r"Dataset 'table': test must be a fraction in \(0, 1\), or a count",
    ),
}


@pytest.mark.parametrize(("asked", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_one_line(asked, says, penguins):
    with pytest.raises(RequestError, match=says) as raised:
        table(penguins.assign(one=1), **asked)(seed=0)
    assert "\n" not in str(raised.value)


def test_an_unknown_kind_is_refused_where_it_is_asked_for(penguins):
    with pytest.raises(RequestError, match="Column 'year' must be of one of the kinds number, "):
        table(penguins, target="species", columns={"year": "ordinal"})


def test_what_is_no_table_is_refused():
    with pytest.raises(RequestError, match="takes a pandas DataFrame or the path of a table; got "):
        table([1, 2, 3], target="x")


FRAMES = {
    "one value": (
        {"x": [1, 2, 3], "y": ["a", "a", "a"]},
        r"table, column 'y': a target must have two values or more; it is 'a' throughout\.",
    ),
    "no values": (
        {"x": [1, 2, 3], "y": [None, None, None]},
        r"table, column 'y': a target must have two values or more; it has no values\.",
    ),
    "nothing to predict from": (
        {"x": [1] * 20, "y": ["a", "b"] * 10},
        r"table must have a column to predict 'y' from; it has none \(x: it is constant: 1\)\.",
    ),
    "a class in each row": (
        {"x": range(60), "y": [f"name {i}" for i in range(60)]},
        r"table, column 'y': a class must be that of several rows; 60 of 60 values differ\. It may ",
    ),
    "numbers but for one": (
        {"x": range(60), "y": [*map(str, range(59)), "abc"]},
        r"60 of 60 values differ\. They are numbers, but for 'abc' at table, row 59\.",
    ),
    "Arrow's lists": (
        {"x": pd.array([[1], [2], [3]], pd.ArrowDtype(pa.list_(pa.int64()))), "y": list("aba")},
        r"table, row 0, column 'x': must be one value; got a ",
    ),
    "no words": (
        {"x": ["...", "!", "?!"] * 20, "y": ["a", "b"] * 30},
        r"it has none \(x: it has no words\)\.",
    ),
    "a column of lists": (
        {"x": [[1], [2], [3]], "y": ["a", "b", "a"]},
        r"table, row 0, column 'x': must be one value; got a list\. Give each part a column of its "
        r"own, or leave it out: --drop x\.",
    ),
}


@pytest.mark.parametrize(("held", "says"), FRAMES.values(), ids=FRAMES)
def test_a_table_that_tells_nothing_is_one_line(held, says):
    with pytest.raises(RequestError, match=says):
        table(
            pd.DataFrame(held), target="y", columns={"x": "text"} if "..." in held["x"] else None
        )(seed=0)


def test_a_hole_among_numbers_is_one_in_the_target_too(written):
    path = written("x,y\n" + "".join(f"{i},{i}.5\n" for i in range(40)) + "40,?\n41,n/a\n")
    data = DataFile(path, DataRequest(target="y"))(seed=0)

    assert data.task == "regression" and sum(data.counts.values()) == 40
    assert data.notes == ("2 rows have no y and were left out",)


def test_names_that_look_like_numbers_are_text_where_that_is_said(written):
    path = written("zip,y\n" + "00501,1\n2139,2\n" * 30)
    data = DataFile(path, DataRequest(target="y", kinds={"zip": "category"}))(seed=0)

    assert sorted(data.preparation.columns[0].facts["categories"]) == ["00501", "2139"]


def test_rows_of_a_test_file_are_of_other_groups_and_later(written):
    rows = [f"{i % 4},{2000 + i},{i},{i % 2}\n" for i in range(60)]
    train = written("g,t,x,y\n" + "".join(rows))
    test = written("g,t,x,y\n" + "3,2030,1,0\n9,2031,2,1\n", "test.csv")
    later = written("g,t,x,y\n" + "8,2090,1,0\n9,2091,2,1\n", "later.csv")

    says = (
        r"test.csv must have no rows of a group that trains; 1 values of 'g' are in both, '3' among"
    )
    with pytest.raises(RequestError, match=says):
        DataFile(train, DataRequest(target="y", group="g", test=test))(seed=0)
    with pytest.raises(
        RequestError, match=r"test.csv must have rows that are all later by 't' than"
    ):
        DataFile(train, DataRequest(target="y", time="t", test=test))(seed=0)
    for how in ({"group": "g"}, {"time": "t"}):
        assert (
            DataFile(train, DataRequest(target="y", test=later, **how))(seed=0).counts["test"] == 2
        )


def test_other_tests_are_refused_where_they_are_asked_for(penguins, tmp_path):
    with pytest.raises(
        RequestError, match="test must be a fraction, or the path of a table; got Da"
    ):
        table(penguins, target="species", test=penguins)
    penguins.to_csv(tmp_path / "t.csv")
    assert table(penguins, target="species", test=tmp_path / "t.csv")(0).counts["test"] == 344


def test_a_file_names_its_lines(written):
    path = written("x,y\n1,a\n2,b\nthree,a\n" + "4,b\n" * 20)
    request = DataRequest(target="y", kinds={"x": "number"})

    with pytest.raises(RequestError, match=r"data.csv, line 4, column 'x': must be a number; got "):
        DataFile(path, request)(seed=0)
    with pytest.raises(RequestError, match=r"must name each column once; 'x' stands twice\."):
        DataFile(written("x,y,x\n1,a,2\n"), DataRequest(target="y"))(seed=0)


def test_a_test_file_has_the_columns_and_classes_that_train(written):
    train = written("x,y\n" + "1,a\n2,b\n" * 20)
    lacking = written("x\n1\n", "lacking.csv")
    more = written("x,y\n1,a\n2,c\n", "more.csv")

    with pytest.raises(RequestError, match=r"lacking.csv must have the columns .* it lacks y\."):
        DataFile(train, DataRequest(target="y", test=lacking))(seed=0)
    says = r"more.csv, line 3, column 'y': must be one of the classes that train \(a, b\); got 'c'"
    with pytest.raises(RequestError, match=says):
        DataFile(train, DataRequest(target="y", test=more))(seed=0)


def test_a_file_may_be_at_home_and_is_no_folder(penguins, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    penguins.to_csv(tmp_path / "penguins.csv", index=False)
    assert table("~/penguins.csv", target="species", test="~/penguins.csv")(0).counts["test"] == 344

    (tmp_path / "a.parquet").mkdir()
    with pytest.raises(RequestError, match=r"a.parquet must be a file, as its name says; it is a "):
        table("~/a.parquet", target="species")(0)


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(RequestError, match=r"Data must exist; there is no file 'nowhere.csv'\."):
        Experiment(dataset="nowhere.csv", target="y").resolved_dataset()(0)
