"""What counts as tried: equal proposals, and whatever holds all that a trial has told."""

import json
from typing import Any

import pytest

from pipeline.search.tried import TriedConfigurations
from pipeline.space.configuration import identity
from pipeline.space.hyperparameters import HyperParameters


def nothing(hp: HyperParameters) -> None:
    pass


def two(hp: HyperParameters) -> None:
    hp.Boolean("wide")


def nested(hp: HyperParameters) -> None:
    """`fit` of 1 + 2 x 3 configurations, where the product has 12."""
    if hp.Boolean("a"):
        hp.Choice("b", ["x", "y"])
        hp.Choice("c", [1, 2, 3])


def scoped(hp: HyperParameters) -> None:
    """The same, with the condition said in KerasTuner's way."""
    hp.Boolean("a")
    with hp.conditional_scope("a", True):
        hp.Choice("b", ["x", "y"])
        hp.Choice("c", [1, 2, 3])


def crossed(hp: HyperParameters) -> None:
    """Asks for "rate" where its `fit`, `crossed_fit`, does not."""
    if hp.Boolean("inner"):
        hp.Choice("rate", [1, 2])


def crossed_fit(hp: HyperParameters) -> None:
    hp.Choice("rate", [1, 2])


def configurations(sim: Any) -> list[str]:
    """Of the trials that count."""
    return [
        json.dumps(r.hyperparameters, sort_keys=True)
        for r in sim.records.values()
        if r.status != "duplicate"
    ]


def test_a_proposal_is_tried_once_it_was_made() -> None:
    tried = TriedConfigurations(set())
    tried.propose(identity({"units": 8}))
    assert {"units": 8} in tried
    assert {"units": 16} not in tried and {"units": 8, "rate": 1} not in tried


def test_a_trial_speaks_for_every_proposal_that_holds_what_it_told() -> None:
    tried = TriedConfigurations({"a", "b"})
    tried.tell(tried.split({"units": 8, "a": False}))
    assert {"units": 8, "a": False, "b": "x"} in tried and {
        "units": 8,
        "a": False,
        "b": "y",
    } in tried
    assert {"units": 8, "a": True, "b": "x"} not in tried and {
        "units": 16,
        "a": False,
        "b": "x",
    } not in tried


@pytest.mark.parametrize("fit", [nested, scoped])
@pytest.mark.parametrize(("build", "count"), [(nothing, 7), (two, 14)])
def test_what_fit_asks_for_under_a_condition_is_exhausted_exactly(
    simulate: Any, build: Any, fit: Any, count: int
) -> None:
    sim = simulate(build, fit, trials=100)
    sim.all()
    assert len(configurations(sim)) == len(set(configurations(sim))) == count


def test_one_at_a_time_nothing_is_started_that_is_known_to_be_a_duplicate(simulate: Any) -> None:
    # One a branch may be: nobody knows before a trial tells that with a=False there is no b.
    sim = simulate(nothing, nested, trials=100)
    sim.all()
    assert len(sim.records) == 7


def test_with_many_at_once_the_space_is_exhausted_too_and_duplicates_are_remembered(
    simulate: Any,
) -> None:
    sim = simulate(two, nested, trials=100)
    sim.next()
    for _ in range(40):
        flight = [trial for _ in range(6) if (trial := sim.ask()) is not None]
        if not flight:
            break
        for trial in flight:
            sim.start(trial)
            if sim.records[trial].status == "running":
                sim.end(trial)
    assert len(configurations(sim)) == len(set(configurations(sim))) == 14
    proposed = [identity(r.configuration) for r in sim.records.values()]
    assert len(proposed) == len(set(proposed))
    assert sim.rebuilt().ask("next") is None


def test_a_name_that_build_asks_for_in_one_branch_and_fit_in_the_other_is_walked_in_both(
    simulate: Any,
) -> None:
    sim = simulate(crossed, crossed_fit, trials=100)
    sim.all()
    assert len(configurations(sim)) == len(set(configurations(sim))) == 4


def test_a_duplicate_names_the_trial_that_told_first(simulation: Any) -> None:
    sim = simulation("random", two, lambda hp: hp.Fixed("late", 1))
    first, second = sim.ask(), sim.ask()
    told = [(spec, True) for spec, _ in sim.searcher.space.trace({"wide": True}, 0)]
    sim.searcher.tell_requested(second, told, 1)
    assert sim.searcher.equal_of(first, told) == second
    # it has told it itself, perhaps in an earlier process
    assert sim.searcher.equal_of(second, told) is None
    sim.searcher.tell_end(second, failed=True)
    assert sim.searcher.equal_of(first, told) is None  # what failed there may work here


def test_a_trial_whose_fit_asks_for_more_later_is_equal_to_none_that_does_not(
    simulation: Any,
) -> None:
    sim = simulation("random", two)
    first, second = sim.ask(), sim.ask()
    by_build = [(spec, True) for spec, _ in sim.searcher.space.trace({"wide": True}, 0)]
    hp = HyperParameters({})
    hp.Fixed("late", 1)
    sim.searcher.tell_requested(first, by_build, 1)
    sim.searcher.tell_requested(first, by_build + hp.requested, 1)
    assert sim.searcher.equal_of(second, by_build) is None
    assert sim.searcher.equal_of(second, by_build + hp.requested) == first


def test_tpe_learns_nothing_from_a_duplicate(simulation: Any) -> None:
    sim = simulation("hyperopt", two, nested)
    sim.next()
    trial = sim.ask()
    sim.searcher.tell_duplicate(trial, [], 0)
    assert list(sim.searcher._comparable()) == [0]
