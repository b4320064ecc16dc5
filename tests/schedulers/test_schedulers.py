"""What every scheduler must hold, and what one of a newcomer's gets for nothing."""

import subprocess
import sys

import pytest

from pipeline.experiment import Experiment
from pipeline.schedulers import SCHEDULERS
from pipeline.schedulers.none import EveryEpoch
from pipeline.schedulers.scheduler import Context, Decision, Scheduler, scheduler_class
from pipeline.testing.scheduler_simulation import LOSS, SchedulerSimulation
from pipeline.testing.schedulers import CHECKS, check_scheduler


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_holds_what_a_search_relies_on(name, check):
    check(scheduler_class(name), {"scheduler": name})


class Halfway(Scheduler):
    """Stops a trial whose objective is bad at half of its epochs."""

    def reported(self, trial, epoch, objective):
        bad = self.context.objective.loss(objective) > 0.7
        if bad and 2 * epoch >= self.context.experiment.max_epochs:
            return Decision(trial, epoch, "stop", reason="It is bad at half of its epochs.")
        return Decision(trial, epoch, "continue")


def test_a_new_scheduler_says_what_it_decides_on_a_report_and_no_more():
    check_scheduler(Halfway)
    search = SchedulerSimulation(Halfway).to_its_end()
    assert {trial.epochs for trial in search.trials.values()} == {5, 10}


class WaitsForEver(EveryEpoch):
    def reported(self, trial, epoch, objective):
        return Decision(trial, epoch, "pause", reason="It waits.")

    def next_to_run(self):
        return None


class StopsOnAReplay(EveryEpoch):
    def recalled(self, trial, epoch, objective, *, went_on):
        return Decision(trial, epoch, "stop", reason="It was not there.")


class CountsRepeatedEpochs(EveryEpoch):
    def repeated(self, trial, epoch):
        return Decision(trial, epoch, "stop", reason="It came twice.")


class RanksFromNothing(EveryEpoch):
    def reported(self, trial, epoch, objective):
        return Decision(trial, epoch, "continue", rung=epoch, rank=0, of=1, went_on=1)


class GivesNoReason(EveryEpoch):
    def reported(self, trial, epoch, objective):
        return Decision(trial, epoch, "stop")


class RunsWhatRuns(EveryEpoch):
    def next_to_run(self):
        running = (name for name, trial in self.members.items() if trial.status == "running")
        return next(running, None)


class StopsOthers(EveryEpoch):
    def reported(self, trial, epoch, objective):
        for other in self.members:
            if other != trial:
                self.decide(Decision(other, epoch, "stop", reason="It is another."))
        return Decision(trial, epoch, "continue")


class LastEpochAsRung(EveryEpoch):
    @classmethod
    def rungs(cls, experiment):
        return (experiment.max_epochs,)


@pytest.mark.parametrize(
    ("scheduler", "fault"),
    [
        (WaitsForEver, "every trial must end; .* left .*'paused'"),
        (StopsOnAReplay, "after a replay t0000 must be running; it is ended."),
        (
            CountsRepeatedEpochs,
            r"t000\d must be running after epoch 1 .*; it is ended: It came twi",
        ),
        (RanksFromNothing, "a rank must be one of those that came to the rung; got Decision"),
        (GivesNoReason, "Decision.* has no reason"),
        (RunsWhatRuns, "next_to_run must name a trial that waits; t0000 is running."),
        (StopsOthers, "decide must be on a trial that waits; t0001 is running."),
        (LastEpochAsRung, r"rungs must be epochs before the last, 1; got \(1,\)."),
    ],
)
def test_what_a_faulty_scheduler_does_wrong_is_named(scheduler, fault):
    with pytest.raises(AssertionError, match=fault):
        check_scheduler(scheduler)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_a_scheduler_decides_is_in_its_decisions(name):
    """Each pause and each stop, and of a trial that waited that it went on, once."""
    search = SchedulerSimulation(
        scheduler_class(name), {"scheduler": name}, slots=3, seed=1
    ).to_its_end()
    standing = {}
    for decision in search.decisions:
        before = standing.get(decision.trial)
        if before is not None and before.verdict == "pause" and name != "median":
            assert decision.verdict != "pause", f"{decision} after {before}"
        standing[decision.trial] = decision
    stopped = {d.trial for d in search.decisions if d.verdict == "stop"}
    unfinished = {n for n, t in search.trials.items() if t.epochs < 10}
    assert unfinished <= stopped


def test_a_promotion_says_the_rung_the_rank_and_how_many_went_on():
    search = SchedulerSimulation(scheduler_class("asha"), slots=1, count=9).to_its_end()
    promoted = [d for d in search.decisions if d.verdict == "continue" and d.rung is not None]
    first = promoted[0]
    assert (first.rung, first.epoch, first.rank, first.of, first.went_on) == (1, 1, 1, 3, 1)
    assert first.reason == "It is among the best 1."


def test_to_know_the_schedulers_and_what_they_ask_for_costs_no_ray():
    code = (
        "import sys\n"
        "from pipeline.experiment import Experiment\n"
        "from pipeline.schedulers import SCHEDULERS\n"
        "from pipeline.schedulers.scheduler import scheduler_class\n"
        "for name in SCHEDULERS:\n"
        "    experiment = Experiment(dataset='digits', scheduler=name)\n"
        "    scheduler_class(name).rungs(experiment)\n"
        "assert not {'ray', 'keras', 'tensorflow'} & sys.modules.keys()\n"
        "from pipeline.testing.schedulers import check_scheduler\n"
        "for name in ('asha', 'hyperband', 'pbt', 'none'):\n"
        "    check_scheduler(scheduler_class(name), scheduler=name)\n"
        "assert not {'ray', 'keras', 'tensorflow'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "bound", "spares"),
    [
        ("asha", False, False),
        ("asha-stopping", False, False),
        ("hyperband", True, False),
        ("pbt", True, True),
        ("median", False, False),
        ("none", False, False),
    ],
)
def test_what_a_resume_and_a_checkpoint_have_to_know_is_said_by_the_class(name, bound, spares):
    scheduler = scheduler_class(name)
    assert (scheduler.bound_to_epochs, scheduler.keeps_spares) == (bound, spares)


def test_a_scheduler_that_decides_nothing_is_none():
    experiment = Experiment(dataset="digits", scheduler="none")
    with pytest.raises(NotImplementedError):
        Scheduler(Context(experiment, LOSS)).reported("t0000", 1, 0.5)
