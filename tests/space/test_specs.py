"""Kinds of hyperparameters: what is possible, how the unit interval maps to it, what is refused."""

import json
import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pipeline.errors import SpaceError
from pipeline.space.specs import (
    KINDS,
    Boolean,
    Choice,
    Fixed,
    Float,
    Hyperparameter,
    Int,
    from_dict,
)

LOOK_UP = (
    "Write names for them, and look up what was chosen: "
    'options = {"a": …, "b": …}; options[hp.Choice(name, list(options))].'
)
SPECS: list[Hyperparameter] = [
    Int(name="int", min_value=1, max_value=5),
    Int(name="negative", min_value=-3, max_value=3),
    Int(name="int_one", min_value=7, max_value=7),
    Int(name="int_step", min_value=32, max_value=512, step=32),
    Int(name="int_off_step", min_value=1, max_value=10, step=4),
    Int(name="int_log", min_value=1, max_value=1000, sampling="log"),
    Int(name="int_log_one", min_value=4, max_value=4, sampling="log"),
    Int(name="int_log_step", min_value=2, max_value=64, step=2, sampling="log"),
    Int(name="int_reverse_log", min_value=1, max_value=100, sampling="reverse_log"),
    Int(name="int_reverse_log_step", min_value=1, max_value=64, step=4, sampling="reverse_log"),
    Float(name="float", min_value=-1.5, max_value=2.5),
    Float(name="float_one", min_value=0.1, max_value=0.1),
    Float(name="float_step", min_value=0.0, max_value=0.5, step=0.1),
    Float(name="float_log", min_value=1e-4, max_value=1e-1, sampling="log"),
    Float(name="float_log_step", min_value=1e-4, max_value=1e-1, step=10.0, sampling="log"),
    Float(name="float_tiny_log_step", min_value=1e-14, max_value=1e-10, step=10.0, sampling="log"),
    Float(name="float_reverse_log", min_value=0.01, max_value=1.0, sampling="reverse_log"),
    Float(
        name="float_reverse_log_step",
        min_value=0.01,
        max_value=1.0,
        step=10.0,
        sampling="reverse_log",
    ),
    Choice(name="choice", options=("relu", "tanh", "gelu")),
    Choice(name="choice_one", options=("adam",)),
    Choice(name="choice_numbers", options=(8, 16, 128), start=16),
    Choice(name="choice_unordered", options=(0.1, 0.2), in_order=False),
    Choice(name="choice_none", options=("l1", None)),
    Boolean(name="boolean", start=True),
    Fixed(name="fixed", constant="sgd"),
    Fixed(name="fixed_none", constant=None),
    Int(
        name="child",
        min_value=1,
        max_value=3,
        conditions=(("choice", ("relu", "tanh")), ("boolean", (True,))),
    ),
]
every_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
UNITS = [*np.linspace(0, 1, 257, endpoint=False), 1e-15, 1 - 1e-12, math.nextafter(1, 0)]


def test_every_kind_is_tried_here() -> None:
    assert {spec.kind for spec in SPECS} == set(KINDS)


# The unit interval.


@every_spec
def test_every_point_of_the_unit_interval_is_a_possible_value(spec: Hyperparameter) -> None:
    for unit in UNITS:
        assert spec.contains(spec.from_unit(float(unit))), unit


@every_spec
def test_a_value_comes_back_from_its_point_of_the_unit_interval(spec: Hyperparameter) -> None:
    for unit in UNITS:
        value = spec.from_unit(float(unit))
        point = spec.to_unit(value)
        back = spec.from_unit(point)

        assert 0 <= point < 1
        assert type(back) is type(value)
        assert back == (
            pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
        )


@every_spec
def test_every_value_can_be_reached(spec: Hyperparameter) -> None:
    values = spec.values()
    if values is None:  # the bounds, at least
        assert isinstance(spec, Int | Float)
        values = (spec.min_value, spec.max_value)
    for value in values:
        assert spec.contains(value)
        assert spec.from_unit(spec.to_unit(value)) == pytest.approx(value)


