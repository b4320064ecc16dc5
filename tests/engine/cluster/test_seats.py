"""How many trials share a process, and whether they may, before there are models."""

import pytest

from pipeline import Experiment
from pipeline.engine.cluster.seats import may_share, seats_of
from pipeline.space.specs import Choice, Float
from pipeline.worker.session import Checked


@pytest.mark.parametrize(
    ("backend", "settings", "expected"),
    [
        ("jax", {"searcher": "grid"}, True),
        ("jax", {"searcher": "grid", "fit_plan": "plain"}, False),
        ("jax", {"searcher": "hyperopt"}, False),  # each is proposed by what others came to
        ("jax", {"searcher": "hyperopt", "scheduler": "pbt"}, True),
        ("tensorflow", {"searcher": "grid"}, True),
        ("torch", {"searcher": "grid"}, False),  # it has no program for several
    ],
)
def test_trials_may_share_where_many_begin_at_once_and_can_be_trained_together(
    monkeypatch, backend, settings, expected
):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    assert may_share(Experiment(dataset="digits", **settings)) is expected


RATE = (Float(name="rate", min_value=0.1, max_value=0.5), 0.1)
UNITS = (Choice(name="units", options=(8, 16, 32)), 8)


@pytest.fixture
def seats(monkeypatch):
    """How many share a process on two CPUs, and what is said; of 1,000 weights and examples."""
    monkeypatch.setattr("pipeline.engine.cluster.seats.live_nodes", lambda: [{"CPU": 2.0}])

    def ask(backend="jax", examples=1000, apart="", requested=(RATE,), **settings):
        monkeypatch.setenv("KERAS_BACKEND", backend)
        experiment = Experiment(dataset="digits", searcher="random", **settings)
        checked = Checked(list(requested), len(requested), 1000, (), apart=apart)
        roles = {"rate": "algorithm", "units": "model"}
        return seats_of(experiment, checked, examples, lambda configuration: roles)

    return ask


def test_a_short_search_has_one_process(seats):
    assert seats(trials=9) == (9, "")
    assert seats(trials=40) == (16, "")
    assert seats(trials=9, max_concurrent=4) == (4, "")
    assert seats("tensorflow", trials=9) == (9, "")


def test_a_long_one_has_as_many_processes_as_fit(seats):
    assert seats(trials=9, examples=1e6) == (5, "")
    assert seats(trials=40, examples=1e6) == (16, "")
    assert seats(trials=2, examples=1e6) == (1, "")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"backend": "tensorflow", "examples": 1e6}, ""),  # they would take turns
        ({"fit_plan": "plain"}, ""),
        ({"apart": "it runs eagerly"}, ""),
        ({"requested": (UNITS, RATE), "trials": 5}, ""),
        (
            {"requested": (UNITS, RATE), "trials": 5, "fit_plan": "fused"},
            "fit plan fused: each trial trains apart: too few of its trials have models of the same "
            "shapes",
        ),
    ],
)
def test_where_nothing_is_gained_each_trial_has_its_own(seats, asked, why):
    assert seats(**asked) == (1, why)


def test_those_of_a_few_shapes_share_where_each_shape_has_several(seats):
    assert seats(requested=(UNITS, RATE), trials=6) == (6, "")


def test_a_searcher_that_learns_is_not_given_many_at_once(seats, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    experiment = Experiment(dataset="digits", fit_plan="fused")
    found = seats_of(experiment, Checked([RATE], 1, 1000, ()), 1000, dict)
    assert found == (
        1,
        "fit plan fused: each trial trains apart: hyperopt proposes by what earlier trials came to",
    )
