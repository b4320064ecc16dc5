"""What is used of the GPUs of a real Ray, told of two, by real trainings in its processes.

A process that has a share stands in for one on a GPU: all but the look at the GPU is as it will be.
It imports this file, so that nothing here imports Keras.
"""

import os
import time

import pytest
import ray

from pipeline.console.plan import plan_rows
from pipeline.datasets.digits import load
from pipeline.engine import preparation
from pipeline.engine.gpus import choice, measuring
from pipeline.engine.gpus.gauge import Gpu, OnShare, Window
from pipeline.engine.gpus.measuring import LateError, OnGpu, _answers
from pipeline.engine.trials.jobs import Jobs
from pipeline.engine.tuning import dry_run
from pipeline.errors import KerasweepError, RequestError
from pipeline.experiment import Experiment
from pipeline.names import resolve
from pipeline.objective import Objective
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.records.settings import read_settings
from pipeline.watch import Watcher
from pipeline.worker.devices import cuda
from tests.conftest import SPACES

FACTS = {"shape": [8, 8, 1], "dtype": "float32", "counts": {"train": 60}}


class StandIn(OnShare):
    """Has no GPU and says that it has one; its training is real, unless a pace is set for it."""

    paces = None  # of one, and of each of several at once
    failure = ""

    def gpu(self, whole):
        on = {"keras": "3", "backend": "tensorflow", "tensorflow": "2"}
        self.whole = whole
        return Gpu("stand-in", "a0", 40_000, ray.get_runtime_context().get_node_id(), on)

    def warm_up(self, source, data, job):
        return self.failure or (super().warm_up(source, data, job) if self.paces is None else "")

    def go_on(self, seconds):
        busy = 0.2 if self.whole else None
        if self.paces is not None:
            return Window(self.paces[0 if self.whole else 1], busy, 900)
        return Window(super().go_on(seconds).epochs_a_s, busy, 900)


