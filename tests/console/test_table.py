"""Which columns a table of trials has, and how they are cut."""

import pytest

from pipeline.console.progress import SearchProgress
from pipeline.console.table import cut, trials_table, varying
from pipeline.records.entries.trials import TrialRecord
from tests.console.conftest import record, report


@pytest.fixture
def table_of(plan_of):
    """A function: hyperparameters of each trial -> the table in so many characters."""

    def table(*trials, width=80):
        progress = SearchProgress()
        progress.planned(plan_of())
        for place, values in enumerate(trials):
            progress.started(record(f"t{place:04}", **values))
            progress.reported(report(f"t{place:04}", 1, 0.5))
        return trials_table(progress, width)

    return table


def width_of(table):
    columns = zip(table.headings, *table.rows, strict=True)
    return sum(2 + max(map(len, column)) for column in columns) - 2


def test_what_is_equal_in_all_trials_has_no_column(table_of):
    table = table_of(
        {"units": 8, "optimizer": "adam", "rate": 0.0012345},
        {"units": 8, "optimizer": "adam", "rate": 0.5},
    )
    assert table.headings == ["trial", "status", "epoch", "val_accuracy", "rate"]
    assert table.rows[0] == ["t0000", "running", "1", "0.5", "0.001234"]
    assert table.left_out == []


def test_what_only_some_trials_requested_varies():
    assert varying([record("t0000", n=1), record("t0001", n=1, units=3)]) == ["units"]
    assert varying([record("t0000", n=1, units=3), record("t0001", n=1)]) == ["units"]


def test_of_a_single_trial_all_is_shown():
    assert varying([record("t0000", n=1, units=3)]) == ["n", "units"]
    assert varying([]) == []


def test_what_was_proposed_counts_until_it_is_known_what_was_requested():
    proposed = TrialRecord("t0001", {"n": 2, "unused": 5})
    assert varying([record("t0000", n=1), record("t0002", n=3), proposed]) == ["n"]
    assert varying([proposed, TrialRecord("t0002", {"n": 2, "unused": 6})]) == ["unused"]
    assert varying([TrialRecord("t0000", {}), record("t0001", n=1)]) == ["n"]


def test_names_are_cut_in_their_middle_only_as_far_as_the_width_asks(table_of):
    few = table_of({"learning_rate": 0.1, "units": 1}, {"learning_rate": 0.2, "units": 2})
    assert few.headings[4:] == ["learning_rate", "units"]

    names = ("learning_rate", "dropout_of_the_head", "units_of_the_last")
    many = table_of(*({name: 10.0**-i for name in names} for i in range(3)))
    assert many.headings[4:] == ["learn…g_rate", "dropo…e_head", "units…e_last"]
    assert width_of(many) <= 80 and many.left_out == []


def test_two_names_are_not_cut_to_one(table_of):
    names = ("block_first_kernel_units", "block_other_kernel_units")
    table = table_of(*({name: i for name in names} for i in range(2)), width=64)
    assert table.left_out == [names[1]] and table.headings[4:] == [names[0]]


def test_what_has_no_place_is_named(table_of):
    values = [{f"units_{i}": place for i in range(30)} for place in range(20)]
    table = table_of(*values)
    assert 60 < width_of(table) <= 80
    assert len(table.headings) - 4 + len(table.left_out) == 30
    assert table.left_out[0] == f"units_{len(table.headings) - 4}"
    assert len(table.rows) == 14
    whole = table_of(*values, width=None)
    assert len(whole.headings) == 34 and whole.left_out == []


def test_where_the_place_is_short_what_most_trials_have_comes_first(table_of):
    rare = {f"units_{i}": 512 for i in range(1, 9)}
    table = table_of(rare | {"activation": "relu", "rate": 0.1}, {"activation": "elu", "rate": 0.2})
    assert table.headings[-2:] == ["act…ion", "rate"] and table.left_out[-1] == "units_8"
    assert table.headings[4] == "units_1" and width_of(table) <= 80


def test_values_and_an_objectives_name_are_cut_too(plan_of):
    progress = SearchProgress()
    progress.started(record("t0000", layer="x" * 200))
    table = trials_table(progress, 80)
    assert table.rows[0][4] == "xxxxxxx…xxxxxxxx" and trials_table(progress).rows[0][4] == "x" * 200
    assert cut("val_sparse_categorical_accuracy", 16) == "val_spa…accuracy"
    assert cut("val_loss", 16) == "val_loss"
