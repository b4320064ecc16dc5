"""Seats: what Tune takes for workers, over real processes of Ray's."""

import os
import threading
import time

import pytest
import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.experiment import Trial
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipeline.engine.faults.idle_workers import IdleWorkers
from pipeline.engine.internals.tune_controller import Controller
from pipeline.engine.internals.tune_seats import (
    SeatedClasses,
    Seating,
    end_process,
    process_id,
    takes_others,
)
from pipeline.engine.trials.host import Host
from tests.engine.stage import trial_of

pytestmark = pytest.mark.ray
SHARE = {"CPU": 0.5}


class Worker:
    """What Tune would start as an actor."""

    def __init__(self, name):
        if name == "none":
            raise ValueError("it cannot begin")
        self.name, self.calls = name, []

    def live_in(self, process):
        self.process = process

    def call(self, number, *, seconds=0.0):
        time.sleep(seconds)
        self.calls.append(number)
        return self.name, os.getpid(), list(self.calls), len(threading.enumerate())

    def sees(self):
        return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]

    def stop(self):
        return None


class TunesClasses:
    """As Tune's cache of classes."""

    def __init__(self):
        self.environment = {}

    def get(self, trainable):
        return ray.remote(runtime_env={"env_vars": self.environment})(trainable)


@pytest.fixture
def tunes():
    return TunesClasses()


@pytest.fixture
def start(ray_cluster, tunes):
    """Start a worker as Tune does, with so much of the cluster reserved for it."""
    groups = []
    made = {}

    def run(name, cpus=0.5, gpus=0.0):
        share = SHARE | ({"GPU": gpus} if gpus else {})
        classes = made.setdefault(gpus, SeatedClasses(tunes, Seating(Host, 2, share)))
        group = ray.util.placement_group([{"CPU": cpus} | ({"GPU": gpus} if gpus else {})])
        ray.get(group.ready())
        groups.append(group)
        seats = classes.get(Worker)
        assert seats is classes.get(Worker) and isinstance(seats, ray.actor.ActorClass)
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
        placed = seats.options(scheduling_strategy=strategy, num_cpus=cpus, num_gpus=gpus)
        worker = placed.remote(name=name)
        return worker, worker.__ray_ready__.remote()

    yield run
    for group in groups:
        ray.util.remove_placement_group(group)


def process(worker):
    return ray.get(worker.call.remote(0))[1]


def test_seats_of_one_process_are_taken_before_another_is_started(start, tunes):
    tunes.environment["SET_FOR"] = "each"
    before = ray.cluster_resources()["CPU"]
    workers = [start(name)[0] for name in "abc"]
    processes = [process(worker) for worker in workers]
    assert processes[0] == processes[1] != processes[2]
    assert [process_id(w) == process_id(workers[0]) for w in workers] == [True, True, False]
    assert len({hash(w) for w in workers}) == 3 and workers[0] != workers[1]
    apart, _ = start("a whole CPU", cpus=1.0)
    assert process(apart) not in processes and takes_others(apart)
    # three seats and a process of its own, whose trials take what their processes would
    left = ray.available_resources()["CPU"]
    assert before - left == pytest.approx(2.5)
    with open(f"/proc/{processes[0]}/environ") as environment:  # as each of Tune's workers
        assert "SET_FOR=each" in environment.read()


def test_what_is_asked_of_a_seat_is_done_in_order_and_one_that_was_left_is_taken_again(start):
    (one, ready), (other, _) = start("one"), start("other")
    assert ray.get(ready) is None
    slow = [one.call.remote(number, seconds=0.3) for number in range(3)]
    assert ray.get(other.call.remote(0))[:1] == ("other",)
    assert ray.wait(slow, num_returns=3, timeout=0)[1]  # not all are done
    assert [ray.get(call)[2] for call in slow] == [[0], [0, 1], [0, 1, 2]]
    where = process(one)
    ray.get(one.stop.remote())
    none, ready = start("none")
    with pytest.raises(RayTaskError, match="it cannot begin"):
        ray.get(ready)
    del none, ready  # Tune ends no worker that did not begin
    until = time.monotonic() + 20
    while not other._host.free() and time.monotonic() < until:
        time.sleep(0.01)
    another, _ = start("another")
    assert process(another) == process(other) == where
    ray.get([another.stop.remote(), other.stop.remote()])
    while os.path.exists(f"/proc/{where}") and time.monotonic() < until:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{where}"), "the last that leaves ends the process"


def test_a_worker_that_may_not_be_kept_ends_its_process_once_the_others_there_are_over(
    start, tunes_controller
):
    (one, _), (other, _) = start("one"), start("other")
    trials = [trial_of("t0000", Trial.RUNNING), trial_of("t0001", Trial.RUNNING)]
    tune = tunes_controller(trials)
    tune.tune._maybe_cache_trial_actor = lambda trial: True
    grown = set()
    Controller(tune.handed).keep_workers(IdleWorkers(lambda: 9), lambda trial: trial not in grown)
    for trial, worker in zip(trials, (one, other), strict=True):
        trial.set_ray_actor(worker)
    assert tune.tune._maybe_cache_trial_actor(trials[1])
    grown.add("t0000")
    assert [tune.tune._maybe_cache_trial_actor(trial) for trial in trials] == [False, False]
    where = process(one)
    ray.get(one.stop.remote())
    assert not takes_others(other) and process(other) == where
    assert process(start("next")[0]) != where


def test_a_process_that_ends_takes_all_its_seats_with_it_and_takes_no_others(start):
    (one, _), (other, _) = start("one"), start("other")
    calls = [worker.call.remote(0, seconds=60) for worker in (one, other)]
    end_process(one)
    for call in calls:
        with pytest.raises(RayActorError):
            ray.get(call)
    assert not takes_others(other)
    ray.kill(other)  # is over already
    another, _ = start("another")
    os.kill(process(another), 9)
    with pytest.raises(RayActorError):
        ray.get(another.call.remote(0, seconds=60))
    assert not takes_others(another)


def test_seats_of_a_process_are_parts_of_one_gpu_and_that_is_what_it_sees(start):
    workers = [start(name, gpus=0.5)[0] for name in "abc"]
    seen = [ray.get(worker.sees.remote()) for worker in workers]
    assert len(set(seen)) == 2 and {gpus for _, gpus in seen} == {"0", "1"}
