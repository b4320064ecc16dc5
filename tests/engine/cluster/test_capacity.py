"""What fits where, and what is refused, without a cluster."""

import shutil
from pathlib import Path

import pytest

from pipeline.engine.cluster.capacity import (
    FreePlaces,
    concurrent,
    left_idle,
    packing_warning,
    seat_of,
)
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
        # six on each, and not 53: ray-project/ray#5902
        ({"gpus_per_trial": 0.15}, [{"CPU": 99, "GPU": 8}], 48),
        ({"gpus_per_trial": 2}, [{"CPU": 8, "GPU": 3}, {"CPU": 8, "GPU": 4}], 3),
        ({"gpus_per_trial": 1}, [{"CPU": 8}], 0),
    ],
)
def test_how_many_trials_run_at_once_is_counted_node_by_node_and_gpu_by_gpu(settings, nodes, count):
    assert concurrent(experiment(**settings), nodes) == count


@pytest.mark.parametrize("seats", [1, 2, 3, 7, 16, 300])
def test_the_seats_of_a_process_take_no_more_than_it_and_almost_all_of_it(seats):
    share = {"CPU": 1.0, "GPU": 0.5}
    one = seat_of(share, seats)
    for name, amount in share.items():
        assert one[name] == round(one[name], 4)  # what Ray counts in
        assert amount - seats * 1e-4 < one[name] * seats <= amount


def test_there_is_a_place_for_each_seat(monkeypatch):
    monkeypatch.setattr(
        "pipeline.engine.cluster.capacity.live_nodes", lambda: [{"CPU": 5}, {"CPU": 1}]
    )
    assert [FreePlaces(experiment(cpus_per_trial=2), seats)() for seats in (1, 4)] == [2, 8]
    assert FreePlaces(experiment(max_concurrent=3), 4)() == 3


def test_a_share_that_does_not_divide_a_gpu_is_warned_about():
    warning = packing_warning(experiment(gpus_per_trial=0.3))
    assert "0.3 of a GPU does not divide it evenly" in warning and "10%" in warning
    assert "0.333 or 0.25" in warning


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.2, 0.333, 1, 2])
def test_a_share_that_divides_it_is_not(share):
    assert packing_warning(experiment(gpus_per_trial=share)) is None


def test_nodes_that_train_nothing_because_trials_take_gpus_are_named():
    nodes = [{"CPU": 8, "GPU": 1}, {"CPU": 4}, {"CPU": 16, "GPU": 0}]
    rest = "with --gpus-per-trial 0 all nodes train, on CPUs alone"
    line = left_idle(experiment(gpus_per_trial=1), nodes)
    assert line == f"2 nodes without a GPU train nothing (20 CPU); {rest}"
    line = left_idle(experiment(gpus_per_trial=0.5), nodes[:2])
    assert line == f"1 node without a GPU trains nothing (4 CPU); {rest}"
    assert left_idle(experiment(gpus_per_trial=0), nodes) == ""
    assert left_idle(experiment(gpus_per_trial=1), nodes[:1]) == ""


def test_a_users_modules_travel_with_what_lies_beside_them_each_in_its_own_folder(
    tmp_path, monkeypatch
):
    from pipeline.engine.cluster.shipping import stage
    from pipeline.names import find

    for folder, word in (("one", "load"), ("two", "build")):
        (tmp_path / folder / "parts").mkdir(parents=True)
        # of one name, in two folders
        (tmp_path / folder / "model.py").write_text(f"def {word}(*_):\n    pass\n")
        (tmp_path / folder / "parts" / "__init__.py").touch()
    (tmp_path / "space" / "inner").mkdir(parents=True)  # a package without __init__.py
    (tmp_path / "space" / "inner" / "deep.py").write_text("def build(hp, data):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    targets = [
        find("dataset", "one/model.py"),
        find("search space", "two/model.py"),
        find("search space", "space.inner.deep"),
        find("search space", "mlp"),
    ]
    staged = Path(stage(targets))
    monkeypatch.setattr("pipeline.names.HOME", staged)  # as on a worker
    for target in targets[:3]:
        file, root = target.located()
        assert file.is_relative_to(staged) and file.read_text() == Path(target.file).read_text()
        assert file.is_relative_to(root)
    assert (staged / targets[0].staged_as / "parts").is_dir()
    assert (staged / "datasets" / "data" / "mnist.npz").exists()
    shutil.rmtree(staged)
