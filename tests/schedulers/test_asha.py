"""Successive halving that promotes: who goes on, who waits, who is stopped, and that a replay
changes none of it."""

import random

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.messages import TrialMessage
from pipeline.engine.trials.replay import PastReport, rebuild
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport
from pipeline.schedulers.asha import MOST_WAITING, PromotingHalving, rungs_of
from pipeline.schedulers.scheduler import Context, scheduler_class
from pipeline.worker.faults import Failure

LOSS = Objective("val_loss", "min")


def rungs(experiment):
    return scheduler_class(experiment.scheduler).rungs(experiment)


class Search:
    """Trials that are only numbers, under the scheduler as Tune calls it: who is new starts if
    nobody is to go on."""

    def __init__(
        self, qualities, slots=2, max_epochs=10, trials=None, grace=1, factor=3, objective=LOSS
    ):
        self.qualities, self.slots, self.max_epochs = dict(qualities), slots, max_epochs
        self.objective = objective
        experiment = Experiment(
            dataset="digits",
            max_epochs=max_epochs,
            grace_epochs=grace,
            reduction_factor=factor,
            trials=trials or len(qualities),
        )
        context = Context(experiment, objective, lambda: not self.coming)
        self.scheduler = PromotingHalving(context)
        self.supervisor = Supervisor(self.scheduler, lambda: slots)
        self.coming = list(qualities)
        self.trials, self.epochs, self.reports = {}, {}, []

    def get_trials(self):
        return list(self.trials.values())

    def stop_trial(self, trial):
        self.supervisor.on_trial_remove(self, trial)
        trial.set_status(Trial.TERMINATED)

    def running(self):
        return [name for name, trial in self.trials.items() if trial.status == Trial.RUNNING]

    def fill(self):
        """Let trials run, as many as there are slots."""
        while len(self.running()) < self.slots:
            chosen = self.supervisor.chosen(self)
            if chosen is None and self.coming:
                assert self.supervisor.wanted()
                chosen = Trial("kerasweep", stub=True, trial_id=self.coming.pop(0))
                self.trials[chosen.trial_id] = chosen
                self.supervisor.on_trial_add(self, chosen)
            if chosen is None:
                return
            chosen.set_status(Trial.RUNNING)

    def report(self, name):
        """The next epoch of a trial; its decision."""
        trial = self.trials[name]
        epoch = self.epochs[name] = self.epochs.get(name, 0) + 1
        result = {"epoch": epoch, "objective": self.qualities[name]}
        self.reports.append((name, epoch))
        decision = self.supervisor.on_trial_result(self, trial, result)
        if decision == TrialScheduler.STOP or epoch == self.max_epochs:
            self.supervisor.on_trial_complete(self, trial, result)
            trial.set_status(Trial.TERMINATED)
        elif decision == TrialScheduler.PAUSE:
            trial.set_status(Trial.PAUSED)
        return decision

    def step(self, rng):
        """One epoch of any running trial; whether there was one."""
        self.fill()
        if not self.running():
            return False
        self.report(rng.choice(self.running()))
        return True

    def waiting(self):
        return [name for name, trial in self.trials.items() if trial.status == Trial.PAUSED]


def carried_out(search, seed=0):
    rng = random.Random(seed)
    while search.step(rng):
        pass
    assert (
        all(trial.status == Trial.TERMINATED for trial in search.trials.values())
        and not search.coming
    )
    return search


@pytest.mark.parametrize(
    ("max_epochs", "grace", "factor", "rungs"),
    [
        (10, 1, 3, [1, 3]),
        (18, 1, 3, [1, 3, 9]),
        (10, 2, 3, [2]),
        (1, 1, 3, []),
        (2, 1, 3, [1]),
        (100, 1, 4, [1, 4, 16]),
        (8, 1, 1.4, [1, 2, 3]),
        (10, 6, 3, []),
        (9, 1, 2, [1, 2, 4]),
    ],
)
def test_rungs_are_grown_from_the_first_while_something_is_left_to_save(
    max_epochs, grace, factor, rungs
):
    assert rungs_of(max_epochs, grace, factor) == rungs


