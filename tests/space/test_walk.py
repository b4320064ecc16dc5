"""The walk through a space: every effective configuration once."""

from collections.abc import Callable
from typing import Any

from pipeline.space.hyperparameters import HyperParameters, Requested
from pipeline.space.specs import Value
from pipeline.space.walk import walk


def follow(build: Callable[[HyperParameters], Any]) -> Callable[[dict[str, Value]], Requested]:
    def trace(prefix: dict[str, Value]) -> Requested:
        hp = HyperParameters(prefix, lambda spec: spec.grid()[0])
        build(hp)
        return hp.requested

    return trace


def walked(build: Callable[[HyperParameters], Any]) -> list[dict[str, Value]]:
    return [{spec.name: value for spec, value in requested} for requested in walk(follow(build))]


def layers(hp: HyperParameters) -> None:
    for i in range(hp.Int("layers", 1, 3)):
        hp.Choice(f"units_{i}", [16, 32])


def test_one_to_three_layers_of_two_widths_are_fourteen_configurations() -> None:
    configurations = walked(layers)

    assert len(configurations) == 2 + 4 + 8
    assert len({tuple(c.items()) for c in configurations}) == 14
    assert all(len(c) == 1 + int(str(c["layers"])) for c in configurations)


def test_the_last_that_was_asked_for_turns_fastest() -> None:
    assert [tuple(c.values()) for c in walked(layers)][:7] == [
        (1, 16),
        (1, 32),
        (2, 16, 16),
        (2, 16, 32),
        (2, 32, 16),
        (2, 32, 32),
        (3, 16, 16, 16),
    ]


def test_conditional_scopes_are_walked_like_pythons_own_if() -> None:
    def build(hp: HyperParameters) -> None:
        hp.Choice("optimizer", ["adam", "sgd"])
        with hp.conditional_scope("optimizer", "sgd"):
            hp.Choice("momentum", [0.0, 0.9])

    assert walked(build) == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "momentum": 0.9},
    ]


def test_a_name_with_other_values_under_another_condition_is_walked_through_both() -> None:
    def build(hp: HyperParameters) -> None:
        if hp.Boolean("wide"):
            hp.Int("units", 100, 101)
        else:
            hp.Int("units", 1, 3)

    assert [c["units"] for c in walked(build)] == [100, 101, 1, 2, 3]


def test_a_name_that_is_registered_twice_is_walked_once() -> None:
    def build(hp: HyperParameters) -> None:
        hp.Int("units", 1, 2)
        hp.Boolean("deep", default=True)
        with hp.conditional_scope("deep", True):
            hp.Int("units", 7, 9)

    assert [c["units"] for c in walked(build)] == [1, 1, 2, 2]


def test_a_value_given_twice_is_walked_once() -> None:
    assert walked(lambda hp: hp.Choice("units", [16, 16, 32])) == [{"units": 16}, {"units": 32}]


def test_a_space_without_hyperparameters_has_one_configuration() -> None:
    assert walked(lambda hp: None) == [{}]


def test_continuous_ranges_are_walked_at_ten_points() -> None:
    def build(hp: HyperParameters) -> None:
        hp.Float("rate", 1e-4, 1e-2, sampling="log")
        hp.Boolean("flip")

    assert len(walked(build)) == 20


def test_a_huge_space_is_walked_only_as_far_as_it_is_asked() -> None:
    steps = walk(follow(lambda hp: hp.Int("seed", 0, 2**40)))

    assert [next(steps)[0][1] for _ in range(3)] == [0, 1, 2]


def test_steps_finer_than_any_rounding_are_walked_once_each() -> None:
    found = walked(lambda hp: hp.Float("rate", 0.0, 4e-15, step=1e-15))

    assert [c["rate"] for c in found] == [0.0, 1e-15, 2e-15, 3e-15, 4e-15]


def test_steps_below_the_precision_of_a_number_do_not_keep_the_walk_from_ending() -> None:
    steps = walk(
        follow(lambda hp: (hp.Float("rate", 1e6, 1e6 + 1e-9, step=1e-11), hp.Boolean("flip")))
    )
    found = [
        tuple(value for _, value in requested)
        for _, requested in zip(range(300), steps, strict=False)
    ]

    assert 4 <= len(found) == len(set(found)) < 100


def test_points_that_are_equal_do_not_keep_the_walk_from_ending() -> None:
    steps = walk(follow(lambda hp: hp.Int("units", 1, 2)), lambda spec: [1, 1, 2, 2])

    assert [requested[0][1] for _, requested in zip(range(20), steps, strict=False)] == [1, 1, 2, 2]
