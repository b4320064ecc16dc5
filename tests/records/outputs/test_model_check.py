"""What is said of a model whose score was measured again."""

import math

import pytest

from pipeline.records.outputs.model_check import ModelCheck


def check(measured, reason="", recorded=0.5, tolerance=1e-5):
    return ModelCheck.of("val_accuracy", recorded, measured, tolerance, reason)


@pytest.mark.parametrize("measured", [0.5, 0.5 + 4e-6])
def test_numbers_within_the_tolerance_are_equal_whatever_they_were_measured_on(measured):
    for reason in ("", "`fit` validates on data of its own"):
        assert check(measured, reason).result == "equal"
        assert str(check(measured, reason)) == "measured again, and equal to what was recorded"


def test_numbers_near_zero_are_compared_as_float32_has_them():
    assert check(3e-8, recorded=0.0).result == "equal"
    assert check(3e-6, recorded=0.0).result == "different"


def test_another_number_is_told_with_how_much_it_is_apart():
    assert str(check(0.49)).startswith(
        "val_accuracy is 0.49, and 0.5 was recorded: 0.02 apart, where 1e-05 is allowed. Likely "
    )
    assert check(0.49, tolerance=0.05).result == "equal"
    assert "inf apart" in str(check(0.1, recorded=0.0))


@pytest.mark.parametrize("measured", [None, 0.49])
def test_what_cannot_be_compared_says_why(measured):
    found = check(measured, "`fit` validates on data of its own")
    assert found.result == "not compared"
    assert str(found) == ("not compared with what was recorded: `fit` validates on data of its own")


def test_what_is_not_finite_is_different():
    found = check(math.nan)
    assert (found.result, found.measured) == ("different", None)
    assert str(found) == (
        "val_accuracy was recorded as 0.5. Measured again, it is no finite number."
    )


def test_a_file_that_was_not_read_back_is_told():
    why = "its file opens only where your own classes are known"
    found = ModelCheck.of("val_accuracy", 0.5, 0.5, 1e-5, unread=why)
    assert (
        str(found) == f"measured again, and equal to what was recorded (before it was saved: {why})"
    )


def test_what_could_not_be_measured_is_never_equal():
    assert check(None).result == "not compared" and check(None).reason


def test_it_is_read_back_from_what_the_summary_has():
    assert ModelCheck(**check(0.49).plain()) == check(0.49)


def test_of_folds_it_is_said_that_the_mean_of_their_models_was_measured():
    found = ModelCheck.of("val_accuracy", 0.5, 0.5, 1e-5, folds=5)
    assert str(found) == (
        "measured again, and equal to what was recorded (the mean of the models of 5 folds)"
    )
    assert ModelCheck(**found.plain()) == found
    apart = str(ModelCheck.of("val_accuracy", 0.5, 0.4, 1e-5, folds=5))
    assert apart.endswith("(the mean of the models of 5 folds)")
