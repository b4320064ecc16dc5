"""What fits where, and what is refused, without a cluster."""

import pytest

from pipeline.engine.cluster import concurrent, packing_warning
from pipeline.experiment import Experiment


def experiment(**settings):
    return Experiment(dataset="digits", **settings)


@pytest.mark.parametrize(
    ("settings", "nodes", "count"),
    [
        ({}, [{"CPU": 2}], 2),
        ({"cpus_per_trial": 2}, [{"CPU": 5}], 2),
        ({"cpus_per_trial": 0.5}, [{"CPU": 2}], 4),
        ({"gpus_per_trial": 0.5}, [{"CPU": 4, "GPU": 2}], 4),
        ({"gpus_per_trial": 0.5}, [{"CPU": 3, "GPU": 2}], 3),
        ({"gpus_per_trial": 0.15}, [{"CPU": 99, "GPU": 8}], 48),  # six on each, and not 53: ray-project/ray#5902
        ({"gpus_per_trial": 2}, [{"CPU": 8, "GPU": 3}, {"CPU": 8, "GPU": 4}], 3),
        ({"gpus_per_trial": 1}, [{"CPU": 8}], 0),
    ],
)
def test_how_many_trials_run_at_once_is_counted_node_by_node_and_gpu_by_gpu(settings, nodes, count):
    assert concurrent(experiment(**settings), nodes) == count


def test_a_share_that_does_not_divide_a_gpu_is_warned_about():
    warning = packing_warning(experiment(gpus_per_trial=0.3))
    assert "0.3 of a GPU does not divide it evenly" in warning and "10%" in warning
    assert "0.333 or 0.25" in warning


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.2, 1, 2])
def test_a_share_that_divides_it_is_not(share):
    assert packing_warning(experiment(gpus_per_trial=share)) is None
