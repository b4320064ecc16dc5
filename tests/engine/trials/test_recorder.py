"""The recorder between Tune's trials and a real ledger, without a cluster."""

import copy
import time

import pytest
from ray.tune.experiment import Trial

from pipeline.engine.faults.blame import Blame
from pipeline.engine.faults.hangs import Hangs
from pipeline.engine.messages import TrialMessage, UnfitNode, WorkerMemory
from pipeline.engine.trials.recorder import Recorder
from pipeline.engine.trials.stopping import StopRule
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts, as_plain
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.retention import Retention
from pipeline.schedulers.none import EveryEpoch
from pipeline.schedulers.scheduler import Context
from pipeline.search.random import Random
from pipeline.space.specs import Int
from pipeline.watch import Interruption, Watcher
from pipeline.worker.faults import Failure
from tests.engine.stage import trial_of

OBJECTIVE = Objective("val_loss", "min")


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(Layout(tmp_path / "run"))
    yield opened
    opened.close()


@pytest.fixture
def experiment():
    return Experiment(dataset="digits", objective="val_loss", scheduler="none", max_epochs=2)


@pytest.fixture
def searcher():
    return Random(seed=0, objective=OBJECTIVE, trials=3, trace=lambda proposal, fill: [])


@pytest.fixture
def supervisor(experiment):
    return Supervisor(EveryEpoch(Context(experiment, OBJECTIVE)), lambda: 2)


@pytest.fixture
def new_recorder(ledger, searcher, experiment, supervisor):
    """Makes the recorder of a process that goes on with the run."""
    retention = Retention(ledger.layout, OBJECTIVE, keep=1)
    return lambda: Recorder(
        ledger,
        searcher,
        supervisor,
        retention,
        Watcher(),
        Hangs.of(experiment, 0.0, lambda text: None),
        Blame(experiment.max_consecutive_failed_trials, ledger.trials.values()),
        experiment.max_epochs,
    )


@pytest.fixture
def begin(ledger, searcher):
    """Begins a trial, as it is recorded."""

    def begun(name):
        searcher.tell_asked(name, {})
        ledger.start(name, {})
        return Trial("kerasweep", stub=True, trial_id=name)

    return begun


@pytest.fixture
def recorder(begin, new_recorder):
    """The recorder of a run that has one trial."""
    begin("t0000")
    return new_recorder()


def report(recorder, trial, epoch, **more):
    """What a trial tells at the end of an epoch; before its first, at epoch 0."""
    told = EpochReport(epoch, 0.5, {"".join(["val_", "loss"]): 0.5}, 1.0) if epoch else None
    message = TrialMessage(told, **({"facts": TrialFacts()} | more))
    result = {
        **message.to_result(OBJECTIVE),
        "timestamp": time.time(),
        "training_iteration": epoch,
    }
    recorder.on_trial_result(epoch, [trial], trial, result)
    trial.update_last_result(result)  # as Tune does after its callbacks


def end(recorder, trial, failure):
    """A trial ends before its next epoch, with a failure."""
    report(recorder, trial, 0, failure=failure)
    recorder.on_trial_complete(1, [trial], trial)


def test_tune_keeps_the_metrics_of_a_trial_that_goes_on_and_not_of_one_that_is_over(
    recorder, ledger
):
    trial = Trial("kerasweep", stub=True, trial_id="t0000")
    report(recorder, trial, 1)
    report(recorder, trial, 2)
    assert trial.last_result["epoch"] == 2 and trial.metric_analysis
    recorder.on_trial_complete(3, [trial], trial)
    assert (
        not trial.run_metadata.last_result
        and not trial.metric_analysis
        and not trial.metric_n_steps
    )
    assert ledger.trials["t0000"].status == "finished" and [r.epoch for r in ledger.reports] == [
        1,
        2,
    ]


def test_nor_of_one_whose_worker_was_lost(recorder, ledger):
    trial = Trial("kerasweep", stub=True, trial_id="t0000")
    report(recorder, trial, 1)
    recorder.on_trial_error(2, [trial], trial)
    assert not trial.run_metadata.last_result and not trial.metric_analysis
    assert ledger.trials["t0000"].error == "its worker was lost"


def test_reports_share_the_names_of_their_metrics(recorder, ledger):
    trial = Trial("kerasweep", stub=True, trial_id="t0000")
    report(recorder, trial, 1)
    report(recorder, trial, 2)
    (first,), (second,) = (list(r.metrics) for r in ledger.reports)
    assert first == "val_loss" and first is second


def test_an_objective_that_is_missing_ends_the_search_only_where_no_trial_has_reported(
    recorder, ledger, begin
):
    missing = Failure(
        "request", "The objective must be among what `fit` reports", where="objective"
    )
    end(recorder, Trial("kerasweep", stub=True, trial_id="t0000"), missing)
    assert "objective must be" in str(recorder.fatal)
    recorder.fatal = None
    trial = begin("t0001")
    report(recorder, trial, 1)
    end(recorder, trial, missing)
    assert recorder.fatal is None and ledger.trials["t0001"].status == "failed"


