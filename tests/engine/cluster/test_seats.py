"""Whether trials may come to share processes, before there are models."""

import pytest

from pipeline import Experiment
from pipeline.engine.cluster.seats import may_share


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