@every_spec
def test_values_rise_with_the_unit_interval_where_they_have_an_order(spec: Hyperparameter) -> None:
    if isinstance(spec, Choice | Boolean | Fixed):
        return
    numbers: list[Any] = [spec.from_unit(float(unit)) for unit in sorted(UNITS)]

    assert all(a <= b for a, b in pairwise(numbers))


@every_spec
def test_drawing_repeats_with_its_generator(spec: Hyperparameter) -> None:
    drawn, again = ([spec.random(np.random.default_rng(s)) for s in range(5)] for _ in range(2))

    assert drawn == again
    assert all(spec.contains(value) for value in drawn)


def test_every_integer_has_an_equal_share() -> None:
    spec = Int(name="n", min_value=1, max_value=4)

    assert [spec.from_unit(u) for u in (0.0, 0.24, 0.26, 0.49, 0.51, 0.74, 0.76, 0.99)] == [
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]


def test_log_puts_the_geometric_mean_in_the_middle_and_reverse_log_mirrors_it() -> None:
    bounds: dict[str, Any] = {"min_value": 0.01, "max_value": 1.0}

    assert Float(name="x", **bounds).from_unit(0.5) == pytest.approx(0.505)
    assert Float(name="x", **bounds, sampling="log").from_unit(0.5) == pytest.approx(0.1)
    assert Float(name="x", **bounds, sampling="reverse_log").from_unit(0.5) == pytest.approx(0.91)


def test_integers_on_a_log_scale_are_drawn_evenly_by_magnitude() -> None:
    spec = Int(name="n", min_value=1, max_value=999, sampling="log")
    rng = np.random.default_rng(0)
    drawn = [spec.random(rng) for _ in range(3000)]

    # A decade each: a third of 3000, with a standard deviation of 26.
    for low, high in ((1, 9), (10, 99), (100, 999)):
        assert abs(sum(low <= v <= high for v in drawn if isinstance(v, int)) - 1000) < 150


# What is possible, as in KerasTuner.


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (Int(name="n", min_value=1, max_value=3), [1, 2, 3]),
        (Int(name="n", min_value=1, max_value=10, step=4), [1, 5, 9]),
        (Int(name="n", min_value=32, max_value=96, step=32), [32, 64, 96]),
        (Int(name="n", min_value=2, max_value=32, step=2, sampling="log"), [2, 4, 8, 16, 32]),
        (Int(name="n", min_value=2, max_value=31, step=2, sampling="log"), [2, 4, 8, 16]),
        (Int(name="n", min_value=1, max_value=8, step=2, sampling="reverse_log"), [1, 5, 7, 8]),
        (Float(name="x", min_value=0.0, max_value=0.5, step=0.1), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        (
            Float(name="x", min_value=0.1, max_value=0.7, step=0.1),
            [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
        ),
        (
            Float(name="x", min_value=1e-4, max_value=1e-2, step=10, sampling="log"),
            [1e-4, 1e-3, 1e-2],
        ),
        (
            Float(name="x", min_value=1e-14, max_value=1e-12, step=10, sampling="log"),
            [1e-14, 1e-13, 1e-12],
        ),
        (Float(name="x", min_value=0.0, max_value=3e-13, step=1e-13), [0.0, 1e-13, 2e-13, 3e-13]),
        (
            Float(name="x", min_value=0.0, max_value=2.5e-10, step=1.25e-10),
            [0.0, 1.25e-10, 2.5e-10],
        ),
        (Float(name="x", min_value=1e-14, max_value=1.0, step=0.5), [1e-14, 0.5, 1.0]),
        (
            Float(name="x", min_value=1e-14, max_value=8e-14, step=2, sampling="reverse_log"),
            [1e-14, 5e-14, 7e-14, 8e-14],
        ),
        (Choice(name="c", options=("a", "b")), ["a", "b"]),
        (Choice(name="c", options=(1, 2, 1)), [1, 2]),
        (Boolean(name="b"), [True, False]),
        (Fixed(name="f", constant=3), [3]),
    ],
)
def test_values_include_the_largest_that_a_step_reaches(
    spec: Hyperparameter, values: list[Any]
) -> None:
    assert list(spec.values() or ()) == values
    assert [type(v) for v in spec.values() or ()] == [type(v) for v in values]


