"""Workers that hang: user code that sleeps, processes that are frozen, in each of the things that a
worker does."""

import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from ray.tune.experiment import Trial

from pipeline import Experiment, tune
from pipeline.engine.faults import hangs
from pipeline.engine.faults.hangs import Hangs
from pipeline.records.entries.trials import read_trials
from pipeline.worker.devices.machine import RELEASE_S
from tests.engine.hearing import Hearing

SPACES = Path(__file__).parents[2] / "spaces"
ray_and_slow = [pytest.mark.ray, pytest.mark.slow]

# Three configurations. In `fit`, when it is saved, or when it has to let go of its trial, a worker
# hangs as it is told.
SPACE = """
import os
import signal
import time
from pathlib import Path

import keras

def hang(place):
    hung = Path(__file__).with_name("hung")
    if place != {place!r} or ({once} and hung.exists()):
        return
    with hung.open("a") as file:
        file.write(f"{{os.getpid()}}\\n")
    if {number} is None:
        time.sleep(1000)
    os.kill(os.getpid(), {number})

class Model(keras.Sequential):
    def get_build_config(self):  # called for each checkpoint
        hang("save")
        return super().get_build_config()

def build(hp, data):
    hp.Choice("number", [0, 1, 2])
    model = Model([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model

def fit(hp, model, *args, callbacks, **kwargs):
    def begin(epoch, logs):
        time.sleep(0.2)
        if hp.get("number") == 1 and epoch == 1:
            hang("epoch")
    try:
        return model.fit(*args, callbacks=[*callbacks, keras.callbacks.LambdaCallback(on_epoch_begin=begin)], **kwargs)
    except BaseException:
        hang("end")
        raise
"""


@pytest.fixture
def write_space(tmp_path):
    def write(place, number=None, *, once=True):
        path = tmp_path / "hanging.py"
        path.write_text(
            SPACE.format(place=place, number=None if number is None else int(number), once=once)
        )
        return path

    return write


@pytest.fixture
def soon_up(monkeypatch):
    """Less patience with a worker that is new, and says nothing yet."""
    monkeypatch.setattr(hangs, "WORKER_START_S", 20.0)


@pytest.fixture
def hung(tmp_path):
    """The processes that hung, in order."""
    return lambda: [int(line) for line in (tmp_path / "hung").read_text().split()]


