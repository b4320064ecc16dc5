"""TPE: when it is consulted, that it learns, and how it ranks trials that went differently far."""

import math
from typing import Any

import hyperopt.tpe
import numpy as np
import pytest

from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.search.bookkeeping import Observation
from pipeline.search.hyperopt import HyperOpt
from pipeline.space.hyperparameters import HyperParameters, Requested

LOSS, ACCURACY = Objective("val_loss", "min"), Objective("val_accuracy", "max")


def searcher(trials: int = 20, objective: Objective = LOSS) -> HyperOpt:
    def nothing(proposal: Any, fill: Any) -> Requested:
        return []

    return HyperOpt(seed=0, objective=objective, trials=trials, trace=nothing)


def seen(*curve: float, failed: bool = False) -> Observation:
    """An ended trial that reported `curve`, from its first epoch on."""
    return Observation({}, dict(enumerate(curve, start=1)), ended=True, failed=failed)


def order(ended: list[Observation], objective: Objective = LOSS) -> list[int]:
    """Places of the trials from best to worst."""
    losses = searcher(objective=objective).ranked(ended)
    assert len(set(losses)) == len(losses), "some were not told apart"
    return sorted(range(len(losses)), key=losses.__getitem__)


def quadratic(hp: HyperParameters) -> None:
    hp.Float("x", -1.0, 1.0)
    hp.Float("rate", 1e-5, 1e-1, sampling="log")


def bowl(values: Any) -> float:
    """Smallest, 0, at x = 0.3 and rate = 1e-2."""
    return float((values["x"] - 0.3) ** 2 + (math.log10(values["rate"]) + 2) ** 2 / 4)


# When it is consulted.


@pytest.mark.parametrize(
    ("trials", "start"),
    [(1, 5), (19, 5), (20, 5), (24, 6), (40, 10), (80, 20), (84, 20), (1000, 20)],
)
def test_the_random_start_is_a_quarter_of_the_trials_within_limits(trials: int, start: int) -> None:
    assert searcher(trials).random_start == start


