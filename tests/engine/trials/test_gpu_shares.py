"""Shares of a GPU that turn out to be too little, and several GPUs a trial, on GPUs that Ray is
only told of."""

import json

import pytest
from ray.tune.experiment import Trial

from pipeline.engine.faults.lost_workers import WorkerFailures
from pipeline.engine.messages import RESOURCES, OutOfShare
from pipeline.engine.schedulers.words import OurTrial
from pipeline.engine.trials.gpu_shares import Shares
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.schedulers.asha import PromotingHalving
from pipeline.schedulers.none import EveryEpoch
from pipeline.schedulers.scheduler import Context
from pipeline.worker.session import Job

# A model of 64 units or more runs out of memory on a share of a GPU; one of 512 always does.
LARGE = """
import json, time
import keras
import ray
import tensorflow as tf

def build(hp, data):
    units = hp.Choice("units", [8, 64, 80, 512])
    hidden = keras.layers.Dense(units, "relu", name="hidden")
    layers = [keras.layers.Flatten(), hidden, keras.layers.Dense(data.classes, "softmax")]
    model = keras.Sequential([keras.Input(data.shape), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model

def fit(hp, model, *args, callbacks, **kwargs):
    units, share = model.get_layer("hidden").units, ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
    seconds = {seconds} if share else 0
    began, ids = time.time(), ray.get_gpu_ids()
    try:
        if share and (units == 512 or 64 <= units and share < 1):
            time.sleep(seconds)
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor of " + str(units))
        wait = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: time.sleep(seconds))
        return model.fit(*args, callbacks=[wait, *callbacks], **kwargs)
    finally:
        with open({log!r}, "a") as file:
            file.write(json.dumps([units, share, ids, began, time.time()]) + "\\n")
"""


@pytest.fixture
def tried(search, tmp_path):
    """Search over four widths on shares of a GPU; what each `fit` had, in the order of their
    ends."""

    def run(seconds=0, share=0.5, **settings):
        log = tmp_path / "fits"
        (tmp_path / "large.py").write_text(LARGE.format(log=str(log), seconds=seconds))
        found = search(
            search_space=str(tmp_path / "large.py"),
            searcher="grid",
            scheduler="none",
            trials=4,
            max_epochs=2,
            gpus_per_trial=share,
            **settings,
        )
        fits = [json.loads(line) for line in log.read_text().splitlines()]
        return found, [fit for fit in fits if fit[1]]

    return run


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_who_runs_out_of_a_share_gets_a_whole_gpu_once_and_so_do_larger_models_from_the_start(
    tried,
):
    run, fits = tried(max_concurrent=1, share=0.75)  # so much of a GPU that nobody shares it
    assert [(units, share) for units, share, *_ in fits] == [
        (8, 0.75),
        (64, 0.75),
        (64, 1),
        (80, 1),
        (512, 1),
    ]
    assert list(run.trials["status"]) == ["finished", "finished", "finished", "failed"]
    assert [r.gpus for r in read_trials(run.layout).values()] == [None, 1.0, 1.0, 1.0]
    assert (
        run.trials["error"][3]
        == "out of memory: ResourceExhaustedError: OOM when allocating tensor of 512"
    )
    assert list(run.history["trial"]) == ["t0000", "t0000", "t0001", "t0001", "t0002", "t0002"]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_whole_gpu_is_emptied_for_it_and_nobody_else_trains_there(tried):
    run, fits = tried(seconds=1, max_concurrent=4)
    assert list(run.trials["status"]) == ["finished", "finished", "finished", "failed"]
    assert {(units, share) for units, share, *_ in fits} >= {
        (8, 0.5),
        (64, 0.5),
        (64, 1),
        (80, 1),
        (512, 1),
    }
    for one in fits:
        for other in fits:
            if one is not other and one[1] == 1 and one[2] == other[2]:
                assert one[4] <= other[3] or other[4] <= one[3]


@pytest.fixture
def shares(tmp_path):
    """Shares of a GPU over a ledger, and what was warned of; a model has as many weights as its
    units say."""

    def make(share=0.25, seats=1):
        told = []
        ledger = Ledger(Layout(tmp_path / "run"))
        experiment = Experiment(dataset="digits", gpus_per_trial=share)
        return (
            ledger,
            Shares(
                experiment,
                ledger,
                job,
                lambda job: job.configuration["units"],
                told.append,
                seats,
            ),
            told,
        )

    def job(trial, configuration):
        return Job(trial, configuration, 0, 9, Objective("val_loss", "min"), tmp_path / trial)

    make.job = job
    return make


