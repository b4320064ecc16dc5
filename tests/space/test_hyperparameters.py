"""`hp` answers as KerasTuner's does, and remembers what was requested."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.errors import (
    RequestError,
    SpaceError,
    SpaceRuntimeError,
    SpaceTypeError,
    SpaceValueError,
)
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Fixed, Float, Hyperparameter, Int


def asked(hp: HyperParameters) -> dict[str, Any]:
    return {spec.name: value for spec, value in hp.requested}


# What is answered.


def test_every_kind_answers_with_its_default() -> None:
    hp = HyperParameters()

    assert hp.Int("units", 32, 512, step=32) == 32
    assert hp.Int("depth", 1, 5, default=3) == 3
    assert hp.Float("rate", 0, 1) == 0.0
    assert hp.Choice("activation", ["relu", "tanh"]) == "relu"
    assert hp.Boolean("flip") is False
    assert hp.Fixed("optimizer", "adam") == "adam"


def test_a_proposal_is_answered() -> None:
    hp = HyperParameters({"units": 64, "rate": 0.3, "activation": "tanh", "flip": True})

    assert hp.Int("units", 32, 512, step=32) == 64
    assert hp.Float("rate", 0, 1) == 0.3
    assert hp.Choice("activation", ["relu", "tanh"]) == "tanh"
    assert hp.Boolean("flip") is True


def test_the_largest_value_can_be_proposed() -> None:
    assert HyperParameters({"n": 5}).Int("n", 1, 5) == 5
    assert HyperParameters({"x": 1.0}).Float("x", 0.0, 1.0) == 1.0


@pytest.mark.parametrize(
    ("proposed", "ask"),
    [
        (6, lambda hp: hp.Int("p", 1, 5)),
        (3, lambda hp: hp.Int("p", 2, 8, step=2)),
        (12, lambda hp: hp.Int("p", 2, 64, step=2, sampling="log")),
        (2.0, lambda hp: hp.Float("p", 0.0, 1.0)),
        ("gelu", lambda hp: hp.Choice("p", ["relu", "tanh"])),
        (None, lambda hp: hp.Choice("p", ["relu", "tanh"])),
        ("relu", lambda hp: hp.Int("p", 1, 5)),
        (1, lambda hp: hp.Boolean("p")),
        ("sgd", lambda hp: hp.Fixed("p", "adam")),
    ],
)
def test_a_proposal_out_of_bounds_is_drawn_anew(
    proposed: Any, ask: Callable[[HyperParameters], Any]
) -> None:
    drawn: list[Hyperparameter] = []

    def draw(spec: Hyperparameter) -> Any:
        drawn.append(spec)
        return spec.from_unit(0.0)

    hp = HyperParameters({"p": proposed}, draw)
    value = ask(hp)

    assert [spec.name for spec in drawn] == ["p"]
    assert drawn[0].contains(value)
    assert asked(hp) == {"p": value}


def test_what_a_proposal_lacks_is_drawn_once() -> None:
    rng = np.random.default_rng(0)
    hp = HyperParameters({"other": 1}, lambda spec: spec.random(rng))

    first = hp.Float("rate", 0, 1)

    assert first != 0.0
    assert hp.Float("rate", 0, 1) == first
    assert hp.get("rate") == first


def test_of_two_registrations_under_one_name_the_first_wins() -> None:
    hp = HyperParameters({"n": 3})

    assert hp.Int("n", 1, 5) == 3
    assert hp.Int("n", 100, 200) == 3
    assert [(spec.kind, value) for spec, value in hp.requested] == [("int", 3)]


def test_sampling_is_read_in_any_case() -> None:
    hp = HyperParameters(draw=lambda spec: spec.from_unit(0.5))

    assert hp.Float("rate", 0.01, 1.0, sampling="LOG") == pytest.approx(0.1)
    assert hp.Float("momentum", 0.01, 1.0, sampling="reverse_log") == pytest.approx(0.91)


def test_an_impossible_request_is_refused_by_its_full_name() -> None:
    hp = HyperParameters()

    with (
        pytest.raises(RequestError, match="Hyperparameter 'head/n': min_value must not exceed"),
        hp.name_scope("head"),
    ):
        hp.Int("n", 5, 1)
    assert hp.Int("n", 1, 5) == 1
    assert asked(hp) == {"n": 1}


# What was asked.


def test_requested_is_in_the_order_of_asking() -> None:
    hp = HyperParameters({"a": 1, "b": 2, "c": 3})
    for name in ("c", "a", "b", "c"):
        hp.Int(name, 0, 9)

    assert [spec.name for spec, _ in hp.requested] == ["c", "a", "b"]


def test_what_the_model_never_asked_for_is_not_requested() -> None:
    hp = HyperParameters({"layers": 2, "units_0": 3, "units_1": 4, "units_2": 5})
    for i in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{i}", 1, 9)

    assert asked(hp) == {"layers": 2, "units_0": 3, "units_1": 4}
    assert hp.values == {"layers": 2, "units_0": 3, "units_1": 4}


def test_get_returns_an_active_value() -> None:
    hp = HyperParameters({"n": 3})
    hp.Int("n", 1, 5)

    assert (hp.get("n"), hp["n"], "n" in hp) == (3, 3, True)


def test_get_of_an_unknown_name_is_a_key_error() -> None:
    hp = HyperParameters({"n": 3})  # proposed, but never asked for

    with pytest.raises(KeyError, match="n does not exist."):
        hp.get("n")
    assert "n" not in hp


def test_get_of_an_inactive_name_is_a_value_error() -> None:
    hp = HyperParameters()
    hp.Choice("optimizer", ["adam", "sgd"])
    hp.Float("momentum", 0, 1, parent_name="optimizer", parent_values=["sgd"])

    with pytest.raises(ValueError, match="momentum is currently inactive."):
        hp.get("momentum")
    assert "momentum" not in hp


# Names.


def test_a_name_scope_goes_before_the_name() -> None:
    hp = HyperParameters({"encoder/block/n": 2, "n": 3})
    with hp.name_scope("encoder"), hp.name_scope("block"):
        assert hp.Int("n", 1, 5) == 2
        assert hp.get("n") == 2
    assert hp.Int("n", 1, 5) == 3

    assert asked(hp) == {"encoder/block/n": 2, "n": 3}
    assert hp.get("encoder/block/n") == 2


def test_a_name_scope_ends_where_its_body_raises() -> None:
    hp = HyperParameters()
    with pytest.raises(ZeroDivisionError), hp.name_scope("head"):
        raise ZeroDivisionError
    hp.Int("n", 1, 5)

    assert list(asked(hp)) == ["n"]


# Conditions.


def conditional(hp: HyperParameters) -> Any:
    hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        return hp.Float("momentum", 0.1, 0.9)


def test_inside_a_conditional_scope_an_inactive_hyperparameter_is_none() -> None:
    hp = HyperParameters({"optimizer": "adam", "momentum": 0.5})

    assert conditional(hp) is None
    assert asked(hp) == {"optimizer": "adam"}
    assert [spec.name for spec in hp.space] == ["optimizer", "momentum"]


def test_inside_a_conditional_scope_an_active_hyperparameter_has_its_value() -> None:
    hp = HyperParameters({"optimizer": "sgd", "momentum": 0.5})

    assert conditional(hp) == 0.5
    assert asked(hp) == {"optimizer": "sgd", "momentum": 0.5}


def test_the_body_of_a_conditional_scope_always_runs() -> None:
    ran = []
    for optimizer in ("adam", "sgd"):
        hp = HyperParameters({"optimizer": optimizer})
        hp.Choice("optimizer", ["adam", "sgd"])
        with hp.conditional_scope("optimizer", ["sgd"]):
            ran.append(optimizer)

    assert ran == ["adam", "sgd"]


def test_an_inactive_hyperparameter_is_never_drawn() -> None:
    drawn: list[str] = []
    hp = HyperParameters({"optimizer": "adam"}, lambda spec: drawn.append(spec.name))
    conditional(hp)

    assert drawn == []


def test_parent_name_and_parent_values_do_what_a_conditional_scope_does() -> None:
    for optimizer, expected in (("adam", None), ("sgd", 0.5), ("rmsprop", 0.5)):
        hp = HyperParameters({"optimizer": optimizer, "momentum": 0.5})
        hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
        value = hp.Float(
            "momentum", 0.1, 0.9, parent_name="optimizer", parent_values=["sgd", "rmsprop"]
        )

        assert value == expected
        assert ("momentum" in asked(hp)) == (expected is not None)


@pytest.mark.parametrize(
    "values", [2, [2, 3], (2, 3), {2, 3}, range(2, 4), np.int64(2), np.arange(2, 4)], ids=repr
)
def test_parent_values_may_be_one_or_several(values: Any) -> None:
    for depth, active in ((1, False), (2, True)):
        hp = HyperParameters({"depth": depth})
        hp.Int("depth", 1, 3)
        with hp.conditional_scope("depth", values):
            assert (hp.Int("units", 1, 9) == 1) is active


def test_every_kind_can_have_a_parent() -> None:
    hp = HyperParameters()
    hp.Boolean("deep")
    child: dict[str, Any] = {"parent_name": "deep", "parent_values": [True]}

    assert hp.Int("a", 1, 2, **child) is None
    assert hp.Float("b", 1, 2, **child) is None
    assert hp.Choice("c", [1, 2], **child) is None
    assert hp.Boolean("d", **child) is None
    assert hp.Fixed("e", 1, **child) is None
    assert list(asked(hp)) == ["deep"]


@pytest.mark.parametrize(
    ("a", "b", "active"), [("x", "y", False), ("y", "x", False), ("y", "y", True)]
)
def test_nested_conditions_must_all_hold(a: str, b: str, active: bool) -> None:
    hp = HyperParameters({"a": a, "b": b})
    hp.Choice("a", ["x", "y"])
    hp.Choice("b", ["x", "y"])
    with hp.conditional_scope("a", "y"), hp.conditional_scope("b", "y"):
        value = hp.Int("n", 1, 5)

    assert (value is not None) is active


def test_one_name_may_have_other_bounds_under_another_condition() -> None:
    def units(kind: str, **proposal: Any) -> tuple[Any, Any, dict[str, Any]]:
        hp = HyperParameters({"kind": kind, **proposal})
        hp.Choice("kind", ["narrow", "wide"])
        with hp.conditional_scope("kind", "narrow"):
            narrow = hp.Int("units", 1, 9)
        with hp.conditional_scope("kind", "wide"):
            wide = hp.Int("units", 100, 900)
        return narrow, wide, asked(hp)

    assert units("narrow", units=5) == (5, None, {"kind": "narrow", "units": 5})
    assert units("wide", units=500) == (None, 500, {"kind": "wide", "units": 500})
    assert units("wide", units=5) == (None, 100, {"kind": "wide", "units": 100})


def test_a_name_that_is_active_under_two_conditions_is_requested_once() -> None:
    hp = HyperParameters({"n": 3})
    hp.Boolean("deep", default=True)
    hp.Int("n", 1, 5)
    with hp.conditional_scope("deep", True):
        assert hp.Int("n", 100, 900) == 3

    assert [(spec.name, value) for spec, value in hp.requested] == [("deep", True), ("n", 3)]


def test_a_hyperparameter_whose_parent_comes_to_life_later_is_answered_then() -> None:
    hp = HyperParameters({"kind": "b"})
    hp.Choice("kind", ["a", "b"])
    grandchild: dict[str, Any] = {"parent_name": "n", "parent_values": [1]}
    hp.Int("n", 1, 3, parent_name="kind", parent_values=["a"])
    assert hp.Int("m", 7, 9, **grandchild) is None
    hp.Int("n", 1, 3, parent_name="kind", parent_values=["b"])

    assert asked(hp) == {"kind": "b", "n": 1}
    assert hp.Int("m", 7, 9, **grandchild) == 7
    assert asked(hp)["m"] == 7


def test_a_condition_looks_for_its_parent_in_its_name_scope() -> None:
    hp = HyperParameters({"head/kind": "b", "head/n": 4})
    with hp.name_scope("head"):
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", "b"):
            assert hp.Int("n", 1, 5) == 4


def test_a_parent_must_be_asked_for_first() -> None:
    hp = HyperParameters()
    message = "Parent hyperparameter 'optimizer' must be asked for before what depends on it."

    with pytest.raises(ValueError, match=message):
        hp.Float("momentum", 0, 1, parent_name="optimizer", parent_values=["sgd"])
    with pytest.raises(ValueError, match=message), hp.conditional_scope("optimizer", ["sgd"]):
        pass


# What user code put into `values`.


def test_what_user_code_put_into_values_is_answered_and_varies_no_more() -> None:
    hp = HyperParameters({"n": 2})
    hp.values["n"] = 300

    assert hp.Int("n", 1, 5) == 300
    assert hp.requested == [(Fixed(name="n", constant=300), 300)]
    assert [spec.kind for spec in hp.space] == ["int"]


def test_what_user_code_put_in_after_the_answer_is_what_is_in_force() -> None:
    hp = HyperParameters({"n": 2})
    hp.Int("n", 1, 5)
    hp.values["n"] = 4

    assert hp.requested == [(Fixed(name="n", constant=4), 4)]


def test_what_user_code_put_in_but_never_asked_for_is_not_requested() -> None:
    hp = HyperParameters()
    hp.values["n"] = 3

    assert hp.requested == []


# Of two settings.


def test_the_first_settings_win_and_a_line_says_so_once() -> None:
    hp = HyperParameters({"units": 64})
    for _ in range(3):
        hp.Int("units", 32, 512, step=32)
        hp.Int("units", 1, 5)
        hp.Choice("activation", ["relu", "tanh"])
        hp.Choice("activation", ["relu"], default="relu")

    assert hp.warnings == [
        "Hyperparameter 'units' was asked for more than once: "
        "the first wins, Int(min_value=32, max_value=512, step=32, sampling='linear'); "
        "Int(min_value=1, max_value=5, step=1, sampling='linear') is ignored.",
        "Hyperparameter 'activation' was asked for more than once: "
        "the first wins, Choice(values=['relu', 'tanh'], ordered=False); "
        "Choice(values=['relu'], ordered=False, default='relu') is ignored.",
    ]
    assert asked(hp) == {"units": 64, "activation": "relu"}


def test_the_same_settings_again_are_not_worth_a_line() -> None:
    hp = HyperParameters()
    for _ in range(2):
        hp.Int("n", 1, 5)
        hp.Float("x", 0, 1)
        hp.Float("x", 0.0, 1.0, sampling="LINEAR")
        hp.Boolean("b")
        hp.Fixed("f", 1)

    assert hp.warnings == []


def test_other_settings_under_other_conditions_are_not_worth_a_line() -> None:
    hp = HyperParameters()
    hp.Boolean("wide")
    for wide in (True, False):
        hp.Int("units", 1, 900 if wide else 9, parent_name="wide", parent_values=wide)

    assert hp.warnings == []


def test_one_name_as_two_kinds_is_refused() -> None:
    hp = HyperParameters()
    hp.Int("n", 1, 5)

    with pytest.raises(SpaceValueError) as refused:
        hp.Float("n", 0.0, 1.0)
    assert str(refused.value) == (
        "Hyperparameter 'n' must be of one kind; it was asked for as "
        "Int(min_value=1, max_value=5, step=1, sampling='linear') and as "
        "Float(min_value=0.0, max_value=1.0, sampling='linear')."
    )
    assert hp.Int("n", 1, 5) == 1


# What is refused.


def child(hp: HyperParameters, **parent: Any) -> None:
    hp.Int("depth", 1, 3)
    hp.Int("units", 1, 9, **parent)


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (
            lambda hp: child(hp, parent_name="deph", parent_values=1),
            SpaceValueError,
            "Parent hyperparameter 'deph' must be asked for before what depends on it. "
            "Unknown hyperparameter 'deph'. Known: depth. Did you mean 'depth'?",
        ),
        (
            lambda hp: hp.Int("units", 1, 9, parent_name="depth", parent_values=1),
            SpaceValueError,
            "Parent hyperparameter 'depth' must be asked for before what depends on it. None was "
            "asked for so far.",
        ),
        (
            lambda hp: child(hp, parent_name="depth"),
            SpaceTypeError,
            "The values of parent hyperparameter 'depth' must be int, float, str or bool; got "
            "NoneType.",
        ),
        (
            lambda hp: child(hp, parent_name="depth", parent_values=[]),
            SpaceValueError,
            "The values of parent hyperparameter 'depth' must be int, float, str or bool, and at "
            "least one; got none.",
        ),
        (
            lambda hp: child(hp, parent_name="depth", parent_values=[1, "a"]),
            SpaceValueError,
            "The values of parent hyperparameter 'depth' must be int, float, str or bool; got 'a'.",
        ),
        (
            lambda hp: [child(hp), hp.Int("depth", 1, 3, parent_name="depth", parent_values=1)],
            SpaceValueError,
            "Hyperparameter 'depth' must not depend on itself: its parent has its name.",
        ),
        (
            lambda hp: hp.Choice("c", 5),
            SpaceTypeError,
            "Hyperparameter 'c': the values of a Choice must be a list; got 5.",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    ask: Callable[[Any], Any], kind: type[SpaceError], message: str
) -> None:
    with pytest.raises(kind) as refused:
        ask(HyperParameters())

    assert str(refused.value) == message
    assert isinstance(refused.value, RequestError)


# A configuration held.


def test_holding_a_configuration_answers_at_once() -> None:
    tried = HyperParameters({"layers": 2, "units_0": 8, "units_1": 16})
    build_layers(tried)
    best = HyperParameters.holding(tried.requested)

    assert best.values == {"layers": 2, "units_0": 8, "units_1": 16}
    assert (best.get("layers"), best["units_1"], "units_1" in best, "units_2" in best) == (
        2,
        16,
        True,
        False,
    )
    assert best.requested == tried.requested
    assert build_layers(best) == [8, 16]


def test_holding_a_configuration_wins_over_whatever_is_asked() -> None:
    hp = HyperParameters.holding([(Fixed(name="rate", constant=0.5), 0.5)])

    assert hp.Float("rate", 0.0, 0.1) == 0.5
    assert asked(hp) == {"rate": 0.5}
    assert hp.warnings == []


def test_holding_a_configuration_gives_what_is_new_its_default() -> None:
    hp = HyperParameters.holding([(Int(name="n", min_value=1, max_value=5), 4)])

    assert (hp.Int("n", 1, 5), hp.Int("m", 7, 9)) == (4, 7)


def build_layers(hp: HyperParameters) -> list[Any]:
    return [hp.Int(f"units_{i}", 4, 16) for i in range(hp.Int("layers", 1, 3))]


# A space restricted.


def test_what_is_given_wins_over_what_build_asks() -> None:
    hp = HyperParameters(
        {"layers": 3, "units_0": 16, "units_1": 16}, lambda spec: spec.from_unit(0.99)
    )
    hp.restrict([Fixed(name="layers", constant=2), Int(name="units_0", min_value=4, max_value=6)])

    assert build_layers(hp) == [6, 16]
    assert [spec.kind for spec, _ in hp.requested] == ["fixed", "int", "int"]
    assert hp.requested[1][0] == Int(name="units_0", min_value=4, max_value=6)
    assert hp.warnings == []


def test_what_is_given_but_never_asked_for_is_not_requested() -> None:
    hp = HyperParameters()
    hp.restrict([Float(name="momentum", min_value=0, max_value=1)])
    build_layers(hp)

    assert list(asked(hp)) == ["layers", "units_0"]
    assert "momentum" not in hp.values


def test_what_is_given_can_be_got_without_asking_and_is_then_requested() -> None:
    hp = HyperParameters({"rate": 0.25})
    hp.restrict(
        [
            Float(name="rate", min_value=0, max_value=1),
            Float(name="other", min_value=0, max_value=1),
        ]
    )

    assert (hp.get("rate"), hp["rate"], "rate" in hp, "unknown" in hp) == (0.25, 0.25, True, False)
    assert asked(hp) == {"rate": 0.25}


def test_what_is_given_may_be_a_parent() -> None:
    own = HyperParameters()
    own.Choice("kind", ["a", "b"], default="b")
    own.Int("n", 1, 5, parent_name="kind", parent_values="b")
    own.Int("m", 1, 5, parent_name="kind", parent_values="a")

    hp = HyperParameters({"n": 4})
    hp.restrict(own.space)
    assert hp.get("n") == 4
    assert asked(hp) == {"kind": "b", "n": 4}
    with pytest.raises(ValueError, match="m is currently inactive."):
        hp.get("m")

    hp = HyperParameters({"k": 4})
    hp.restrict(own.space)
    assert hp.Int("k", 1, 5, parent_name="kind", parent_values="b") == 4
    assert asked(hp) == {"kind": "b", "k": 4}


def test_what_is_given_counts_under_its_conditions_alone() -> None:
    hp = HyperParameters()
    hp.restrict([Fixed(name="units", constant=64)])
    hp.Boolean("wide", default=True)

    assert hp.Int("units", 1, 9, parent_name="wide", parent_values=True) == 1


def test_without_tuning_new_ones_they_are_fixed_at_their_defaults() -> None:
    hp = HyperParameters(
        {"layers": 3, "units_0": 9, "units_1": 10}, lambda spec: spec.from_unit(0.99)
    )
    hp.restrict([Int(name="units_0", min_value=4, max_value=16)], tune_new=False)

    assert build_layers(hp) == [9]
    assert [(spec.kind, spec.name, value) for spec, value in hp.requested] == [
        ("fixed", "layers", 1),
        ("int", "units_0", 9),
    ]


def test_without_tuning_new_ones_two_kinds_are_still_told_apart() -> None:
    hp = HyperParameters()
    hp.restrict([], tune_new=False)
    hp.Int("n", 1, 5)
    hp.Int("n", 1, 5)

    assert hp.warnings == []
    with pytest.raises(SpaceValueError, match="Hyperparameter 'n' must be of one kind"):
        hp.Boolean("n")


def test_where_new_ones_are_not_allowed_they_are_refused_as_keras_tuner_does() -> None:
    hp = HyperParameters()
    hp.restrict([Int(name="layers", min_value=1, max_value=2)], allow_new=False)

    with pytest.raises(RuntimeError) as refused:
        build_layers(hp)
    assert isinstance(refused.value, SpaceRuntimeError)
    assert str(refused.value) == (
        "Hyperparameter 'units_0' must be among those given, and under the conditions given, "
        "where allow_new_entries is False. Given: layers."
    )


def test_values_that_came_with_what_is_given_hold_what_is_not_given() -> None:
    hp = HyperParameters({"layers": 2}, lambda spec: spec.from_unit(0.99))
    hp.restrict([Int(name="layers", min_value=1, max_value=3)], {"layers": 1, "units_0": 5})

    assert build_layers(hp) == [5, 16]
    assert [spec.kind for spec, _ in hp.requested] == ["int", "fixed", "int"]


# Copies.


def test_a_copy_keeps_the_proposal_and_the_restriction() -> None:
    hp = HyperParameters({"units_0": 9, "units_1": 10})
    hp.restrict([Fixed(name="layers", constant=2)])
    other = hp.copy()

    assert build_layers(other) == [9, 10]
    assert asked(hp) == {}
    assert build_layers(hp) == [9, 10]


def test_merging_registers_settings_and_values() -> None:
    hp, other = HyperParameters(), HyperParameters({"n": 4})
    hp.Int("n", 1, 5)
    other.Int("n", 1, 9)
    hp.merge(other, overwrite=False)
    assert hp.space == [Int(name="n", min_value=1, max_value=5)]

    hp.merge(other)
    assert hp.space == [Int(name="n", min_value=1, max_value=9)]
    assert asked(hp) == {"n": 1}