def test_each_plan_is_recorded_with_the_epoch_from_which_it_was_carried_out(recorder, ledger):
    trial = Trial("kerasweep", stub=True, trial_id="t0000")

    def recorded(epoch, plan=None):
        """A trial tells its plan once, and again if it has changed."""
        told = TrialFacts(node="10.0.0.2", fit_plan=plan) if plan else None
        report(recorder, trial, epoch, facts=told)
        return ledger.trials["t0000"].fit_plan

    assert recorded(1, "looped: few") == recorded(2) == "looped: few"
    both = "looped: few, from epoch 3 compiled: many"
    assert recorded(3, "compiled: many") == recorded(4) == both
    # Gone on with from an earlier checkpoint: what is trained again is recorded already.
    assert recorded(2, "looped: few") == recorded(3, "compiled: many") == recorded(5) == both
    # And where another worker trains otherwise.
    assert recorded(4, "plain: a GPU") == recorded(5) == both
    assert recorded(6) == recorded(7) == f"{both}, from epoch 6 plain: a GPU"
    assert ledger.trials["t0000"].node == "10.0.0.2"


def test_a_trial_whose_workers_were_lost_says_what_they_held(recorder, ledger, supervisor):
    trial = Trial("kerasweep", stub=True, trial_id="t0000")
    report(recorder, trial, 1, memory=WorkerMemory(3.25, 24.0, False))
    supervisor.losses["t0000"] = "worker lost: SIGKILL"
    recorder.on_trial_error(2, [trial], trial)
    error = ledger.trials["t0000"].error
    assert error == "worker lost: SIGKILL (at its last report it held 3.25 GiB of its node's 24.0)"


def test_a_node_that_fails_two_trials_and_trains_none_ends_the_search(
    recorder, supervisor, tunes_controller
):
    trial = trial_of("t0000")
    tune = tunes_controller([trial])
    supervisor.choose_trial_to_run(tune.handed)  # and from now on hears of each loss

    def fail(node):
        tune.start(trial)
        tune.fail(trial, UnfitNode(node, f"no GPU is seen at {node}"))
        recorder.on_step_end(1, [])

    fail("10.0.0.2")
    fail("10.0.0.3")
    assert recorder.fatal is None
    trained = Trial("kerasweep", stub=True, trial_id="t0000")
    report(recorder, trained, 1, facts=TrialFacts(node="10.0.0.2"))
    fail("10.0.0.2")
    assert recorder.fatal is None  # it has trained between
    fail("10.0.0.3")
    assert str(recorder.fatal) == "no GPU is seen at 10.0.0.3 (On 10.0.0.3.)"
    assert recorder.fatal.exit_code == 2
    recorder.refuse(RuntimeError("a later one"))
    assert "10.0.0.3" in str(recorder.fatal)


def test_faults_of_the_program_are_counted_on_after_the_driver_was_killed(
    recorder, new_recorder, begin
):
    def fail(recorder, number):
        name = f"t{number:04d}"
        trial = begin(name) if number else Trial("kerasweep", stub=True, trial_id=name)
        end(
            recorder,
            trial,
            Failure("program", "ValueError: no", "their traceback", "ValueError at my.py:3"),
        )
        return recorder.fatal

    assert fail(recorder, 0) is None and fail(new_recorder(), 1) is None
    fatal = fail(new_recorder(), 2)
    assert str(fatal) == "3 trials in a row failed in the same way: ValueError: no"
    # it had ended for them: whoever goes on with it has mended something
    assert fail(new_recorder(), 3) is None


def test_to_ask_for_a_duplicate_changes_nothing_and_its_report_ends_it(
    recorder, ledger, begin, searcher, supervisor
):
    requested = as_plain([(Int(name="units", min_value=1, max_value=9), 3)], asked_by_build=1)
    facts = TrialFacts(requested=requested, node="10.0.0.2")
    first, second = Trial("kerasweep", stub=True, trial_id="t0000"), begin("t0001")

    def result(epoch):
        told = EpochReport(epoch, 0.5, {"val_loss": 0.5}, 1.0)
        return {**TrialMessage(told, facts=facts).to_result(OBJECTIVE), "timestamp": time.time()}

    rule = StopRule(recorder, ledger, Interruption(), None)
    assert not rule("t0000", result(1))
    report(recorder, first, 1, facts=facts)
    before = copy.deepcopy(ledger.trials["t0001"])
    assert rule("t0001", result(1)) and rule("t0001", result(1))
    assert ledger.trials["t0001"] == before and not searcher.observations["t0001"].told

    report(recorder, second, 1, facts=facts)
    record = ledger.trials["t0001"]
    assert (record.status, record.error) == ("duplicate", "the same configuration as t0000")
    assert (record.requested, record.node) == (requested, "10.0.0.2")
    assert [r.trial for r in ledger.reports] == ["t0000"]
    assert not rule("t0000", result(2))