def is_gone(process):
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(processes, seconds=30.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(map(is_gone, processes)):
            return
        time.sleep(0.1)
    raise AssertionError(
        f"still there after {seconds:g} s: {[p for p in processes if not is_gone(p)]}"
    )


def epochs_of(run):
    """How often the history has each (trial, epoch)."""
    return Counter(zip(run.history["trial"], run.history["epoch"], strict=True))


def in_full(trials, epochs):
    return dict.fromkeys(
        [(f"t{k:04d}", epoch) for k in range(trials) for epoch in range(1, epochs + 1)], 1
    )


class TestInAnEpoch:
    pytestmark = ray_and_slow

    @pytest.mark.parametrize("number", [None, signal.SIGSTOP], ids=["sleeps", "frozen"])
    def test_a_trial_that_hangs_once_goes_on_from_its_checkpoint(
        self, ray_cluster, write_space, hung, tmp_path, number
    ):
        experiment = Experiment(
            dataset=str(SPACES / "few.py"),
            search_space=str(write_space("epoch", number)),
            searcher="grid",
            scheduler="none",
            max_epochs=4,
            max_concurrent=2,
            epoch_timeout_s=4,
            storage=str(tmp_path / "runs"),
        )
        run = tune(experiment, watchers=[hearing := Hearing()])
        assert list(run.trials["status"]) == ["finished"] * 3
        assert epochs_of(run) == in_full(3, 4)
        (trial,) = run.trials.loc[run.trials["number"] == 1, "trial"]
        assert hearing.said == [
            f"{trial}: no epoch within 4 s; it goes on from its last checkpoint in another process."
        ]
        assert len(hung()) == 1
        wait_until_gone(hung())

    def test_one_that_hangs_again_has_failed_and_the_others_finish(
        self, search, soon_up, write_space, hung
    ):
        space = write_space("epoch", once=False)
        run = search(
            search_space=str(space),
            searcher="grid",
            scheduler="none",
            max_epochs=3,
            epoch_timeout_s=4,
        )
        (failed,) = (r for r in read_trials(run.layout).values() if r.status == "failed")
        assert (
            failed.hyperparameters == {"number": 1} and failed.error == "no epoch within 4 s, twice"
        )
        assert sorted(run.trials["status"]) == ["failed", "finished", "finished"]
        assert epochs_of(run) == {
            key: 1 for key in in_full(3, 3) if key[0] != failed.trial or key[1] == 1
        }
        assert len(hung()) == 2
        wait_until_gone(hung())


@pytest.mark.parametrize(
    ("place", "number"),
    [("save", signal.SIGSTOP), ("end", signal.SIGKILL), ("end", signal.SIGSTOP)],
    ids=["frozen-save", "killed-end", "frozen-end"],
)
class TestBetweenTwoTrials:
    """A trial waits at its first rung: it is saved, and then its worker handed over."""

    pytestmark = ray_and_slow

    def test_no_trial_and_no_epoch_is_lost(self, search, soon_up, write_space, hung, place, number):
        space = write_space(place, number)
        run = search(
            search_space=str(space),
            searcher="grid",
            scheduler="asha",
            max_epochs=3,
            max_concurrent=1,
            epoch_timeout_s=4,
        )
        assert set(run.trials["status"]) <= {"finished", "stopped"} and len(run.trials) == 3
        assert max(epochs_of(run).values()) == 1
        assert set(epochs_of(run)) >= {("t0000", 1), ("t0001", 1), ("t0002", 1)}
        assert run.trials["epochs"].max() == 3
        assert len(hung()) == 1
        wait_until_gone(hung())


class TestWithoutATimeout:
    def test_the_limit_is_learnt_from_the_longest_epoch_and_generous(self):
        assert Hangs(None, 0.0).limit_s == hangs.FIRST_S  # nothing to go by
        assert Hangs(None, 2.0).limit_s == 300
        assert Hangs(None, 60.0).limit_s == 1200
        assert Hangs(5.0, 60.0).limit_s == 5

    @pytest.mark.ray
    @pytest.mark.slow
    def test_a_trial_that_hangs_is_ended_by_what_the_others_took(
        self, search, write_space, hung, monkeypatch
    ):
        monkeypatch.setattr(hangs, "LEAST_S", 5.0)
        monkeypatch.setattr(hangs, "TIMES_THE_LONGEST", 0.01)
        run = search(
            search_space=str(write_space("epoch")), searcher="grid", scheduler="none", max_epochs=3
        )
        assert list(run.trials["status"]) == ["finished"] * 3
        assert epochs_of(run) == in_full(3, 3)
        wait_until_gone(hung())


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
@pytest.mark.timeout(400)
def test_a_driver_that_ends_does_not_wait_for_a_frozen_worker_and_leaves_no_process(
    started_cli, write_space, hung, tmp_path, number
):
    process = started_cli(
        "digits",
        "--search-space",
        write_space("epoch", signal.SIGSTOP),
        "--searcher",
        "grid",
        "--scheduler",
        "none",
        "--max-epochs",
        50,
        "--epoch-timeout",
        "10m",
        "--cpus",
        2,
        "--name",
        "frozen",
        cwd=tmp_path,
    )
    deadline = time.monotonic() + 200
    while not (tmp_path / "hung").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    family = psutil.Process(process.pid).children(recursive=True)
    assert set(hung()) < {p.pid for p in family}
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130, errors
        assert (
            "epoch_timeout_s: 600.0"
            in (tmp_path / "runs" / "frozen" / "experiment.yaml").read_text()
        )
    wait_until_gone([p.pid for p in family])


class Worker:
    """A worker that says nothing. What it is asked for next is a new `answers`."""

    def __init__(self, trial="t0000", process=None):
        self.key, self.answers, self.killed = self, frozenset({"its start"}), False
        self.process = process or self
        self.trial = Trial("kerasweep", stub=True, trial_id=trial, max_failures=2)
        self.trial.set_status(Trial.RUNNING)

    def has_answered(self):
        return False

    def kill(self):
        self.killed = True


class Controller:
    """Ours, of as many workers as are put there."""

    def __init__(self, *workers):
        self.workers = workers

    def live_workers(self):
        return self.workers


@pytest.fixture
def clock(monkeypatch):
    """What the time is, in a list."""
    clock = [1000.0]
    monkeypatch.setattr(hangs.time, "monotonic", lambda: clock[0])
    return clock


@pytest.fixture
def awake(monkeypatch):
    """However far the clock goes on at once, this process was not stopped."""
    monkeypatch.setattr(hangs, "ASLEEP_S", 1e9)


@pytest.mark.usefixtures("awake")
@pytest.mark.parametrize(("gpus", "silent_s"), [(0, 20 + 60), (0.5, 20 + 60 + RELEASE_S)])
@pytest.mark.parametrize("reported", [False, True], ids=["starts", "trains"])
def test_who_waits_for_a_gpus_memory_does_not_hang(clock, gpus, silent_s, reported):
    experiment = Experiment(dataset="digits", epoch_timeout_s=20, gpus_per_trial=gpus)
    watch, worker = Hangs.of(experiment, 0.0, print), Worker()
    watch.end_silent(Controller(worker))
    if reported:
        watch.reported("t0000", new=True)
    clock[0] += 20 if reported else silent_s
    watch.end_silent(Controller(worker))
    assert not worker.killed
    clock[0] += 1
    watch.end_silent(Controller(worker))
    assert worker.killed


def test_while_this_process_was_stopped_nobody_was_silent(clock):
    watch, worker = Hangs(20.0, 0.0), Worker()
    watch.end_silent(Controller(worker))
    watch.reported("t0000", new=True)
    clock[0] += 3600
    watch.end_silent(Controller(worker))
    clock[0] += 18
    watch.end_silent(Controller(worker))
    assert not worker.killed
    clock[0] += 4
    watch.end_silent(Controller(worker))
    assert worker.killed


@pytest.mark.parametrize("looks_first", [False, True])
def test_the_time_that_this_process_was_stopped_is_not_learnt(clock, looks_first):
    """Tune takes the report that came meanwhile either before or after the next look."""
    watch, worker = Hangs(None, 20.0), Worker()
    watch.end_silent(Controller(worker))
    clock[0] += 3600
    if looks_first:
        watch.end_silent(Controller(worker))
    watch.reported("t0000", new=True)
    assert watch.limit_s == 400
    worker.answers = frozenset({"the next report"})
    clock[0] += 1
    watch.end_silent(Controller(worker))
    for _ in range(40):
        clock[0] += 1
        watch.end_silent(Controller(worker))
    watch.reported("t0000", new=True)
    assert watch.limit_s == 800  # what it is awake for, it learns


@pytest.mark.usefixtures("awake")
def test_before_anything_has_reported_a_trial_hangs_after_a_fixed_time(clock):
    said = []
    worker = Worker()
    watch = Hangs(None, 0.0, said.append)
    watch.end_silent(Controller(worker))
    clock[0] += hangs.FIRST_S + hangs.WORKER_START_S
    watch.end_silent(Controller(worker))
    assert not worker.killed
    clock[0] += 2
    watch.end_silent(Controller(worker))
    assert worker.killed
    assert said == [
        "t0000: no epoch within 21600 s (--epoch-timeout allows more); "
        "it goes on from its last checkpoint in another process."
    ]
    another = Worker()
    clock[0] += 2
    watch.end_silent(Controller(another))
    clock[0] += hangs.FIRST_S + hangs.WORKER_START_S + 1
    watch.end_silent(Controller(another))
    assert another.killed
    assert watch.reasons == {
        "t0000": "no epoch within 21600 s (--epoch-timeout allows more), twice"
    }


def test_a_worker_whose_answer_has_come_does_not_hang(clock):
    watch, worker = Hangs(20.0, 0.0), Worker()
    worker.has_answered = lambda: True
    for _ in range(200):
        watch.end_silent(Controller(worker))
        clock[0] += 1
    assert not worker.killed


def test_a_trial_waits_for_the_others_of_its_process_as_long_as_any_of_them_reports(clock):
    watch = Hangs(5.0, 0.0, lambda text: None)
    waits, trains, apart = Worker("t0000", "one"), Worker("t0001", "one"), Worker("t0002")
    both = Controller(waits, trains, apart)
    watch.end_silent(both)
    for worker in both.workers:
        watch.reported(worker.trial.trial_id, new=True)
        worker.answers = frozenset({"its first report"})
    watch.end_silent(both)
    for number in range(4):
        clock[0] += 2
        trains.answers = frozenset({f"report {number}"})
        watch.end_silent(both)
    assert apart.killed and not waits.killed and not trains.killed
    for _ in range(3):
        clock[0] += 2
        watch.end_silent(Controller(waits, trains))
    assert waits.killed and trains.killed