def test_a_share_is_remembered_once_a_trial_fits_on_a_whole_gpu_also_by_a_resume(shares):
    quarter, whole = {"CPU": 1.0, "GPU": 0.25}, {"CPU": 1.0, "GPU": 1.0}
    ledger, given, told = shares()
    for number, units in enumerate((8, 100, 99, 100, 100)):
        ledger.start(f"t000{number}", {"units": units})
    jobs = [shares.job(name, record.configuration) for name, record in ledger.trials.items()]
    assert [given.resources_of(job) for job in jobs[:2]] == [quarter, quarter]
    given.too_little("t0001")
    assert told == [
        "t0001: out of memory with 0.25 of a GPU; it is tried once more, alone on a whole one."
    ]
    assert (
        given.resources_of(jobs[1]) == whole
        and given.slots("t0001") == 4
        and given.slots("t0000") == 1
    )
    assert given.resources_of(jobs[3]) == quarter, "it has not trained there yet"
    given.reported("t0001", 1)
    assert [given.resources_of(job) for job in jobs[2:4]] == [quarter, whole]
    ledger.report(Report(1, 0.5, {}, 1.0, trial="t0001", time=1.0))
    ledger.close()
    ledger, again, _ = shares()
    assert [again.resources_of(job) for job in jobs] == [quarter, whole, quarter, whole, whole]
    ledger.close()


def outgrown(ledger, given, trial="t0000", units=100, epochs=1, share=0.25):
    """Start a trial that reports so many epochs and then runs out of its share."""
    ledger.start(trial, {"units": units})
    for epoch in range(1, epochs + 1):
        ledger.report(Report(epoch, 0.5, {}, 1.0, trial=trial, time=1.0))
        given.reported(trial, epoch)
    given.too_little(trial)


def test_only_an_epoch_after_those_that_fitted_the_share_says_that_a_whole_gpu_is_enough(shares):
    ledger, given, _ = shares()
    ledger.start("t0001", {"units": 100})
    later = shares.job("t0001", {"units": 100})
    outgrown(ledger, given, epochs=2)
    given.reported("t0000", 2)  # it went on from an older checkpoint
    assert given.resources_of(later)["GPU"] == 0.25
    ledger.close()
    ledger, given, _ = shares()
    assert given.resources_of(later)["GPU"] == 0.25, "nor does a resume take it so"
    ledger.report(Report(3, 0.5, {}, 1.0, trial="t0000", time=1.0))
    ledger.end("t0000", "failed", "out of memory")
    ledger.close()
    ledger, given, _ = shares()
    assert given.resources_of(later)["GPU"] == 0.25, "it failed there"
    ledger.close()


def test_a_resume_decides_for_those_alone_that_are_yet_to_show_whether_they_fit(shares):
    ledger, given, _ = shares()
    outgrown(ledger, given)
    given.reported("t0000", 2)
    for name in ("t0001", "t0002", "t0003", "t0004"):
        ledger.start(name, {"units": 100})
    ledger.report(Report(1, 0.5, {}, 1.0, trial="t0001", time=1.0))  # it trains
    ledger.end("t0002", "failed", "its own fault")
    ledger.report(Report(1, 0.5, {}, 1.0, trial="t0003", time=1.0))
    ledger.change("t0003", 1, "t0000", [])  # under what it takes over it is as large
    jobs = [shares.job(name, {"units": 100}) for name in ledger.trials]
    assert [given.resources_of(job)["GPU"] for job in jobs] == [1, 0.25, 0.25, 1, 1]
    ledger.close()


def test_a_model_whose_size_cannot_be_known_leaves_the_others_their_shares(shares):
    ledger, given, _ = shares()
    outgrown(ledger, given, units=0)
    given.reported("t0000", 2)
    ledger.start("t0001", {"units": 100})
    ledger.start("t0002", {"units": 0})
    assert [
        given.resources_of(shares.job(n, ledger.trials[n].configuration))["GPU"]
        for n in ("t0001", "t0002")
    ] == [0.25, 0.25]
    ledger.close()


