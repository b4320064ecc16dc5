"""What holds of every registered searcher: nothing twice, everything once, the same again."""

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline.search
from pipeline.search import SEARCHERS
from pipeline.search.searcher import Searcher, searcher_class
from pipeline.space.hyperparameters import HyperParameters


def layers(hp: HyperParameters) -> None:
    """2 + 4 + 8 = 14 configurations."""
    for i in range(hp.Int("layers", 1, 3, default=2)):
        hp.Choice(f"units_{i}", [16, 32], default=32)


def shallow(hp: HyperParameters) -> None:
    """2 + 4 = 6 configurations."""
    for i in range(hp.Int("layers", 1, 2)):
        hp.Choice(f"units_{i}", [16, 32])


def mixed(hp: HyperParameters) -> None:
    """Every kind, and a condition of Python's own and one of KerasTuner's."""
    for i in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{i}", 32, 512, step=32)
    hp.Float("rate", 1e-4, 1e-2, sampling="log", default=1e-3)
    hp.Choice("activation", ["relu", "tanh", "gelu"])
    hp.Choice("kernel", [3, 5, 7])
    hp.Fixed("version", 2)
    hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", "sgd"):
        hp.Float("momentum", 0.0, 0.9, step=0.1)
    if hp.Boolean("dropout"):
        hp.Float("dropout_rate", 0.1, 0.5)


def batch(hp: HyperParameters) -> None:
    hp.Choice("batch_size", [16, 32])


def score(values: dict[str, Any]) -> float:
    return float(
        sum(len(k) + (v if isinstance(v, int | float) else 3) for k, v in values.items()) % 7
    )


def identities(configurations: list[dict[str, Any]]) -> set[str]:
    return {json.dumps(c, sort_keys=True) for c in configurations}


# Nothing twice, everything once.


def test_a_small_space_is_exhausted_exactly(simulate: Callable[..., Any]) -> None:
    done = simulate(layers, score=score, trials=100).all()

    assert len(done) == 2 + 4 + 8
    assert len(identities(done)) == 14


def test_no_configuration_comes_twice(simulate: Callable[..., Any]) -> None:
    done = simulate(mixed, score=score, trials=25).all()

    assert len(done) == len(identities(done)) == 25


def test_no_configuration_comes_twice_while_all_run_at_once(simulate: Callable[..., Any]) -> None:
    sim = simulate(layers, trials=100)
    while sim.ask() is not None:
        pass

    assert len(sim.records) == 14
    assert len(identities([r.configuration for r in sim.records.values()])) == 14


def test_only_what_the_trial_will_request_is_proposed(simulate: Callable[..., Any]) -> None:
    sim = simulate(mixed, score=score, trials=12)
    while len(sim.records) < 12:
        trial = sim.ask()
        proposed = dict(sim.records[trial].configuration)

        assert sim.start(trial) == proposed
        sim.report(trial, 1, score(proposed))
        sim.end(trial)


def test_a_space_without_hyperparameters_is_tried_once(simulate: Callable[..., Any]) -> None:
    assert simulate(lambda hp: None).all() == [{}]


def test_an_exhausted_searcher_stays_exhausted(simulate: Callable[..., Any]) -> None:
    sim = simulate(layers, trials=100)
    sim.all()

    assert [sim.ask(), sim.ask()] == [None, None]


# A space without end is never exhausted.


def better_branch_is_finite(hp: HyperParameters) -> None:
    if hp.Choice("branch", ["a", "b"]) == "a":
        hp.Float("rate", 1e-4, 1e-1, sampling="log")
    else:
        hp.Choice("units", [8, 16, 32])


def rarely_endless(hp: HyperParameters) -> None:
    if hp.Int("place", 0, 39, default=5) == 0:
        hp.Float("rate", 0.0, 1.0)


@pytest.mark.parametrize("name", ["random", "hyperopt"])
@pytest.mark.parametrize("build", [better_branch_is_finite, rarely_endless])
def test_a_search_goes_on_in_the_branch_that_is_without_end(
    simulation: Any, name: str, build: Any
) -> None:
    sim = simulation(name, build, score=lambda values: float("rate" in values), trials=90)
    done = sim.all()
    rates = [values["rate"] for values in done if "rate" in values]

    assert len(done) == len(identities(done)) == 90
    assert len(set(rates)) == len(rates) >= 90 - 39
    assert sim.rebuilt().ask("next") == sim.searcher.ask("next") is not None


@pytest.mark.parametrize("name", ["random", "hyperopt"])
def test_a_value_without_end_that_only_fit_asks_for_keeps_a_search_going(
    simulation: Any, name: str
) -> None:
    done = simulation(name, shallow, lambda hp: hp.Float("rate", 0.0, 1.0), trials=40).all()

    assert len(done) == len(identities(done)) == 40


@pytest.mark.parametrize("name", ["random", "hyperopt"])
def test_integers_on_a_scale_without_steps_are_exhausted_exactly(
    simulation: Any, name: str
) -> None:
    def build(hp: HyperParameters) -> None:
        hp.Int("units", 1, 40, sampling="log")
        hp.Float("rate", 0.5, 0.5)

    done = simulation(name, build, trials=100).all()

    assert sorted(values["units"] for values in done) == list(range(1, 41))