@pytest.mark.parametrize(
    ("spec", "impossible"),
    [
        (Int(name="n", min_value=1, max_value=9, step=2), [0, 2, 11, 3.0, True, "3", None]),
        (Int(name="n", min_value=1, max_value=9, sampling="log"), [0, 10, 3.0, True]),
        (Float(name="x", min_value=0.0, max_value=1.0), [-0.1, 1.1, True, "0.5", None, math.nan]),
        (Float(name="x", min_value=0.0, max_value=1.0, step=0.25), [0.3, 1.25, False]),
        (Choice(name="c", options=(1, 2)), [3, 1.0, True, None]),
        (Boolean(name="b"), [1, 0, None]),
        (Fixed(name="f", constant="a"), ["b", None]),
    ],
)
def test_other_values_are_not_possible(spec: Hyperparameter, impossible: list[Any]) -> None:
    assert [value for value in impossible if spec.contains(value)] == []


def test_an_integer_is_possible_for_a_float() -> None:
    assert Float(name="x", min_value=0.0, max_value=2.0).contains(1)


def test_rounding_does_not_put_a_value_off_its_step() -> None:
    spec = Float(name="x", min_value=0.0, max_value=0.5, step=0.1)
    off = 0.1 + 0.2  # 0.30000000000000004

    assert spec.contains(off)
    assert spec.from_unit(spec.to_unit(off)) == 0.3


@pytest.mark.parametrize(
    ("spec", "off", "nearest"),
    [
        (Int(name="n", min_value=2, max_value=20, step=4), 5, 6),
        (Int(name="n", min_value=2, max_value=20, step=4), 90, 18),
        (Int(name="n", min_value=2, max_value=64, step=2, sampling="log"), 30, 32),
        (Int(name="n", min_value=1, max_value=64, step=4, sampling="reverse_log"), 50, 49),
        (Float(name="x", min_value=0.0, max_value=1.0, step=0.25), 0.3, 0.25),
    ],
    ids=lambda part: str(part),
)
def test_a_default_off_its_step_has_the_nearest_steps_place(
    spec: Hyperparameter, off: Any, nearest: Any
) -> None:
    assert spec.from_unit(spec.to_unit(off)) == nearest


def test_numpys_numbers_and_strings_become_pythons() -> None:
    floats = Choice(name="c", options=tuple(np.array([0.1, 0.2])))
    words = Choice(name="c", options=tuple(np.array(["a", "b"])), start=np.str_("b"))

    assert [type(value) for value in (*floats.values(), floats.default)] == [float] * 3
    assert [type(value) for value in (*words.values(), words.default)] == [str] * 3
    assert type(Fixed(name="f", constant=np.float64(0.5)).default) is float


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (Choice(name="c", options=tuple(np.arange(3, 6)), start=np.int64(4)), int),
        (Choice(name="c", options=(3, np.int32(4)), start=np.float32(4)), int),
        (Choice(name="c", options=tuple(np.float32([0.1, 0.2]))), float),
        (Choice(name="c", options=(np.True_, np.False_)), bool),
        (Int(name="n", min_value=np.int64(1), max_value=np.int64(9), start=np.int64(3)), int),
        (Float(name="x", min_value=0, max_value=np.float32(1), start=np.float32(0.5)), float),
        (Fixed(name="f", constant=np.float32(0.5)), float),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_numpys_numbers_are_numbers(spec: Any, kind: type) -> None:
    assert [type(value) for value in (*(spec.values() or ()), spec.default)] == [kind] * (
        1 + len(spec.values() or ())
    )
    assert from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_whole_numbers_become_integers() -> None:
    spec = Int(name="n", min_value=2.0, max_value=8.0, step=2.0)

    assert [type(value) for value in (spec.default, spec.from_unit(0.9))] == [int, int]