def test_a_trial_is_given_more_once_and_what_it_runs_out_of_then_is_counted(shares):
    ledger, given, told = shares(0.75)
    ledger.start("t0000", {"units": 100})
    failures = WorkerFailures({}, given.too_little)
    counted = [failures.counts("t0000", OutOfShare("out of memory"), False) for _ in range(2)]
    assert counted == [False, True] and len(told) == 1
    assert (
        given.resources_of(shares.job("t0000", {"units": 100})) == {"CPU": 1.0, "GPU": 1.0}
        and given.slots("t0000") == 1
    )
    ledger.close()


@pytest.mark.parametrize("ending", [False, True])
def test_who_trains_on_a_whole_gpu_is_remembered_at_its_first_epoch_there_though_it_pauses_or_ends(
    shares, ending
):
    ledger, given, _ = shares()
    settings = {"scheduler": "asha", "grace_epochs": 1, "objective": "val_loss"}
    experiment = Experiment(dataset="digits", **settings)
    context = Context(experiment, Objective("val_loss", "min"), complete=lambda: False)
    scheduler = PromotingHalving(context)
    supervisor = Supervisor(scheduler, lambda: 9, shares=given)
    trial = Trial("kerasweep", stub=True, trial_id="t0000")
    outgrown(ledger, given, epochs=0)
    supervisor.on_trial_add(None, trial)
    result = {"epoch": 1, "objective": 0.5}
    if ending:  # Tune asks for no decision then
        supervisor.on_trial_complete(None, trial, result)
    else:
        assert supervisor.on_trial_result(None, trial, result) == "PAUSE"
    ledger.start("t0001", {"units": 100})
    assert given.resources_of(shares.job("t0001", {"units": 100}))["GPU"] == 1
    ledger.close()


def test_what_may_run_at_once_is_counted_in_trials_and_what_there_is_a_place_for_in_shares(shares):
    ledger, given, _ = shares(0.5)
    experiment = Experiment(dataset="digits", scheduler="none")
    plain = EveryEpoch(Context(experiment, Objective("val_loss", "min")))
    supervisor = Supervisor(plain, lambda: 6, shares=given, most=3)
    wanted = []
    for number in range(3):
        outgrown(ledger, given, f"t000{number}", epochs=0)
        trial = Trial("kerasweep", stub=True, trial_id=f"t000{number}")
        supervisor.on_trial_add(None, trial)
        trial.set_status(Trial.RUNNING)
        wanted.append(supervisor.wanted())
    assert wanted == [True, True, False]
    fewer = Supervisor(plain, lambda: 3, shares=given, most=3)
    for name in ("t0000", "t0001"):
        trial = Trial("kerasweep", stub=True, trial_id=name)
        fewer.on_trial_add(None, trial)
        trial.set_status(Trial.RUNNING)
    assert not fewer.wanted()
    ledger.close()


class TestSeats:
    def test_a_trial_takes_its_part_of_what_a_process_takes(self, shares):
        ledger, given, _ = shares(0.5, seats=4)
        ledger.start("t0000", {"units": 8})
        job = shares.job("t0000", {"units": 8})
        assert given.resources_of(job) == {"CPU": 0.25, "GPU": 0.125}
        assert given.slots("t0000") == 1 and not given.is_apart("t0000")
        given.too_little("t0000")  # a whole GPU is of two processes, whose places it takes
        assert given.resources_of(job) == {"CPU": 1.0, "GPU": 1.0}
        assert given.slots("t0000") == 8 and given.is_apart("t0000")
        ledger.close()

    def test_one_that_lost_its_process_has_one_of_its_own_until_it_trained_there(self, shares):
        ledger, given, _ = shares(0, seats=4)
        ledger.start("t0000", {})
        job = shares.job("t0000", {})
        assert given.resources_of(job) == {"CPU": 0.25} and not given.seat_again("t0000")
        given.reported("t0000", 1)
        given.lost("t0000")
        assert given.resources_of(job) == {"CPU": 1.0}
        assert given.slots("t0000") == 4 and given.is_apart("t0000")
        assert not given.seat_again("t0000"), "it has not trained since"
        given.reported("t0000", 2)
        assert given.slots("t0000") == 4, "it is still there"
        assert given.seat_again("t0000") and not given.is_apart("t0000")
        assert given.resources_of(job) == {"CPU": 0.25} and given.slots("t0000") == 1
        ledger.close()

    def test_one_that_never_shared_a_process_keeps_what_it_has(self, shares):
        ledger, given, _ = shares(0)
        ledger.start("t0000", {})
        given.lost("t0000")
        assert not given.is_apart("t0000") and given.slots("t0000") == 1
        ledger.close()

    def test_who_is_queued_again_after_a_loss_takes_a_process_and_once_it_waited_a_seat(
        self, shares
    ):
        ledger, given, _ = shares(0, seats=4)
        experiment = Experiment(dataset="digits", scheduler="asha", grace_epochs=1)
        decides = PromotingHalving(
            Context(experiment, Objective("val_loss", "min"), complete=lambda: False)
        )
        supervisor = Supervisor(decides, lambda: 8, shares=given)
        ledger.start("t0000", {})
        trial = Trial("kerasweep", stub=True, trial_id="t0000")
        trial.set_config({"job": shares.job("t0000", {}), RESOURCES: {"CPU": 0.25}})
        supervisor.on_trial_add(None, trial)
        given.lost("t0000")
        trial.set_status(Trial.ERROR)
        supervisor.on_trial_error(None, trial)
        assert trial.placement_group_factory.required_resources == {"CPU": 1.0}
        trial.set_status(Trial.PENDING)
        assert not supervisor.wanted(), "nobody takes the place that it waits for"
        trial.set_status(Trial.RUNNING)
        assert supervisor.wanted()
        supervisor.on_trial_result(None, trial, {"epoch": 1, "objective": 0.5})
        trial.set_status(Trial.PAUSED)
        for number in range(1, 4):  # so that it is let on
            decides.added(OurTrial(stub := Trial("k", stub=True, trial_id=f"t000{number}")))
            decides.reported(stub.trial_id, 1, 0.9)
        assert supervisor.chosen(None) is trial
        assert trial.placement_group_factory.required_resources == {"CPU": 0.25}
        ledger.close()