@pytest.mark.parametrize(
    ("scheduler", "told"),
    [
        ("asha", (1, 4)),
        ("asha-stopping", (1, 4, 16)),
        ("hyperband", (1, 4, 5, 16)),
        ("median", (1, 2, 4, 8, 16)),
        ("pbt", (6, 12, 18)),
        ("none", ()),
    ],
)
def test_trials_are_told_after_which_epochs_they_may_be_stopped(scheduler, told):
    asked = {"max_epochs": 20, "reduction_factor": 4, "perturbation_interval": 6}
    assert rungs(Experiment(dataset="digits", scheduler=scheduler, **asked)) == told


@pytest.mark.parametrize("factor", [1.1, 1.5, 1.9, 2.5])
@pytest.mark.parametrize("scheduler", ["asha", "asha-stopping"])
def test_rungs_ascend_to_the_last_epoch_whatever_the_factor(scheduler, factor):
    found = rungs(
        Experiment(dataset="digits", scheduler=scheduler, max_epochs=20, reduction_factor=factor)
    )
    assert found[0] == 1 and list(found) == sorted(set(found)) and found[-1] < 20


def test_rungs_between_two_epochs_are_at_the_second():
    asked = {"scheduler": "asha-stopping", "max_epochs": 20, "reduction_factor": 2.5}
    assert rungs(Experiment(dataset="digits", **asked)) == (1, 3, 7, 16)


@pytest.mark.parametrize("slots", [1, 2, 7])
@pytest.mark.parametrize("order", ["better", "worse", "mixed"])
def test_twenty_trials_train_46_to_55_epochs_however_much_better_the_later_ones_are(order, slots):
    names = [f"t{i:04d}" for i in range(20)]
    ordered = {"better": names[::-1], "worse": names, "mixed": random.Random(0).sample(names, 20)}[
        order
    ]
    search = carried_out(Search({name: float(name[1:]) for name in ordered}, slots))
    came = [sum(epochs >= rung for epochs in search.epochs.values()) for rung in (1, 2, 4)]
    assert came[0] == 20 and came[1] in (6, 7) and came[2] in (2, 3)
    assert sum(search.epochs.values()) == 20 + 2 * came[1] + 7 * came[2]
    assert search.epochs["t0000"] == 10  # the best trains to the end
    if order == "worse" and slots < 7:
        assert came == [20, 6, 2] and search.epochs["t0001"] == 10


def test_a_trial_that_is_among_the_best_goes_on_without_waiting():
    search = Search({"a": 0.1, "b": 0.2, "c": 0.0, "d": 0.3}, slots=3, trials=9)
    search.fill()
    assert search.report("a") == search.report("b") == TrialScheduler.PAUSE
    assert search.report("c") == TrialScheduler.CONTINUE
    assert search.supervisor.wanted() and search.waiting() == ["a", "b"]


