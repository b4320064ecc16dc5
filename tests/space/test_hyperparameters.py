"""`hp` answers as KerasTuner's does, and remembers what was requested."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.errors import RequestError
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Hyperparameter


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
def test_a_proposal_out_of_bounds_is_drawn_anew(proposed: Any, ask: Callable[[HyperParameters], Any]) -> None:
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
    assert hp.Float("n", 0.0, 0.1) == 3
    assert [(spec.kind, value) for spec, value in hp.requested] == [("int", 3)]


def test_sampling_is_read_in_any_case() -> None:
    hp = HyperParameters(draw=lambda spec: spec.from_unit(0.5))

    assert hp.Float("rate", 0.01, 1.0, sampling="LOG") == pytest.approx(0.1)
    assert hp.Float("momentum", 0.01, 1.0, sampling="reverse_log") == pytest.approx(0.91)


def test_an_impossible_request_is_refused_by_its_full_name() -> None:
    hp = HyperParameters()

    with pytest.raises(RequestError, match="Hyperparameter 'head/n': min_value must not exceed"), hp.name_scope("head"):
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
        value = hp.Float("momentum", 0.1, 0.9, parent_name="optimizer", parent_values=["sgd", "rmsprop"])

        assert value == expected
        assert ("momentum" in asked(hp)) == (expected is not None)


@pytest.mark.parametrize("values", [2, [2, 3], (2, 3), {2, 3}, range(2, 4)], ids=repr)
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


@pytest.mark.parametrize(("a", "b", "active"), [("x", "y", False), ("y", "x", False), ("y", "y", True)])
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
