"""What a column is taken for, and what it becomes."""

import numpy as np
import pandas as pd
import pytest

from pipeline.data.request import KINDS
from pipeline.data.tables.from_frame import _kind_of as kind_of
from pipeline.data.tables.kinds import COLUMN_KINDS
from pipeline.data.tables.kinds.kind import Misread, kind_class

N = 40
DAYS = pd.date_range("2024-01-30", periods=N)
NAMES = [f"{a}{b}" for a in "bcdfghjk" for b in ("an", "et", "ot", "ul", "im")]

LOOKS = {
    "number": [
        np.arange(N) % 7,
        np.linspace(-1, 1, N),
        [None, *range(50, 89)],
        pd.array([None, *range(50, 89)], "Int64"),
        [str(i / 7) for i in range(N)],
        ["?", "n/a", *map(str, range(30, 68))],
        [f"{i},5" for i in range(N)],
        np.random.default_rng(0).integers(0, 1_000_000, N),
    ],
    "yes/no": [
        [True, False] * 20,
        ["yes", "no"] * 20,
        ["Y", "n"] * 20,
        [0, 1] * 20,
        [0.0, 1.0, None, 1.0] * 10,
        pd.array([True, False, None, True] * 10, "boolean"),
    ],
    "category": [
        ["red", "green"] * 20,
        ["a", "b", None, "c"] * 10,
        pd.Categorical(["x", "y"] * 20),
        [("10-20", "20-30")[i % 2] for i in range(N)],
    ],
    "date": [
        DAYS,
        DAYS.tz_localize("Europe/Berlin"),
        DAYS.strftime("%Y-%m-%d"),
        DAYS.strftime("%d/%m/%Y"),
        DAYS.strftime("%m/%d/%Y"),
        DAYS.strftime("%d.%m.%Y"),
        DAYS.strftime("%Y-%m-%dT%H:%M:%S"),
        DAYS.strftime("%d-%b-%Y"),
        [None, *DAYS[1:].strftime("%B %d, %Y")],
    ],
    "text": [
        [f"{name} was seen near {NAMES[-i]} today" for i, name in enumerate(NAMES)],
        [f"{name} {NAMES[-i]}" for i, name in enumerate(NAMES)],
    ],
    "identifier": [np.arange(N), np.arange(1000, 1000 + N), NAMES],
}


@pytest.mark.parametrize(
    ("kind", "values"), [(kind, values) for kind, each in LOOKS.items() for values in each]
)
def test_a_column_is_taken_for_what_it_looks_like(kind, values):
    assert kind_of(pd.Series(values)) == kind


def test_a_column_that_is_called_id_is_one_where_half_of_it_differs():
    values = [f"N{i % 25}A1" for i in range(N)]

    assert kind_of(pd.Series(values, name="Individual ID")) == "identifier"
    assert kind_of(pd.Series(values, name="colony")) == "category"
    assert kind_of(pd.Series(np.random.default_rng(0).permutation(N) * 7, name="customer_id")) == (
        "identifier"
    )


def test_there_is_a_class_for_each_kind_that_can_be_asked_for():
    assert sorted(COLUMN_KINDS) == sorted(KINDS)
    assert [kind_class(kind).kind for kind in COLUMN_KINDS] == list(COLUMN_KINDS)


def fitted(kind, values, train=None, name="column"):
    series = pd.Series(values, name=name)
    form = kind_class(kind).form(series)
    read = kind_class(kind).read(series, form)
    rows = np.arange(len(series)) if train is None else np.array(train)
    return kind_class(kind).fit(name, read, read[rows], form), read


def test_a_number_is_scaled_by_the_training_rows_alone():
    column, values = fitted("number", [1.0, 3.0, None, 1000.0], train=[0, 1])

    assert column.facts == {"mean": 2.0, "std": 1.0, "missing": True}
    assert column.rows(values)[:, 0].tolist()[:2] == [1.0, 3.0]
    assert np.isnan(column.rows(values)[2, 0])


def test_numbers_in_text_are_read_with_their_commas_and_signs_for_none():
    assert fitted("number", ["1,5", "-2,25", ""])[1].array.tolist()[:2] == [1.5, -2.25]
    numbers = fitted("number", ["1.5", " ? ", "N/A", "-", "3"])[1].array
    assert np.isnan(numbers).tolist() == [False, True, True, True, False]


def test_a_comma_parts_thousands_or_decimals_and_the_plan_says_which():
    column, values = fitted("number", ["1,500", "900", "2,000,000", "1,000.5"])
    assert values.array.tolist() == [1500, 900, 2_000_000, 1000.5]
    assert column.encoding().endswith("(commas part thousands)")
    assert fitted("number", ["1,5", "2"])[0].encoding().endswith("(commas are decimal)")


def test_what_stands_for_a_missing_value_is_one_in_a_frame_as_in_a_file():
    assert fitted("category", ["a", "NA", "null", "b", ""])[1].missing.tolist() == [0, 1, 1, 0, 1]


def test_large_whole_numbers_are_told_apart():
    assert len(fitted("category", [2**62 + i for i in range(5)])[1].names) == 5


