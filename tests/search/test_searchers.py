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
from pipeline.testing import searchers
from pipeline.testing.searchers import batch, layers, mixed, score, shallow


def identities(configurations: list[dict[str, Any]]) -> set[str]:
    return {json.dumps(c, sort_keys=True) for c in configurations}


@pytest.mark.parametrize("check", searchers.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_every_searcher_conforms(name: str, check: Callable[..., None]) -> None:
    check(searcher_class(name))


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


@pytest.mark.parametrize("name", ["random", "hyperopt"])
def test_another_seed_proposes_something_else(simulation: Any, name: str) -> None:
    first, other = (
        simulation(name, mixed, score=score, trials=10, seed=seed).all() for seed in (0, 1)
    )

    assert first[0] == other[0]  # the default
    assert first[1:] != other[1:]


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
