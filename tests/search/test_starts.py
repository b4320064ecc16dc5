"""Configurations to be tried first: what is refused, what is filled in, and how each searcher goes
on from them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.errors import RequestError
from pipeline.objective import Objective
from pipeline.search.bookkeeping import Observation
from pipeline.search.starts import observations, settled
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Value
from pipeline.space.starts import EarlierTrial, Starts

LOSS = Objective("val_loss", "min")


def layers(hp: HyperParameters) -> None:
    for i in range(hp.Int("layers", 1, 4)):
        hp.Int(f"units_{i}", 8, 64, step=8, default=32)
    hp.Float("rate", 1e-4, 1e-1, sampling="log", default=1e-2)
    if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
        hp.Boolean("nesterov", default=True)


def fit(hp: HyperParameters) -> None:
    hp.Choice("batch_size", [16, 32], default=32)


def starts_of(*configurations: dict[str, Any]) -> Starts:
    return Starts("mine.json", list(configurations))


@pytest.fixture
def settle(simulation: Any) -> Any:
    """Settle configurations on the space above."""

    def settle(*configurations: dict[str, Any]) -> list[dict[str, Value]]:
        hp = HyperParameters({})
        layers(hp)
        fit(hp)
        return settled(
            starts_of(*configurations),
            hp.requested,
            simulation("random", layers).searcher.space.trace,
        )

    return settle


# What a start becomes.


def test_what_a_start_leaves_out_is_filled_with_defaults(settle: Any) -> None:
    assert settle({"layers": 2, "units_1": 8}) == [
        {
            "layers": 2,
            "units_0": 32,
            "units_1": 8,
            "rate": 1e-2,
            "optimizer": "adam",
            "batch_size": 32,
        }
    ]


def test_a_start_may_say_what_only_fit_asks_for(settle: Any) -> None:
    (start,) = settle({"batch_size": 16})
    assert start["batch_size"] == 16


def test_a_known_name_that_this_start_does_not_use_is_left_out(settle: Any) -> None:
    # units_3 and nesterov are asked for by neither this start's model nor the default one.
    (start,) = settle({"layers": 1, "units_3": 16, "nesterov": False})
    assert start == {
        "layers": 1,
        "units_0": 32,
        "rate": 1e-2,
        "optimizer": "adam",
        "batch_size": 32,
    }


def test_the_same_start_twice_is_one(settle: Any) -> None:
    assert len(settle({}, {"layers": 1}, {"units_2": 8}, {"rate": 1e-2}, {"layers": 2})) == 2


def test_a_whole_number_for_a_real_one_is_recorded_as_trials_request_it(simulation: Any) -> None:
    def build(hp: HyperParameters) -> None:
        hp.Float("momentum", 0, 1)

    trace = simulation("random", build).searcher.space.trace
    starts = settled(starts_of({"momentum": 1}, {"momentum": 1.0}), trace({}, "default"), trace)
    assert json.dumps(starts) == '[{"momentum": 1.0}]'


def test_a_default_off_its_own_steps_is_possible(simulation: Any) -> None:
    def build(hp: HyperParameters) -> None:
        hp.Int("units", 32, 64, step=32, default=50)

    trace = simulation("random", build).searcher.space.trace
    assert settled(starts_of({"units": 50}), trace({}, "default"), trace) == [{"units": 50}]


# What is refused.


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            {"unitz_0": 8},
            r"Unknown hyperparameter 'unitz_0'. Known: .*units_3.*Did you mean 'units_0'\?",
        ),
        (
            {"units_0": 12},
            "Configuration 1: 'units_0' must be one of 8, 16, 24, 32, 40, 48, 56, 64; got 12.",
        ),
        ({"units_0": 8.0}, "Configuration 1: 'units_0' must be one of .*; got 8.0."),
        (
            {"optimizer": "lion"},
            "Configuration 1: 'optimizer' must be one of 'adam', 'sgd'; got 'lion'.",
        ),
        ({"rate": 0.5}, "Configuration 1: 'rate' must be a number from 0.0001 to 0.1; got 0.5."),
        (
            {"rate": 10**400},
            r"Configuration 1: 'rate' must be a number from 0.0001 to 0.1; got 10+\.\.\.0+.",
        ),
        (
            {"rate": "high"},
            "Configuration 1: 'rate' must be a number from 0.0001 to 0.1; got 'high'.",
        ),
        ({"batch_size": 64}, "Configuration 1: 'batch_size' must be one of 16, 32; got 64."),
        (
            {"optimizer": "sgd", "nesterov": 1},
            "Configuration 1: 'nesterov' must be one of True, False; got 1.",
        ),
        ({"layers": [2]}, r"Configuration 1: 'layers' must be one of 1, 2, 3, 4; got \[2\]."),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    settle: Any, start: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=f"^mine.json: {message}$") as raised:
        settle(start)
    assert "\n" not in str(raised.value)


def test_all_faults_are_told_at_once(settle: Any) -> None:
    with pytest.raises(RequestError) as raised:
        settle({"depth": 1}, {"width": 2, "rate": 2.0, "layers": 9})
    for part in (
        "Unknown hyperparameters 'depth', 'width'. Known: batch_size, ",
        "Configuration 2: 'rate'",
        "Configuration 2: 'layers'",
    ):
        assert part in str(raised.value)


def test_of_many_faults_the_first_are_told(settle: Any) -> None:
    with pytest.raises(RequestError) as raised:
        settle(
            {str(number): 0 for number in range(100)},
            *({"layers": number} for number in range(5, 105)),
        )
    assert "and 88 more. Known: " in str(raised.value) and str(raised.value).endswith(
        " And 89 more."
    )


# How a search goes on.

TWO: list[dict[str, Any]] = [
    {"layers": 1, "units_0": 8},
    {"layers": 2, "units_0": 64, "units_1": 64},
]


def small(hp: HyperParameters) -> None:
    for i in range(hp.Int("layers", 1, 2)):
        hp.Choice(f"units_{i}", [8, 32, 64], default=32)


def test_starts_come_first_in_their_order_and_the_default_only_if_asked(simulate: Any) -> None:
    sim = simulate(small, starts=TWO, trials=3)
    done = sim.all()
    assert done[:2] == TWO
    assert done[2] not in TWO


@pytest.mark.parametrize("name", ["random", "hyperopt"])
def test_a_search_with_starts_does_not_try_the_default_by_itself(
    simulation: Any, name: str
) -> None:
    third = [simulation(name, small, starts=TWO, trials=3, seed=seed).all()[2] for seed in range(8)]
    assert len({json.dumps(c) for c in third}) > 1


def test_with_starts_the_space_is_still_exhausted_exactly(simulate: Any) -> None:
    done = simulate(small, starts=TWO, trials=99).all()
    assert len(done) == len({json.dumps(c, sort_keys=True) for c in done}) == 3 + 9


def test_a_start_is_filled_by_the_defaults_of_fit_too(simulate: Any) -> None:
    sim = simulate(small, fit, starts=TWO, trials=2)
    assert [values["batch_size"] for values in sim.all()] == [32, 32]


def test_a_searcher_told_the_records_goes_on_as_the_undisturbed_one_does(simulate: Any) -> None:
    earlier = [
        Observation({"layers": 1, "units_0": 8}, {1: i / 9}, ended=True, told=True)
        for i in range(3)
    ]
    sim = simulate(small, fit, starts=TWO, earlier=earlier, score=lambda v: v["units_0"], trials=9)
    for _ in range(9):
        expected = sim.rebuilt().ask("next")
        trial = sim.ask()
        assert sim.records[trial].configuration == expected
        sim.report(trial, 1, sim.start(trial)["units_0"])
        sim.end(trial)


# What TPE learns from an earlier run.


def one(hp: HyperParameters) -> None:
    hp.Float("x", 0.0, 1.0)


def results(*values: float) -> Starts:
    """Of a run whose loss was 0 at x = 0.8."""
    return Starts(
        "runs/old",
        [{"x": 0.5}],
        "val_loss:min",
        [EarlierTrial({"x": x}, {1: abs(x - 0.8)}, False) for x in values],
    )


def test_tpe_begins_where_an_earlier_run_ended(simulation: Any) -> None:
    earlier = observations(results(*(i / 20 for i in range(20))), LOSS)
    distances = {}
    for name, told in (("with", earlier), ("without", [])):
        sims = [
            simulation("hyperopt", one, starts=[{"x": 0.5}], earlier=told, trials=6, seed=s)
            for s in range(10)
        ]
        distances[name] = sorted(abs(values["x"] - 0.8) for sim in sims for values in sim.all()[1:])
    assert distances["with"][25] < distances["without"][25] / 2  # medians


def test_runs_of_different_lengths_are_compared_where_both_have_been(simulation: Any) -> None:
    def seen(*curve: float) -> Observation:
        return Observation({}, dict(enumerate(curve, start=1)), ended=True, told=True)

    long, short = (
        [seen(0.9, 0.3 + i / 10, 0.1, 0.1) for i in range(6)],
        [seen(0.9, 0.35 + i / 10) for i in range(6)],
    )
    for earlier, own in ((long, short), (short, long)):
        losses = simulation("hyperopt", one, earlier=earlier).searcher.ranked([*earlier, *own])
        by_curve = {id(o): loss for o, loss in zip([*earlier, *own], losses, strict=True)}
        in_turn = [by_curve[id(o)] for pair in zip(long, short, strict=True) for o in pair]
        assert in_turn == sorted(in_turn) and len(set(in_turn)) == 12


def test_other_searchers_ignore_an_earlier_runs_results(simulation: Any) -> None:
    earlier = observations(results(*(i / 20 for i in range(20))), LOSS)
    for name in ("random", "grid"):
        told, untold = (
            simulation(name, one, earlier=given, trials=5).all() for given in (earlier, [])
        )
        assert told == untold


def test_what_was_tried_in_an_earlier_run_may_be_tried_again(simulation: Any) -> None:
    earlier = [
        Observation({"layers": 1, "units_0": u}, {1: float(u)}, ended=True, told=True)
        for u in (8, 32, 64)
    ] * 3
    assert len(simulation("hyperopt", small, earlier=earlier, trials=99).all()) == 12


def test_failed_and_diverged_trials_of_an_earlier_run_are_finite_and_bad() -> None:
    trials = [
        EarlierTrial({"x": 0.1}, {}, True),
        EarlierTrial({"x": 0.2}, {1: 0.5, 2: None}, False),
    ]
    failed, diverged = observations(Starts("runs/old", [{}], "val_loss:min", trials), LOSS)
    assert failed.failed and failed.ended and not failed.curve
    assert diverged.curve == {1: 0.5, 2: LOSS.worst}


def test_results_of_another_objective_are_refused() -> None:
    with pytest.raises(
        RequestError, match="runs/old has val_loss:min, and this search val_accuracy:max.$"
    ):
        observations(results(0.5), Objective("val_accuracy", "max"))


def test_configurations_of_a_file_have_no_objective_to_differ() -> None:
    assert observations(starts_of({"x": 0.5}), LOSS) == []
