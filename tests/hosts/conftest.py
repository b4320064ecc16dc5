"""Hosts for a test; they end with it."""

import pytest

from tests.hosts import machines


@pytest.fixture
def make_hosts():
    if reason := machines.missing():
        pytest.skip(reason)
    made = []

    def make(*names, **settings):
        made.append(machines.Hosts(*names, **settings))
        return made[-1]

    yield make
    for hosts in made:
        hosts.end()
