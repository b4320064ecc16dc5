"""Population based training, without training: who takes over from whom, and what a value may
become."""

import numpy as np
import pytest

from pipeline.search.population import Member, evolve, explore
from pipeline.space.specs import Boolean, Choice, Fixed, Float, Int

RATE = Float(name="rate", min_value=1e-4, max_value=1e-1, sampling="log")
UNITS = Int(name="units", min_value=8, max_value=64, step=8)


def members(*losses):
    return [
        Member(f"t{i:04d}", loss, [(RATE, 0.01), (UNITS, 8 * (i + 1))])
        for i, loss in enumerate(losses)
    ]


def values(change):
    return {spec.name: value for spec, value in change.requested}


@pytest.mark.parametrize(
    ("size", "replaced"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (8, 2), (10, 3), (20, 5)]
)
def test_a_quarter_of_the_population_is_replaced_and_never_more_than_half(size, replaced):
    assert len(evolve(members(*range(size)), {"rate"}, 0, 2)) == replaced


def test_the_worst_take_over_from_the_best_with_what_makes_their_model():
    changes = evolve(members(0.9, 0.1, 0.5, 0.4, 0.2, 0.8, 0.3, 0.7), {"rate"}, 0, 2)
    assert [c.trial for c in changes] == ["t0000", "t0005"]
    assert {c.source for c in changes} <= {"t0001", "t0004"}
    for change in changes:
        assert values(change)["units"] == 8 * (int(change.source[1:]) + 1)
        assert values(change)["rate"] != 0.01


def test_nothing_but_what_may_be_perturbed_changes():
    for epoch in range(40):
        (change,) = evolve(members(0.1, 0.2, 0.3, 0.4), set(), 0, epoch)
        assert values(change) == {"rate": 0.01, "units": 8}


def test_equals_have_nothing_to_take_over():
    assert evolve(members(0.5, 0.5, 0.5, 0.5), {"rate"}, 0, 2) == []


def test_the_order_of_the_members_changes_nothing_and_seed_and_epoch_do():
    population = members(*np.random.default_rng(0).random(12))
    changes = evolve(population, {"rate"}, 0, 2)
    assert evolve(population[::-1], {"rate"}, 0, 2) == changes
    assert evolve(population, {"rate"}, 1, 2) != changes
    assert evolve(population, {"rate"}, 0, 4) != changes


SPECS = {
    "log float": (RATE, [1e-4, 0.01, 1e-1]),
    "reversed float": (
        Float(name="f", min_value=0.9, max_value=0.999, sampling="reverse_log"),
        [0.9, 0.95, 0.999],
    ),
    "float with steps": (Float(name="f", min_value=0.0, max_value=0.5, step=0.1), [0.0, 0.3, 0.5]),
    "float around zero": (Float(name="f", min_value=-1.0, max_value=1.0), [-1.0, -0.2, 0.0, 1.0]),
    "a single float": (Float(name="f", min_value=0.5, max_value=0.5), [0.5]),
    "int": (Int(name="i", min_value=0, max_value=5), [0, 1, 2, 3, 5]),
    "log int": (Int(name="i", min_value=1, max_value=1000, sampling="log"), [1, 2, 30, 1000]),
    "log int with steps": (
        Int(name="i", min_value=8, max_value=128, sampling="log", step=2),
        [8, 32, 128],
    ),
    "a long range": (Int(name="i", min_value=0, max_value=2**31), [0, 1, 2**30, 2**31]),
    "ordered choice": (Choice(name="c", options=(16, 32, 64)), [16, 32, 64]),
    "ordered choice, not sorted": (
        Choice(name="c", options=(0.1, 0.001, 0.01)),
        [0.1, 0.001, 0.01],
    ),
    "choice with none": (
        Choice(name="c", options=(None, 1.0, 2.0), in_order=True),
        [None, 1.0, 2.0],
    ),
    "names": (Choice(name="c", options=("mse", "mae")), ["mse", "mae"]),
    "truth": (Boolean(name="b"), [True, False]),
    "fixed": (Fixed(name="x", constant=3), [3]),
}


@pytest.mark.parametrize(("spec", "starts"), SPECS.values(), ids=SPECS)
def test_a_value_stays_within_bounds_and_on_a_step(spec, starts):
    rng = np.random.default_rng(0)
    for value in starts:
        for _ in range(60):
            value = explore(spec, value, rng)
            assert spec.contains(value), value
            assert type(value) in (int, float, str, bool, type(None))


@pytest.mark.parametrize(
    "spec",
    [
        Int(name="i", min_value=0, max_value=5),
        Int(name="i", min_value=1, max_value=1000, sampling="log"),
        Choice(name="c", options=(0.1, 0.001, 0.01)),
        Float(name="f", min_value=0.0, max_value=0.5, step=0.1),
    ],
    ids=str,
)
def test_every_value_can_be_reached_from_every_other_and_none_holds_fast(spec):
    """Small integers, and zero, would stay what they are if they were only multiplied."""
    rng = np.random.default_rng(1)
    for start in list(spec.grid())[:6]:
        assert len({explore(spec, start, rng) for _ in range(40)} - {start}) >= 2


class Steady:
    """A generator that never draws anew, and always takes the first factor or always the second."""

    def __init__(self, place):
        self.place = place

    def random(self):
        return 0.9

    def integers(self, count):
        return self.place


@pytest.mark.parametrize(
    ("spec", "value", "down", "up"),
    [
        (RATE, 0.01, 0.008, 0.012),
        (Float(name="f", min_value=-1.0, max_value=1.0), 0.0, -0.2, 0.2),
        (Int(name="i", min_value=0, max_value=9), 2, 1, 3),
        (Int(name="i", min_value=0, max_value=9), 9, 7, 9),
        (UNITS, 64, 48, 64),
        (Choice(name="c", options=(0.1, 0.001, 0.01)), 0.01, 0.001, 0.1),
        (Choice(name="c", options=(16, 32, 64)), 16, 16, 32),
        (Choice(name="c", options=("a", "b")), "a", "a", "a"),
    ],
    ids=str,
)
def test_a_value_that_is_not_drawn_anew_moves_a_fifth_or_to_the_next(spec, value, down, up):
    assert explore(spec, value, Steady(0)) == pytest.approx(down) if value != "a" else down
    assert explore(spec, value, Steady(1)) == pytest.approx(up) if value != "a" else up


def test_a_value_that_is_on_no_step_goes_to_one():
    for place in (0, 1):
        assert UNITS.contains(explore(UNITS, 13, Steady(place)))