def test_an_infinity_is_missing():
    assert np.isnan(fitted("number", [1.0, np.inf, -np.inf])[1].array).tolist() == [0, 1, 1]


def test_numbers_far_from_zero_keep_the_digits_that_tell_them_apart():
    seconds = 1.7e9 + np.arange(8.0)
    column, values = fitted("number", seconds)
    (scaled,) = column.numbers

    rows = column.rows(values).astype(np.float32)[:, 0]
    assert np.allclose(
        (rows - scaled.mean) / scaled.std, (seconds - seconds.mean()) / seconds.std()
    )


def test_yes_is_one_and_no_is_nought():
    assert fitted("yes/no", ["Yes", "no", " Y", None])[1].array.tolist()[:3] == [1.0, 0.0, 1.0]


def test_categories_are_coded_by_how_often_they_train():
    column, values = fitted("category", ["a", "b", "b", "c", None, "d"], train=[0, 1, 2, 3])

    assert column.facts["categories"] == ["b", "a", "c"]
    assert column.codes == 5  # four categories of the whole table, and one for a missing value
    # d did not train, so that it has no code
    assert column.rows(values)[:, 0].tolist() == [1, 0, 0, 2, 4, 5]


def test_rare_categories_share_one_code():
    values = [f"c{i:03}" for i in range(150) for _ in range(1 + (i < 100))]
    column, read = fitted("category", values)

    assert column.codes == 101
    assert column.encoding() == "one-hot, 101 inputs (the rest as one)"
    assert column.rows(read)[-1, 0] == 100


def test_whole_numbers_as_categories_are_the_same_with_holes():
    assert fitted("category", [3, 4, 3])[1].names == ("3", "4")
    assert fitted("category", [3.0, None, 4.0])[1].names == ("3", "4")


def test_a_date_tells_its_days_and_its_place_in_year_and_week():
    column, values = fitted("date", ["2024-01-01", "2024-07-01", None], train=[0, 1])
    rows = column.rows(values)

    assert column.facts["first"] == "2024-01-01T00:00:00"
    assert rows.shape == (3, 5)
    assert rows[:2, 0].tolist() == [0, 182]
    assert np.allclose(rows[:2, 1:3], [[0, 1], [0, -1]], atol=1e-12)  # January, July
    assert np.isnan(rows[2]).all()
    assert [n.tells_missing for n in column.numbers] == [True, False, False, False, False]


def test_dates_reach_as_far_as_calendars_do():
    for dates in (["0001-01-01", "9999-12-31"], np.array(["1500-01-01"] * 2, "datetime64[s]")):
        column, values = fitted("date", dates)
        assert np.isfinite(column.rows(values)).all()
    assert fitted("date", ["2024-01-01", "9999-12-31"])[0].facts["first"].startswith("2024-01-01")


def test_the_time_of_day_counts_where_there_is_one():
    column, values = fitted("date", ["2024-01-01 06:00", "2024-01-02 18:00"])

    assert np.allclose(column.rows(values)[:, 5:], [[1, 0], [-1, 0]], atol=1e-12)
    assert "time of day" in column.encoding()


@pytest.mark.parametrize(
    ("written", "day"),
    [("03/04/2024", "2024-03-04"), ("13/04/2024", "2024-04-13"), ("3.4.2024", "2024-04-03")],
)
def test_the_format_of_dates_is_found_and_told(written, day):
    column, values = fitted("date", [written, written])

    assert values.array[0] == pd.Timestamp(day).timestamp()
    assert column.facts["format"] in column.encoding()


def test_a_text_tells_which_words_it_holds():
    texts = ["a red car", "a blue car!", "A RED house", "green"]
    column, values = fitted("text", texts)

    assert column.facts["words"] == ["a", "car", "red"]  # the others stand in one text each
    assert column.rows(values)[:, :3].tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 0, 0]]
    assert column.rows(values).shape == (4, 6)  # as many as the whole table has words


@pytest.mark.parametrize(
    ("kind", "values", "must", "row"),
    [
        ("number", ["1", "two"], "a number", 1),
        ("number", [1.0, 1e300], r"a number of at most 3.4e\+38", 1),
        ("yes/no", ["yes", "perhaps"], "yes or no", 1),
        ("date", ["2024-01-01", "soon"], r"a date \(ISO8601\)", 1),
    ],
)
def test_a_value_of_another_kind_is_named(kind, values, must, row):
    with pytest.raises(Misread, match=f"must be {must}; got ") as raised:
        kind_class(kind).read(pd.Series(values), {})
    assert raised.value.row == row


@pytest.mark.parametrize("kind", list(COLUMN_KINDS))
def test_some_rows_of_the_values_are_those_rows(kind):
    series = pd.Series({k: v[0] for k, v in LOOKS.items()}[kind])
    column, values = fitted(kind, series)
    rows = np.array([5, 3, 3, 11])

    assert len(values[rows]) == 4
    assert np.array_equal(column.rows(values[rows]), column.rows(values)[rows], equal_nan=True)


def test_a_text_without_words_is_missing():
    assert fitted("text", ["a word", "", "...", None])[1].missing.tolist() == [0, 1, 1, 1]
