"""Whether trials take GPUs where that was not said, and what is done where nodes are unfit."""

import pytest

from pipeline.engine.cluster import capacity
from pipeline.engine.cluster.capacity import may_have_gpu
from pipeline.engine.cluster.growth import Growth
from pipeline.engine.preparation import check_nodes
from pipeline.errors import NodesError
from pipeline.experiment import Experiment
from pipeline.watch import Interruption, Watcher


def node(address="10.0.0.1", alive=True, **resources):
    return {"NodeManagerAddress": address, "Alive": alive, "Resources": {"CPU": 4.0, **resources}}


@pytest.fixture
def settled(monkeypatch, tmp_path):
    """A function: nodes, what was asked for -> what trials take of a GPU, settled twice."""

    def settle(*nodes, driver=False, **asked):
        monkeypatch.setattr("ray.nodes", lambda: nodes)
        monkeypatch.setattr(capacity.cuda, "has_driver", lambda: driver)
        experiment = Experiment(dataset="digits", **asked)
        growth = Growth(experiment, tmp_path, Watcher(), Interruption())
        found = growth.settle_gpus().gpus_per_trial
        assert growth.settle_gpus() is growth.experiment
        return found, growth.gpus_left_open

    return settle


def test_a_gpu_that_is_there_is_used_without_being_asked_for(settled):
    assert settled(node(), node(GPU=1.0)) == ("auto", True)
    assert settled(node(), node()) == (0, True)
    assert settled(node(GPU=1.0, alive=False)) == (0, True)
    assert settled(node(GPU=1.0), cpus_per_trial=8) == (0, True), "no trial fits beside it"


def test_on_this_machine_alone_a_gpu_needs_a_driver_whatever_ray_was_told(settled):
    alone = node("127.0.0.1", GPU=2.0)
    assert settled(alone) == (0, True)
    assert settled(alone, driver=True) == ("auto", True)


@pytest.mark.parametrize("asked", [0, 0.25, 2, "auto"])
def test_what_was_asked_for_stays(asked, settled):
    assert settled(node(GPU=2.0), gpus_per_trial=asked) == (asked, False)


def test_processes_are_not_made_ready_for_cpus_where_there_may_be_a_gpu(monkeypatch):
    for driver in (True, False):
        monkeypatch.setattr(capacity.cuda, "has_driver", lambda driver=driver: driver)
        assert may_have_gpu(Experiment(dataset="digits")) == driver
        assert not may_have_gpu(Experiment(dataset="digits", gpus=0))


class Unfit:
    """The nodes of a search: with GPUs one is unfit, without them as `also` says."""

    def __init__(self, asked, *, left_open, also=False):
        self.experiment = Experiment(dataset="digits", gpus_per_trial=asked)
        self.gpus_left_open, self._also = left_open, also

    def check(self):
        if self.experiment.gpu_share or self._also:
            raise NodesError("unfit", [("10.0.0.1 one", "GPUs: NVML is missing", "see")])


def test_nodes_that_are_unfit_for_gpus_alone_leave_trials_on_cpus_unless_gpus_were_asked_for():
    unfit = Unfit("auto", left_open=True)
    line = "not used, trials keep to CPUs: 10.0.0.1 one: GPUs: NVML is missing"
    assert check_nodes(unfit) == line and unfit.experiment.gpus_per_trial == 0
    for each in (
        Unfit("auto", left_open=False),
        Unfit("auto", left_open=True, also=True),
        Unfit(0, left_open=True, also=True),
    ):
        with pytest.raises(NodesError):
            check_nodes(each)
    assert check_nodes(Unfit(0, left_open=True)) == ""