@pytest.fixture
def on_gpu(ray_cluster, tmp_path, monkeypatch):
    """A function: settings of the stand-in -> what is chosen."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measuring, "WINDOW_S", 0.1)
    experiment = Experiment(
        dataset="digits",
        trials=4,
        objective="val_loss",
        search_space=str(SPACES / "tiny.py"),
        cpus_per_trial=0.25,
    )
    job = Jobs(experiment, Objective("val_loss", "min"), Layout(tmp_path))("t0000", {})
    data = load(0)

    def choose(told=lambda text: None, left_open=False, facts=FACTS, stand_in=StandIn, **settings):
        kind = type("Stand", (stand_in,), settings)
        monkeypatch.setattr(measuring, "Gauge", ray.remote(kind))
        process = OnGpu(experiment, left_open=left_open)
        source = resolve("search space", experiment.search_space)
        return process.choose(source, ray.put(data), job, facts, told)

    return choose


@pytest.mark.ray
def test_of_one_and_two_at_once_the_faster_is_chosen_and_the_next_search_knows(on_gpu):
    told = []
    chosen = on_gpu(told.append, paces=(10.0, 9.0))
    assert told == ["measuring the default model on a GPU, for a minute at most"]
    assert (chosen.share, chosen.plan) == (0.5, "")
    assert chosen.why.startswith("2 share one, 19,400 MiB for each: together 2 times as fast")
    assert on_gpu(told.append, paces=(10.0, 1.0)) == chosen and len(told) == 1, "it is remembered"


@pytest.mark.ray
def test_a_short_search_is_not_measured_unless_it_asked_for_it(on_gpu):
    chosen = on_gpu(left_open=True)
    assert chosen.share == 1.0
    assert chosen.why == (
        "a whole one for each, not measured: the search trains on 0.0012 million examples a GPU at "
        "most, and measuring pays from 20 on"
    )


@pytest.mark.ray
def test_a_default_model_that_does_not_train_there_is_refused_or_leaves_trials_on_cpus(on_gpu):
    line = (
        "The default configuration must train on a whole GPU before others are tried there; it "
        "failed: out of memory"
    )
    with pytest.raises(RequestError) as refused:
        on_gpu(failure="out of memory")
    assert str(refused.value) == line
    chosen = on_gpu(failure="out of memory", left_open=True, facts=FACTS | {"counts": {}})
    assert (chosen.share, chosen.why) == (0.0, f"not used, trials keep to CPUs: {line}")


class Slow(StandIn):
    def warm_up(self, source, data, job):
        time.sleep(60)


@pytest.mark.ray
def test_what_is_too_slow_to_be_measured_has_a_whole_gpu(on_gpu, monkeypatch):
    monkeypatch.setattr(measuring, "MOST_S", 0.1)
    chosen = on_gpu(stand_in=Slow)
    assert chosen.share == 1.0 and chosen.why == (
        "a whole one for each: a minute was too short to measure the default model"
    )


class Blind(StandIn):
    def gpu(self, whole):
        return None


@pytest.mark.ray
def test_a_gpu_that_cuda_does_not_show_is_refused_or_left(on_gpu):
    line = "Trials on GPUs need one that CUDA shows; Ray counts one, and CUDA shows none."
    with pytest.raises(RequestError) as refused:
        on_gpu(stand_in=Blind)
    assert str(refused.value) == line
    assert on_gpu(stand_in=Blind, left_open=True).why == f"not used, trials keep to CPUs: {line}"


@pytest.mark.ray
def test_a_gpu_that_nobody_asked_for_is_not_waited_for(on_gpu, monkeypatch):
    monkeypatch.setattr(measuring, "READY_S", 0.0)
    chosen = on_gpu(left_open=True)
    assert chosen.share == 0.0
    assert chosen.why == "not used, trials keep to CPUs: no GPU was free within 0 s."


@pytest.mark.ray
def test_a_process_that_fails_is_lost_or_late_says_so_in_a_line(ray_cluster):
    @ray.remote(max_retries=0)
    def task(error=None):
        if error is None:
            os._exit(1)
        if isinstance(error, int):
            time.sleep(error)
        raise error

    start = "The default model could not be measured on a GPU. "
    with pytest.raises(KerasweepError) as failed:
        _answers([task.remote(RuntimeError("the GPU must have 9 MiB free"))], None)
    assert str(failed.value) == start + "the GPU must have 9 MiB free"
    with pytest.raises(RequestError, match="^this one sees none$"):
        _answers([task.remote(RequestError("this one sees none"))], None)
    with pytest.raises(KerasweepError) as lost:
        _answers([task.remote()], None)
    assert str(lost.value).startswith(f"{start}Ray lost the process that measures on a GPU: ")
    late = task.remote(60)
    with pytest.raises(LateError, match="^No answer came in time from the process"):
        _answers([late], 0.0)
    ray.cancel(late, force=True)


class Plans(Watcher):
    """Keeps the plan of a search, in words."""

    def planned(self, plan):
        self.rows = plan_rows(plan)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_that_does_not_say_takes_the_gpus_that_there_are_and_a_resume_leaves_it_so(
    search, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measuring, "Gauge", ray.remote(StandIn))
    monkeypatch.setattr(measuring, "WINDOW_S", 0.1)
    monkeypatch.setattr(choice, "SHORT_EXAMPLES", 0)
    monkeypatch.setattr(cuda, "has_driver", lambda: True)
    plans = Plans()
    run = search(trials=3, max_epochs=1, name="run", watchers=[plans], max_concurrent=3)
    # on the processors that there are nobody knows whether two at once are faster
    share = read_settings(run.layout)["gpus_per_trial"]
    assert share in (0.5, 1) and f" and {share:g} GPU" in plans.rows["at once"]
    assert "together" in plans.rows["GPU"], "one and two at once were tried"
    assert {record.devices for record in read_trials(run.layout).values()} <= {"0", "1"}

    monkeypatch.setattr(cuda, "has_driver", lambda: False)
    longer = search(trials=4, max_epochs=1, name="run", resume=run.layout.root, watchers=[plans])
    assert "GPU" not in plans.rows and read_settings(longer.layout)["gpus_per_trial"] == share


@pytest.mark.ray
@pytest.mark.slow
def test_a_dry_run_does_not_wait_for_a_gpu_to_measure_on_and_a_search_does(
    search, tmp_path, monkeypatch
):
    """In a cluster that may grow: what is there by now holds no trial, as far as these see."""
    monkeypatch.setattr(preparation, "check_place", lambda experiment: None)
    monkeypatch.setattr(preparation, "concurrent", lambda experiment, nodes: 0)
    monkeypatch.setattr(measuring, "Gauge", ray.remote(Blind))
    few, tiny = str(SPACES / "few.py"), str(SPACES / "tiny.py")
    asked = Experiment(
        dataset=few, search_space=tiny, gpus_per_trial="auto", storage=str(tmp_path / "runs")
    )
    plan = dry_run(asked, quiet=True)
    assert plan.on_gpus == "measured once the cluster has a node that holds a trial on a GPU"
    assert plan.experiment.gpus_per_trial == "auto"
    with pytest.raises(RequestError, match="Ray counts one, and CUDA shows none"):
        search(gpus_per_trial="auto")
    assert not (tmp_path / "runs").exists()