def test_a_huge_range_of_integers_costs_nothing() -> None:
    started = time.process_time()
    spec = Int(name="seed", min_value=0, max_value=2**40)

    assert spec.from_unit(0.5) == 2**39
    assert spec.contains(2**40) and not spec.contains(2**40 + 1)
    assert spec.from_unit(spec.to_unit(123_456_789)) == 123_456_789
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("spec", "default"),
    [
        (Int(name="n", min_value=3, max_value=9), 3),
        (Int(name="n", min_value=3, max_value=9, start=5), 5),
        (Float(name="x", min_value=0.1, max_value=0.9, start=0.0), 0.0),
        (Float(name="x", min_value=0.1, max_value=0.9), 0.1),
        (Choice(name="c", options=("b", "a")), "b"),
        (Choice(name="c", options=("b", "a"), start="a"), "a"),
        (Choice(name="c", options=("b", None)), None),
        (Choice(name="c", options=(1, 0), start=0), 0),
        (Boolean(name="b"), False),
        (Boolean(name="b", start=True), True),
        (Fixed(name="f", constant=7), 7),
    ],
)
def test_the_default_is_kerastuners(spec: Hyperparameter, default: Any) -> None:
    assert spec.default == default


@pytest.mark.parametrize(
    ("options", "given", "ordered"),
    [
        ((1, 2), None, True),
        ((0.1, 0.2), None, True),
        (("a", "b"), None, False),
        ((True, False), None, False),
        ((1, 2), False, False),
        (("s", "m", "l"), False, False),
        ((1, None), None, False),
    ],
)
def test_numbers_of_a_choice_have_an_order_unless_said_otherwise(
    options: tuple[Any, ...], given: bool | None, ordered: bool
) -> None:
    assert Choice(name="c", options=options, in_order=given).ordered is ordered


@pytest.mark.parametrize("sampling", ["LOG", "Log", "log"])
def test_sampling_is_read_in_any_case(sampling: str) -> None:
    assert Float(name="x", min_value=0.01, max_value=1.0, sampling=sampling).from_unit(
        0.5
    ) == pytest.approx(0.1)


# Grids.


@every_spec
def test_a_grid_is_of_possible_values_each_once(spec: Hyperparameter) -> None:
    grid = list(spec.grid())

    assert grid and len(set(grid)) == len(grid)
    assert all(spec.contains(value) for value in grid)


def test_a_continuous_grid_has_ten_points_from_bound_to_bound() -> None:
    grid = Float(name="x", min_value=1e-4, max_value=1e-1, sampling="log").grid()

    assert len(grid) == 10
    assert grid[0] == 1e-4
    assert grid[-1] == pytest.approx(1e-1)
    ratios = [b / a for a, b in pairwise(v for v in grid if isinstance(v, float))]
    assert ratios == pytest.approx([ratios[0]] * 9)


def test_a_grid_of_few_integers_holds_each_once() -> None:
    assert list(Int(name="n", min_value=1, max_value=3, sampling="log").grid()) == [1, 2, 3]


# Records.


@every_spec
def test_a_trip_through_json_changes_nothing(spec: Hyperparameter) -> None:
    assert from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_the_records_name_the_kind_and_leave_out_what_was_not_given() -> None:
    assert Int(name="n", min_value=1, max_value=3).to_dict() == {
        "kind": "int",
        "name": "n",
        "min_value": 1,
        "max_value": 3,
        "step": 1,
        "sampling": "linear",
    }


@every_spec
def test_the_records_leave_value_free_for_what_was_requested(spec: Hyperparameter) -> None:
    assert "value" not in spec.to_dict()
    assert "asked_by" not in spec.to_dict()


