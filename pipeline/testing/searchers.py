"""Conformance of a searcher: nothing twice, everything once, the same again.

    from pipeline.testing import searchers

    @pytest.mark.parametrize("check", searchers.CHECKS)
    def test_searcher(check):
        check(MySearcher)

Searches are simulated: no Ray and no Keras runs.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.search.searcher import Searcher
from pipeline.space.hyperparameters import HyperParameters
from pipeline.testing.searcher_simulation import SearcherSimulation


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
    """A `fit` that asks for its batch size."""
    hp.Choice("batch_size", [16, 32])


def score(values: Mapping[str, Any]) -> float:
    """An objective without a shape that a searcher could count on."""
    return float(
        sum(len(k) + (v if isinstance(v, int | float) else 3) for k, v in values.items()) % 7
    )


def check_searcher(kind: type[Searcher]) -> None:
    """Check all of it."""
    for check in CHECKS:
        check(kind)


def check_a_small_space_is_exhausted_exactly(kind: type[Searcher]) -> None:
    """Each configuration of a space comes once."""
    done = SearcherSimulation(kind, layers, score=score, trials=100).all()

    assert len(done) == 2 + 4 + 8, f"{len(done)} trials in a space of 14 configurations"
    assert _distinct(done) == 14, f"{_distinct(done)} of 14 configurations came"


def check_no_configuration_comes_twice(kind: type[Searcher]) -> None:
    """No configuration of a large space comes twice."""
    done = SearcherSimulation(kind, mixed, score=score, trials=25).all()

    assert len(done) == _distinct(done) == 25, f"{_distinct(done)} in {len(done)} trials"


def check_no_configuration_comes_twice_while_all_run_at_once(kind: type[Searcher]) -> None:
    """What was proposed counts as tried before its trial has told anything."""
    sim = SearcherSimulation(kind, layers, trials=100)
    while len(sim.records) < 100 and sim.ask() is not None:
        pass

    proposed = _distinct(r.configuration for r in sim.records.values())
    assert len(sim.records) == proposed == 14, f"{proposed} of 14 in {len(sim.records)} trials"


def check_only_what_the_trial_will_request_is_proposed(kind: type[Searcher]) -> None:
    """A configuration holds no value that its conditions rule out, and lacks none."""
    sim = SearcherSimulation(kind, mixed, score=score, trials=12)
    while len(sim.records) < 12:
        trial = _asked(sim)
        proposed = dict(sim.records[trial].configuration)
        requested = sim.start(trial)

        assert requested == proposed, f"proposed {proposed}, and {requested} was requested"
        sim.report(trial, 1, score(proposed))
        sim.end(trial)


def check_a_space_without_hyperparameters_is_tried_once(kind: type[Searcher]) -> None:
    """There is one configuration, which is empty."""
    assert SearcherSimulation(kind, lambda hp: None).all() == [{}]


def check_an_exhausted_searcher_stays_exhausted(kind: type[Searcher]) -> None:
    """It may be asked again."""
    sim = SearcherSimulation(kind, layers, trials=100)
    sim.all()

    assert [sim.ask(), sim.ask()] == [None, None]


def check_names_that_only_fit_asks_for_enter_the_space(kind: type[Searcher]) -> None:
    """They are tuned like those of `build`."""
    done = SearcherSimulation(kind, shallow, batch, score=score, trials=100).all()

    assert len(done) == _distinct(done) == 6 * 2, f"{_distinct(done)} in {len(done)} trials"
    assert {c["batch_size"] for c in done} == {16, 32}


def check_a_proposal_covers_fit_once_a_trial_has_shown_it(kind: type[Searcher]) -> None:
    """Before, the trial settles by itself what nobody has met."""
    sim = SearcherSimulation(kind, layers, batch, trials=100)
    before = _asked(sim)
    sim.start(before)
    after = _asked(sim)

    assert "batch_size" not in sim.records[before].configuration
    assert sim.records[after].configuration["batch_size"] in (16, 32)
    assert sim.start(after) == sim.records[after].configuration


def check_a_fit_that_asks_for_what_build_asked_for_adds_nothing(kind: type[Searcher]) -> None:
    """One name is one hyperparameter."""
    done = SearcherSimulation(kind, shallow, lambda hp: hp.Int("layers", 1, 2), trials=100).all()

    assert len(done) == 6, f"{len(done)} trials in a space of 6 configurations"


def check_the_same_seed_proposes_the_same(kind: type[Searcher]) -> None:
    """A search can be repeated."""
    first, again = (
        SearcherSimulation(kind, mixed, batch, score=score, trials=15, seed=3).all()
        for _ in range(2)
    )

    assert first == again


def check_a_searcher_told_the_records_proposes_what_the_undisturbed_one_does(
    kind: type[Searcher],
) -> None:
    """A resume goes on as the search would have."""
    sim = SearcherSimulation(kind, mixed, batch, score=score, trials=14)
    for number in range(14):
        trial = f"t{number:04d}"
        expected = sim.rebuilt().ask(trial)
        sim.next()

        assert sim.records[trial].configuration == expected, f"{trial} differs"


def check_so_does_one_of_a_search_with_trials_in_flight_and_failed(kind: type[Searcher]) -> None:
    """The same where trials run at once, report out of order, and fail."""
    sim = SearcherSimulation(kind, mixed, batch, score=score, trials=30)
    flight: list[str] = []
    for number in range(16):
        expected = sim.rebuilt().ask(f"t{number:04d}")
        trial = _asked(sim)
        assert sim.records[trial].configuration == expected, f"{trial} differs"
        flight.append(trial)
        # the younger reports before the older: what a later trial asked for becomes known first
        if number % 2:
            for place, running in enumerate(reversed(flight[-3:])):
                sim.start(running)
                sim.report(running, 1, score(sim.records[running].hyperparameters))
                if place:
                    sim.end(running, failed=number % 3 == 0)
                    flight.remove(running)


CHECKS: tuple[Callable[[type[Searcher]], None], ...] = (
    check_a_small_space_is_exhausted_exactly,
    check_no_configuration_comes_twice,
    check_no_configuration_comes_twice_while_all_run_at_once,
    check_only_what_the_trial_will_request_is_proposed,
    check_a_space_without_hyperparameters_is_tried_once,
    check_an_exhausted_searcher_stays_exhausted,
    check_names_that_only_fit_asks_for_enter_the_space,
    check_a_proposal_covers_fit_once_a_trial_has_shown_it,
    check_a_fit_that_asks_for_what_build_asked_for_adds_nothing,
    check_the_same_seed_proposes_the_same,
    check_a_searcher_told_the_records_proposes_what_the_undisturbed_one_does,
    check_so_does_one_of_a_search_with_trials_in_flight_and_failed,
)


def _distinct(configurations: Iterable[dict[str, Any]]) -> int:
    return len({json.dumps(c, sort_keys=True) for c in configurations})


def _asked(sim: SearcherSimulation) -> str:
    trial = sim.ask()
    assert trial is not None, "nothing is proposed, though there is more to try"
    return trial