def test_on_whole_gpus_or_none_there_is_nothing_to_give(shares, tmp_path):
    ledger, _, _ = shares()
    ledger.start("t0000", {"units": 8})
    ledger.give_gpus("t0000", 1.0)  # of a time when the search had shares
    for gpus, needs in ((0, {"CPU": 1.0}), (2, {"CPU": 1.0, "GPU": 2.0})):
        given = Shares(
            Experiment(dataset="digits", gpus_per_trial=gpus), ledger, shares.job, lambda job: 1
        )
        assert given.resources_of(shares.job("t0000", {})) == needs and given.slots("t0000") == 1
    ledger.close()


USED = """
import os
import keras
import tensorflow as tf

trained = []

def build(hp, data):
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    model.compile(keras.optimizers.SGD(hp.Float("rate", 0.01, 0.1)), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def fit(hp, model, *args, **kwargs):
    trained.append(hp)
    with open({log!r}, "a") as file:
        print(os.getpid(), len(trained), file=file)
    if len(trained) == 3:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
    return model.fit(*args, **kwargs)
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_process_on_a_whole_gpu_takes_trial_after_trial_and_ends_where_memory_ran_out(
    search, tmp_path
):
    log = tmp_path / "log"
    (tmp_path / "used.py").write_text(USED.replace("{log!r}", repr(str(log))))
    space = str(tmp_path / "used.py")
    alone = {"gpus_per_trial": 1, "max_concurrent": 1, "scheduler": "none", "max_epochs": 1}
    run = search(search_space=space, trials=3, **alone)
    assert list(run.trials["status"]) == ["finished"] * 3
    _, *fits = (line.split() for line in log.read_text().splitlines())  # the check comes first
    processes, counts = zip(*fits, strict=True)
    assert counts == ("1", "2", "3", "1"), "the third is tried again in a process of its own"
    assert len(set(processes)) == 2 == len(set(processes[:3])) + 1


TOGETHER = """
import contextlib
import keras
import tensorflow as tf

with contextlib.suppress(RuntimeError):
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one, one])

def build(hp, data):
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")])
    rate = hp.Float("learning_rate", 0.01, 0.1)
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_trains_each_model_on_two_devices_and_measures_the_best_on_one(search, tmp_path):
    (tmp_path / "together.py").write_text(TOGETHER)
    run = search(
        search_space=str(tmp_path / "together.py"), gpus_per_trial=2, trials=1, max_epochs=2
    )
    assert [r.fit_plan for r in read_trials(run.layout).values()] == [
        "plain: 2 devices share each batch"
    ]
    assert run.summary["validation"]["accuracy"] == pytest.approx(run.best.objective, abs=1e-4)
    assert run.layout.best_model.is_file()
