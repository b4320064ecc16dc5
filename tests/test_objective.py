"""A metric with its direction."""

import math
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.objective import MAXIMISED, MINIMISED, Objective


@pytest.mark.parametrize(
    ("text", "name", "direction"),
    [
        ("val_accuracy", "val_accuracy", "max"),
        ("accuracy", "accuracy", "max"),
        ("val_loss", "val_loss", "min"),
        ("val_mae", "val_mae", "min"),
        ("val_auc_1", "val_auc_1", "max"),
        ("val_root_mean_squared_error_12", "val_root_mean_squared_error_12", "min"),
        ("val_f1_score", "val_f1_score", "max"),
        (" val_loss ", "val_loss", "min"),
        ("val_loss:max", "val_loss", "max"),
        ("my_metric:min", "my_metric", "min"),
        ("my_metric:max", "my_metric", "max"),
    ],
)
def test_the_direction_is_known_or_given(text: str, name: str, direction: str) -> None:
    objective = Objective.parse(text)

    assert (objective.name, objective.direction) == (name, direction)


def test_no_metric_is_both_minimised_and_maximised() -> None:
    assert set() == MINIMISED & MAXIMISED


@pytest.mark.parametrize("metric", sorted(MINIMISED | MAXIMISED))
def test_every_known_metric_is_read_with_and_without_prefix(metric: str) -> None:
    direction = "min" if metric in MINIMISED else "max"

    assert {Objective.parse(p + metric).direction for p in ("", "val_")} == {direction}


def test_it_is_written_as_it_is_read() -> None:
    for text in ("val_accuracy:max", "my_metric:min"):
        assert str(Objective.parse(text)) == text
        assert Objective.parse(str(Objective.parse(text))) == Objective.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "An objective must be NAME, NAME:min or NAME:max; got ''."),
        (":min", "An objective must be NAME, NAME:min or NAME:max; got ':min'."),
        ("a\nb:min", "An objective must be NAME, NAME:min or NAME:max; got 'a\\nb:min'."),
        (
            "x" * 121,
            f"An objective must be NAME, NAME:min or NAME:max; got '{'x' * 57}...{'x' * 58}'.",
        ),
        (
            "Did you mean 'this'?",
            "The direction of objective \"Did you mean 'this'?\" is not known; write Did you mean "
            "'this'?:min or "
            "Did you mean 'this'?:max.",
        ),
        ("loss:up", "An objective must be NAME, NAME:min or NAME:max; got 'loss:up'."),
        ("loss:min:max", "An objective must be NAME, NAME:min or NAME:max; got 'loss:min:max'."),
        (
            "val_acuracy",
            "The direction of objective 'val_acuracy' is not known; write val_acuracy:min or "
            "val_acuracy:max. "
            "Did you mean 'val_accuracy'?",
        ),
        ("zzz", "The direction of objective 'zzz' is not known; write zzz:min or zzz:max."),
    ],
)
def test_an_objective_without_a_direction_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        Objective.parse(text)

    assert str(refused.value) == message


def test_better_follows_the_direction_and_is_strict() -> None:
    high, low = Objective("a", "max"), Objective("a", "min")

    assert high.better(0.9, 0.8) and not high.better(0.8, 0.9)
    assert low.better(0.8, 0.9) and not low.better(0.9, 0.8)
    assert not high.better(0.8, 0.8) and not low.better(0.8, 0.8)


@pytest.mark.parametrize(
    ("given", "came"), [((), "none"), (("maximize",), "'maximize'"), ((None,), "none")]
)
def test_an_objective_without_a_direction_is_refused_in_one_line(given: Any, came: str) -> None:
    with pytest.raises(RequestError) as caught:
        Objective("val_f1", *given)
    assert str(caught.value) == (
        f"Objective('val_f1', direction) must have the direction 'min' or 'max'; got {came}."
    )


def test_anything_is_better_than_nothing() -> None:
    assert Objective("a", "max").better(-1e9, None)


@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_finite_counts_as_the_worst(direction: str, value: float | None) -> None:
    objective = Objective("a", direction)  # type: ignore[arg-type]

    assert objective.loss(value) == objective.loss(objective.worst)
    assert math.isfinite(objective.worst)
    assert objective.better(-1e20, objective.worst) and objective.better(1e20, objective.worst)


def test_loss_is_smaller_for_the_better() -> None:
    assert Objective("a", "max").loss(0.9) < Objective("a", "max").loss(0.1)
    assert Objective("a", "min").loss(0.1) < Objective("a", "min").loss(0.9)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("val_accuracy:max", []),
        ("mine:min", []),
        ("loss:min", []),
        (
            "val_accuracy:min",
            ["val_accuracy is minimised, as was asked; it is better where it is larger"],
        ),
        (
            "val_mae_1:max",
            ["val_mae_1 is maximised, as was asked; it is better where it is smaller"],
        ),
        ("mae:min", ["mae is measured in training; val_mae is that of the validation split"]),
    ],
)
def test_what_may_not_have_been_meant_is_said(asked: str, says: list[str]) -> None:
    assert Objective.parse(asked).doubts(["val_mae", "mae", "val_accuracy"]) == says
