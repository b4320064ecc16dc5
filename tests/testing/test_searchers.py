"""The conformance checks of searchers find what breaks each of their promises."""

import itertools
from typing import Any

import pytest

from pipeline.search.random import Random
from pipeline.search.searcher import Searcher
from pipeline.space.configuration import Configuration
from pipeline.testing import searchers


def test_one_method_makes_a_searcher_that_conforms() -> None:
    class Middle(Searcher):
        def propose(self, number: int, attempt: int) -> Configuration:
            return {name: spec.from_unit(0.5) for name, spec in self.known.items()}

    searchers.check_searcher(Middle)


def test_every_check_is_among_those_that_are_carried_out() -> None:
    assert set(searchers.CHECKS) == {
        check
        for name, check in vars(searchers).items()
        if name.startswith("check_") and check is not searchers.check_searcher
    }


class Forgetful(Random):
    """Takes nothing for tried."""

    def choose(self, number: int, tried: Any) -> Configuration | None:
        return self.space.follow(self.propose(number % 3, 0), 0)


class Stateful(Random):
    """Proposes by a counter that no record holds."""

    counter = itertools.count()

    def propose(self, number: int, attempt: int) -> Configuration:
        return self.random(next(self.counter), attempt)


class Padding(Random):
    """Proposes values that nobody requests."""

    def choose(self, number: int, tried: Any) -> Configuration | None:
        chosen = super().choose(number, tried)
        return None if chosen is None else chosen | {"unasked": 1}


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Forgetful, searchers.check_no_configuration_comes_twice),
        (Forgetful, searchers.check_no_configuration_comes_twice_while_all_run_at_once),
        (Stateful, searchers.check_the_same_seed_proposes_the_same),
        (
            Stateful,
            searchers.check_a_searcher_told_the_records_proposes_what_the_undisturbed_one_does,
        ),
        (Padding, searchers.check_only_what_the_trial_will_request_is_proposed),
    ],
)
def test_a_searcher_that_breaks_a_promise_is_found(kind: Any, check: Any) -> None:
    with pytest.raises(AssertionError):
        check(kind)