# What is refused.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Int(name="n", min_value="a", max_value=4),  # type: ignore[arg-type]
            "Hyperparameter 'n': min_value must be an integer; got 'a'.",
        ),
        (
            lambda: Int(name="n", min_value=1, max_value=math.inf),
            "Hyperparameter 'n': max_value must be an integer; got inf.",
        ),
        (
            lambda: Int(name="n", min_value=1, max_value=None),  # type: ignore[arg-type]
            "Hyperparameter 'n': max_value must be an integer; got None.",
        ),
        (
            lambda: Float(name="x", min_value=0.0, max_value=1.0, step="a"),  # type: ignore[arg-type]
            "Hyperparameter 'x': step must be a number; got 'a'.",
        ),
        (
            lambda: Float(name="x", min_value=0.0, max_value=math.inf),
            "Hyperparameter 'x': min_value and max_value must be finite numbers; got 0.0 and inf.",
        ),
        (
            lambda: Choice(name="c", options=("s", "m"), in_order=True),
            "Hyperparameter 'c': the values of an ordered Choice must be numbers; got str.",
        ),
        (
            lambda: Choice(name="c", options=(1, 2), start="z"),
            "Hyperparameter 'c': the default must be one of [1, 2]; got 'z'.",
        ),
        (
            lambda: Boolean(name="b", start="yes"),  # type: ignore[arg-type]
            "Hyperparameter 'b': the default of a Boolean must be True or False; got 'yes'.",
        ),
        (
            lambda: Fixed(name="f", constant=[1]),  # type: ignore[arg-type]
            "Hyperparameter 'f': a fixed value must be an int, a float, a str, a bool or None; got "
            "list.",
        ),
        (
            lambda: Float(name="lr", min_value=0.1, max_value=1.0, sampling="lgo"),
            "Hyperparameter 'lr': Unknown sampling 'lgo'. Known: linear, log, reverse_log. Did you "
            "mean 'log'?",
        ),
        (
            lambda: Int(name="n", min_value=5, max_value=4),
            "Hyperparameter 'n': min_value must not exceed max_value; got 5 and 4.",
        ),
        (
            lambda: Float(name="lr", min_value=0.0, max_value=1.0, sampling="log"),
            "Hyperparameter 'lr': log sampling needs a min_value above zero; got 0.0.",
        ),
        (
            lambda: Float(name="lr", min_value=-1.0, max_value=1.0, sampling="reverse_log"),
            "Hyperparameter 'lr': reverse_log sampling needs a min_value above zero; got -1.0.",
        ),
        (
            lambda: Float(name="x", min_value=0.0, max_value=1.0, step=math.inf),
            "Hyperparameter 'x': step must be a finite number; got inf.",
        ),
        (
            lambda: Int(name="n", min_value=1, max_value=4, step=0),
            "Hyperparameter 'n': a linear step must be above 0; got 0.",
        ),
        (
            lambda: Int(name="n", min_value=1, max_value=4, step=1, sampling="log"),
            "Hyperparameter 'n': a log step must be above 1; got 1.",
        ),
        (
            lambda: Int(name="n", min_value=1, max_value=4.5),
            "Hyperparameter 'n': max_value must be an integer; got 4.5.",
        ),
        (
            lambda: Int(name="n", min_value=1, max_value=4, step=0.5),
            "Hyperparameter 'n': step must be an integer; got 0.5.",
        ),
        (
            lambda: Choice(name="c", options=()),
            "Hyperparameter 'c': a Choice must have at least one value; got none.",
        ),
        (
            lambda: Choice(name="c", options=(1, "a")),
            "Hyperparameter 'c': the values of a Choice must all be int, all float, all str or all "
            "bool; got int, str. " + LOOK_UP,
        ),
        (
            lambda: Choice(name="c", options=([1, 2], [3, 4])),  # type: ignore[arg-type]
            "Hyperparameter 'c': the values of a Choice must all be int, all float, all str or all "
            "bool; got list. " + LOOK_UP,
        ),
        (
            lambda: Choice(name="c", options=((1, 3), None)),  # type: ignore[arg-type]
            "Hyperparameter 'c': the values of a Choice must all be int, all float, all str or all "
            "bool; got tuple. " + LOOK_UP,
        ),
        (
            lambda: Choice(name="c", options=(1, np.float32(0.5))),  # type: ignore[arg-type]
            "Hyperparameter 'c': the values of a Choice must all be int, all float, all str or all "
            "bool; got float, int. Write the integers as floats, such as 1.0.",
        ),
        (
            lambda: Choice(name="c", options=("a", "b"), start="z"),
            "Hyperparameter 'c': the default must be one of ['a', 'b']; got 'z'.",
        ),
    ],
)
def test_an_impossible_hyperparameter_is_refused_by_name(
    make: Callable[[], Hyperparameter], message: str
) -> None:
    with pytest.raises(SpaceError) as refused:
        make()

    assert str(refused.value) == message