def test_the_best_that_wait_go_on_before_new_trials_start_and_higher_rungs_first():
    search = Search({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, slots=1, trials=9)
    for name in "abc":
        search.fill()
        assert search.report(name) == TrialScheduler.PAUSE
    assert search.scheduler.ready() == 1 and not search.supervisor.wanted()
    search.fill()
    assert search.running() == ["a"] and search.supervisor.wanted() is False


def test_one_trial_alone_trains_to_its_end_without_a_pause():
    search = Search({"a": 0.5})
    search.fill()
    assert [search.report("a") for _ in range(10)] == [TrialScheduler.CONTINUE] * 10


def test_who_cannot_be_among_the_best_any_more_is_stopped_at_once():
    # two of six may go on
    search = Search({name: float(i) for i, name in enumerate("abcdef")}, slots=6)
    search.fill()
    decisions = [search.report(name) for name in "abcdef"]
    # One more than may go on is kept, in case that one of these fails.
    assert decisions == [TrialScheduler.PAUSE] * 3 + [TrialScheduler.STOP] * 3


def test_who_waits_and_is_overtaken_is_stopped():
    search = Search({"a": 0.1, "b": 0.2, "c": 0.05}, slots=1)
    for name in "ab":
        search.fill()
        assert search.report(name) == TrialScheduler.PAUSE
    search.fill()
    assert search.report("c") == TrialScheduler.CONTINUE
    search.supervisor.chosen(search)
    assert (
        search.trials["b"].status == Trial.TERMINATED and search.trials["a"].status == Trial.PAUSED
    )


def test_so_many_wait_at_a_rung_and_no_more():
    search = Search({f"t{i:04d}": 1.0 + i / 1000 for i in range(600)}, slots=1, trials=10**6)
    rng = random.Random(0)
    most = 0
    while search.coming:
        search.step(rng)
        most = max(most, len(search.waiting()))
    assert MOST_WAITING <= most <= 2 * MOST_WAITING + 3


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_where_fewer_come_than_could_the_best_trains_to_the_end_all_the_same(count):
    search = carried_out(Search({f"t{i:04d}": i / 10 for i in range(count)}, trials=50))
    assert search.epochs["t0000"] == 10
    assert (
        sorted(search.epochs.values())[:-1] == {1: [], 2: [1], 4: [1, 1, 1], 5: [1, 1, 1, 1]}[count]
    )


def test_of_a_metric_that_is_better_higher_the_highest_go_on():
    search = carried_out(
        Search({"a": 0.1, "b": 0.9, "c": 0.5}, objective=Objective("val_accuracy", "max"))
    )
    assert search.epochs == {"a": 1, "b": 10, "c": 1}


def test_a_trial_that_fails_at_a_rung_is_one_of_those_that_came_to_it():
    search = Search({"a": 0.1, "b": 0.2, "c": 0.3}, slots=3, trials=9)
    search.fill()
    search.report("a")
    failed = {"epoch": 1, "objective": LOSS.worst}
    for name in "bc":
        search.supervisor.on_trial_complete(search, search.trials[name], failed)
        search.trials[name].set_status(Trial.TERMINATED)
    assert search.scheduler.ready() == 1


@pytest.mark.parametrize("lost", ["failed", "failed before an epoch more", "worker"])
def test_where_one_that_was_let_on_is_lost_another_goes_on_in_its_place(lost):
    search = Search({name: i / 10 for i, name in enumerate("abcdef")}, slots=1)  # two of six go on
    rng = random.Random(0)
    while search.epochs.get("a", 0) < 2:
        search.step(rng)
    trial = search.trials["a"]
    if lost == "worker":
        search.supervisor.on_trial_error(search, trial)
    else:
        epoch = 2 if lost == "failed" else 0
        told = TrialMessage(EpochReport(epoch, None, {}, 1.0), failure=Failure("program", "x"))
        search.supervisor.on_trial_complete(search, trial, told.to_result(LOSS))
    trial.set_status(Trial.TERMINATED)
    again = replayed(search, failed={"a"})
    assert carried_out(search).epochs == {"a": 2, "b": 10, "c": 3, "d": 1, "e": 1, "f": 1}
    assert carried_out(again).epochs == search.epochs


def test_who_reports_every_third_epoch_only_is_compared_at_its_first_report_past_a_rung():
    search = Search({name: i / 10 for i, name in enumerate("abcdef")}, slots=6, max_epochs=18)
    search.fill()
    decisions = {}
    for name in "abcdef":
        search.epochs[name] = 1  # and reports its second
        decisions[name] = search.report(name)
    assert list(decisions.values()) == [TrialScheduler.PAUSE] * 3 + [TrialScheduler.STOP] * 3
    search.fill()
    assert set(search.running()) == {"a", "b"}
    assert (
        search.supervisor.on_trial_result(
            search, search.trials["c"], {"epoch": 2, "objective": 0.2}
        )
        == "PAUSE"
    )


def test_who_lost_its_worker_at_a_rung_waits_there_again_unless_it_was_let_on():
    search = Search({"a": 0.1, "b": 0.2, "c": 0.3}, slots=3, trials=9)
    search.fill()
    for name in "ab":
        search.report(name)
    again = [
        search.supervisor.on_trial_result(
            search, search.trials["b"], {"epoch": 1, "objective": 0.2}
        )
    ]
    search.report("c")
    search.fill()
    assert search.running() == ["a"]
    again += [
        search.supervisor.on_trial_result(
            search, search.trials["a"], {"epoch": 1, "objective": 0.1}
        )
    ]
    assert again == [TrialScheduler.PAUSE, TrialScheduler.CONTINUE]


def test_a_searcher_is_told_who_was_compared():
    told = []
    search = Search({"a": 0.1, "b": 0.2, "c": 0.05}, slots=3)
    search.supervisor = Supervisor(search.scheduler, lambda: 3, told.append)
    search.fill()
    for name in "bac":
        search.report(name)
    assert told == ["b", "a", "c"] and search.running() == ["c"]


def replayed(search, failed=()):
    """The same search in a fresh process, from its reports: who runs at a rung, let on there, waits
    to be chosen."""
    again = Search(search.qualities, search.slots, search.max_epochs)
    again.coming, again.reports, again.epochs = (
        list(search.coming),
        list(search.reports),
        dict(search.epochs),
    )
    again.trials = {n: Trial("kerasweep", stub=True, trial_id=n) for n in search.trials}
    over = {n for n, trial in search.trials.items() if trial.status == Trial.TERMINATED}
    last = dict(search.reports)
    past = [
        PastReport(
            n, epoch, search.qualities[n], n in over and last[n] == epoch, failed=n in failed
        )
        for n, epoch in search.reports
    ]
    assert rebuild(again.supervisor, again.trials.values(), over, past) == set()
    for name, trial in again.trials.items():
        if trial.status == Trial.PENDING:
            trial.set_status(Trial.RUNNING)
        was = search.trials[name].status
        assert trial.status == was or (trial.status, was) == (Trial.PAUSED, Trial.RUNNING)
    return again


@pytest.mark.parametrize("cut", range(1, 45, 3))
def test_one_at_a_time_a_search_goes_on_after_a_replay_as_it_would_have(cut):
    for seed in range(10):
        rng = random.Random(seed)
        search = Search({f"t{i:04d}": rng.random() for i in range(17)}, slots=1)
        for _ in range(cut):
            search.step(rng)
        assert carried_out(replayed(search), seed).reports == carried_out(search, seed).reports


@pytest.mark.parametrize("slots", [2, 4, 7])
def test_however_often_it_is_replayed_no_more_are_let_on_than_may_be(slots):
    for seed in range(60):
        rng = random.Random(seed)
        search = Search({f"t{i:04d}": rng.random() for i in range(17)}, slots=slots)
        for _ in range(rng.randrange(1, 4)):
            for _ in range(rng.randrange(1, 15)):
                search.step(rng)
            search = replayed(search)
        carried_out(search, seed)
        came = [sum(epochs >= rung for epochs in search.epochs.values()) for rung in (1, 2, 4)]
        assert came[0] == 17 and 5 <= came[1] <= 6 and 1 <= came[2] <= 3
        assert max(search.epochs.values()) == 10


def test_whoever_went_on_is_not_stopped_where_fewer_trials_are_asked_for():
    past = [
        PastReport(name, 1, value, False)
        for name, value in zip("bac", (1.0, 0.0, 2.0), strict=True)
    ] + [PastReport("c", 2, 2.0, False)]
    again = Search({name: float(i) for i, name in enumerate("abc")}, slots=9)
    trials = {n: Trial("kerasweep", stub=True, trial_id=n) for n in "abc"}
    # c was the third of many, and went on; it is the last of three.
    assert rebuild(again.supervisor, trials.values(), set(), past) == set()
    assert trials["c"].status == Trial.PENDING