def test_grid_keeps_to_ten_points_of_a_range(simulation: Any) -> None:
    assert len(simulation("grid", better_branch_is_finite, trials=100).all()) == 10 + 3


# What only `fit` asks for.


def test_names_that_only_fit_asks_for_enter_the_space(simulate: Callable[..., Any]) -> None:
    done = simulate(shallow, batch, score=score, trials=100).all()

    assert len(done) == len(identities(done)) == 6 * 2
    assert {c["batch_size"] for c in done} == {16, 32}


def test_a_proposal_covers_fit_once_a_trial_has_shown_it(simulate: Callable[..., Any]) -> None:
    sim = simulate(layers, batch, trials=100)
    before = sim.ask()
    sim.start(before)
    after = sim.ask()

    assert "batch_size" not in sim.records[before].configuration
    assert sim.records[after].configuration["batch_size"] in (16, 32)
    assert sim.start(after) == sim.records[after].configuration


def test_grid_repeats_nothing_though_trials_say_late_what_fit_asks_for(simulation: Any) -> None:
    sim = simulation("grid", layers, batch, trials=100)
    slow = [sim.ask() for _ in range(3)]
    quick = sim.ask()
    sim.start(quick)
    while sim.ask() is not None:
        pass
    for trial in sim.records:
        sim.start(trial)

    assert slow[0] in sim.records
    assert (
        len(sim.records) == len(identities([r.hyperparameters for r in sim.records.values()])) == 28
    )


def test_a_fit_that_asks_for_what_build_asked_for_adds_nothing(
    simulate: Callable[..., Any],
) -> None:
    done = simulate(shallow, lambda hp: hp.Int("layers", 1, 2), trials=100).all()

    assert len(done) == 6


# The first trial.


@pytest.mark.parametrize("name", ["random", "hyperopt"])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_first_trial_is_the_default(simulation: Any, name: str, seed: int) -> None:
    assert simulation(name, layers, seed=seed).next() == {"layers": 2, "units_0": 32, "units_1": 32}


def test_grid_begins_at_the_beginning(simulation: Any) -> None:
    done = simulation("grid", layers, trials=3).all()

    assert done == [
        {"layers": 1, "units_0": 16},
        {"layers": 1, "units_0": 32},
        {"layers": 2, "units_0": 16, "units_1": 16},
    ]


# The same again.


def test_the_same_seed_proposes_the_same(simulate: Callable[..., Any]) -> None:
    first, again = (simulate(mixed, batch, score=score, trials=15, seed=3).all() for _ in range(2))

    assert first == again


@pytest.mark.parametrize("name", ["random", "hyperopt"])
def test_another_seed_proposes_something_else(simulation: Any, name: str) -> None:
    first, other = (
        simulation(name, mixed, score=score, trials=10, seed=seed).all() for seed in (0, 1)
    )

    assert first[0] == other[0]  # the default
    assert first[1:] != other[1:]


def test_a_searcher_told_the_records_proposes_what_the_undisturbed_one_does(
    simulate: Callable[..., Any],
) -> None:
    sim = simulate(mixed, batch, score=score, trials=14)
    for number in range(14):
        rebuilt = sim.rebuilt()
        trial = f"t{number:04d}"
        expected = rebuilt.ask(trial)
        sim.next()

        assert sim.records[trial].configuration == expected


def test_so_does_one_of_a_search_with_trials_in_flight_and_failed(
    simulate: Callable[..., Any],
) -> None:
    sim = simulate(mixed, batch, score=score, trials=30)
    flight: list[str] = []
    for number in range(16):
        expected = sim.rebuilt().ask(f"t{number:04d}")
        trial = sim.ask()
        assert sim.records[trial].configuration == expected
        flight.append(trial)
        # the younger reports before the older: what a later trial asked for becomes known first
        if number % 2:
            for place, running in enumerate(reversed(flight[-3:])):
                sim.start(running)
                sim.report(running, 1, score(sim.records[running].hyperparameters))
                if place:
                    sim.end(running, failed=number % 3 == 0)
                    flight.remove(running)


def test_a_rebuilt_searcher_knows_what_a_trial_without_a_report_would_have_met(
    simulation: Any,
) -> None:
    sim = simulation("random", mixed, trials=14)
    for _ in range(5):
        sim.ask()
    assert any("dropout_rate" in r.configuration for r in sim.records.values())
    assert all(r.requested is None for r in sim.records.values())
    expected = sim.rebuilt().ask("t0005")

    assert sim.ask() == "t0005"
    assert sim.records["t0005"].configuration == expected


# The registry.


def test_the_registry_is_of_searchers() -> None:
    assert set(SEARCHERS) >= {"random", "grid", "hyperopt"}
    assert all(issubclass(searcher_class(name), Searcher) for name in SEARCHERS)


def test_every_searcher_of_the_package_is_registered() -> None:
    folder = Path(str(pipeline.search.__file__)).parent
    for file in folder.glob("*.py"):
        importlib.import_module(f"pipeline.search.{file.stem}")

    registered = {searcher_class(name) for name in SEARCHERS}
    ours = {c for c in Searcher.__subclasses__() if c.__module__.startswith("pipeline.")}
    assert registered == ours


def test_searchers_load_neither_ray_nor_keras() -> None:
    engines = {"ray", "keras", "tensorflow", "jax", "torch"}
    code = f"import sys, pipeline.search; print(sorted({engines} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.strip() == "[]"
