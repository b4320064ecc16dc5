"""Simulated searches of the searchers that there are."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.search import SEARCHERS
from pipeline.search.searcher import searcher_class
from pipeline.testing.searcher_simulation import SearcherSimulation


def simulated(name: str, *arguments: Any, **settings: Any) -> SearcherSimulation:
    return SearcherSimulation(searcher_class(name), *arguments, **settings)


@pytest.fixture
def simulation() -> Callable[..., SearcherSimulation]:
    """Make a simulation of a named searcher, for tests that make several."""
    return simulated


@pytest.fixture(params=sorted(SEARCHERS))
def simulate(request: pytest.FixtureRequest) -> Callable[..., SearcherSimulation]:
    """Make a simulation of each registered searcher in turn."""
    return lambda *args, **settings: simulated(request.param, *args, **settings)