def test_the_default_search_consults_hyperopt(
    simulation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = hyperopt.tpe.suggest, []

    def spy(*args: Any, **kwargs: Any) -> Any:
        calls.append(len(args[2].trials))
        return real(*args, **kwargs)

    monkeypatch.setattr(hyperopt.tpe, "suggest", spy)
    default = Experiment(dataset="mnist")
    assert default.searcher == "hyperopt"
    simulation("hyperopt", quadratic, score=bowl, trials=default.trials).all()

    assert calls == list(range(5, default.trials))  # with every trial that had ended by then


def test_after_the_random_start_proposals_are_not_the_random_ones(simulation: Any) -> None:
    learnt, drawn = (
        simulation(name, quadratic, score=bowl, trials=20).all() for name in ("hyperopt", "random")
    )

    assert learnt[:5] == drawn[:5]
    assert all(a != b for a, b in zip(learnt[5:], drawn[5:], strict=True))


def test_trials_that_still_run_do_not_count_for_the_random_start(simulation: Any) -> None:
    learnt, drawn = (simulation(name, quadratic, trials=20) for name in ("hyperopt", "random"))
    for _ in range(12):
        for sim in (learnt, drawn):
            sim.start(sim.ask())

    assert [r.configuration for r in learnt.records.values()] == [
        r.configuration for r in drawn.records.values()
    ]


# That it learns.


def test_it_finds_better_values_than_random_search(simulation: Any) -> None:
    def costs(name: str) -> Any:
        """(12 seeds, 30 trials)"""
        searches = [
            simulation(name, quadratic, score=bowl, trials=30, seed=seed).all()
            for seed in range(12)
        ]
        return np.array([[bowl(values) for values in done] for done in searches])

    learnt, drawn = costs("hyperopt"), costs("random")

    # In four sets of twelve seeds: 0.21 to 0.29 of random's cost in the second half, 0.28 to 0.59
    # at the best trial.
    assert np.median(learnt[:, 15:]) < 0.5 * np.median(drawn[:, 15:])
    assert np.median(learnt.min(axis=1)) < np.median(drawn.min(axis=1))


def test_it_prefers_the_better_of_choices_without_an_order(simulation: Any) -> None:
    def build(hp: HyperParameters) -> None:
        hp.Choice("optimizer", ["adam", "sgd", "rmsprop", "lion"])
        hp.Boolean("flip")
        hp.Choice("only", ["one"])
        hp.Float("noise", 0, 1)

    def cost(values: Any) -> float:
        return float(
            (values["optimizer"] != "rmsprop") + (not values["flip"]) + values["noise"] / 10
        )

    late = [
        v
        for seed in range(3)
        for v in simulation("hyperopt", build, score=cost, trials=40, seed=seed).all()[20:]
    ]

    # By chance an eighth would be both.
    assert sum(v["optimizer"] == "rmsprop" and v["flip"] for v in late) > len(late) / 3


def test_a_maximised_objective_is_maximised(simulation: Any) -> None:
    settings: dict[str, Any] = {"trials": 30, "seed": 4}
    up = simulation(
        "hyperopt", quadratic, score=lambda v: 1 - bowl(v), objective="val_accuracy", **settings
    ).all()
    down = simulation("hyperopt", quadratic, score=bowl, objective="val_loss", **settings).all()

    assert up == down


def test_running_trials_are_ignored(simulation: Any) -> None:
    quiet, busy = (simulation("hyperopt", quadratic, score=bowl, trials=40) for _ in range(2))
    for _ in range(12):
        quiet.next()
        busy.next()
    for sim in (quiet, busy):
        sim.start(sim.ask())
    busy.report("t0012", 1, -100.0)  # however good, it is not over

    assert quiet.ask() == busy.ask()
    assert quiet.records["t0013"].configuration == busy.records["t0013"].configuration


def test_a_value_that_is_out_of_bounds_now_is_left_out_of_what_is_learnt(simulation: Any) -> None:
    def build(hp: HyperParameters) -> None:
        hp.Int("units", 32, 64, step=32, default=50)  # as KerasTuner allows
        hp.Float("x", 0.0, 1.0, step=0.1, default=0.1 + 0.2)
        hp.Float("y", 0.0, 1.0)

    assert len(simulation("hyperopt", build, score=lambda v: v["y"], trials=12).all()) == 12


# How trials are ranked.


def test_trials_that_went_equally_far_are_ranked_by_their_best_epoch() -> None:
    assert order([seen(0.5, 0.4), seen(0.1, 0.9), seen(0.6, 0.3)]) == [1, 2, 0]


def test_a_trial_stopped_early_ranks_below_those_that_went_on() -> None:
    stopped = seen(0.01)  # better than any of the others, and yet the scheduler stopped it
    others = [seen(0.5, 0.4, 0.3 + i / 100) for i in range(5)]

    assert order([stopped, *others])[-1] == 0


def test_stopped_trials_are_ranked_by_the_epoch_they_reached_then_by_value() -> None:
    full = [seen(0.5, 0.4, 0.3, 0.2 + i / 100) for i in range(5)]
    ended = [seen(0.1), seen(0.9, 0.8), seen(0.7, 0.6), seen(0.2), *full]

    assert order(ended)[5:] == [2, 1, 0, 3]


def test_failures_come_last_and_are_all_alike() -> None:
    losses = searcher().ranked(
        [seen(0.1, failed=True), seen(0.9), seen(failed=True), seen(), seen(0.5)]
    )

    assert losses[4] < losses[1] < losses[0]
    assert losses[0] == losses[2] == losses[3]


def test_trials_with_the_same_result_rank_the_same() -> None:
    losses = searcher().ranked([seen(0.5), seen(0.3), seen(0.5)])

    assert losses[0] == losses[2] > losses[1]


def test_trials_are_compared_at_the_epoch_that_enough_of_them_reached() -> None:
    # Five reached epoch 2, one alone epoch 4: there is nothing to hold its later epochs against.
    alone = seen(0.9, 0.8, 0.1, 0.05)
    others = [seen(0.9, 0.30 + i / 100) for i in range(4)]

    assert order([alone, *others]) == [1, 2, 3, 4, 0]


def test_with_few_trials_they_are_compared_at_the_epoch_that_all_reached() -> None:
    assert order([seen(0.5), seen(0.6, 0.1), seen(0.4, 0.9)]) == [2, 0, 1]


def test_the_ranking_is_the_same_for_a_minimum_and_a_maximum() -> None:
    rng = np.random.default_rng(0)
    curves = [list(rng.normal(size=rng.integers(0, 5))) for _ in range(20)]
    failed = [bool(rng.random() < 0.2) for _ in curves]
    low = [seen(*curve, failed=f) for curve, f in zip(curves, failed, strict=True)]
    high = [seen(*(-v for v in curve), failed=f) for curve, f in zip(curves, failed, strict=True)]

    assert searcher(objective=LOSS).ranked(low) == searcher(objective=ACCURACY).ranked(high)


def test_only_failures_can_be_ranked() -> None:
    assert searcher().ranked([seen(failed=True), seen(failed=True)]) == [0.0, 0.0]
