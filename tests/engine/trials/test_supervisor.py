"""The supervisor and its replay over every scheduler, with Tune's real trials and no cluster."""

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
from pipeline.schedulers import SCHEDULERS
from pipeline.schedulers.scheduler import Context, scheduler_class
from pipeline.worker.faults import Failure

OBJECTIVE = Objective("val_loss", "min")


def supervisor_of(scheduler, **settings):
    experiment = Experiment(dataset="digits", objective="val_loss", scheduler=scheduler, **settings)
    decides = scheduler_class(scheduler)(Context(experiment, OBJECTIVE))
    return Supervisor(decides, lambda: 2)


def stub(name):
    return Trial("kerasweep", stub=True, trial_id=name)


class Controller:
    """As much of Tune's controller as a scheduler calls, over trials that are only numbers.

    `verdicts` are the last on each trial."""

    def __init__(self, supervisor, trials):
        self.supervisor, self.trials = supervisor, trials
        self.decisions, self.verdicts = [], {}

    def get_trials(self):
        return list(self.trials.values())

    def stop_trial(self, trial):
        self.supervisor.on_trial_remove(self, trial)
        trial.set_status(Trial.TERMINATED)

    def report(self, name, epoch, value):
        trial = self.trials[name]
        trial.set_status(Trial.RUNNING)
        result = {"epoch": epoch, "objective": value}
        decision = self.supervisor.on_trial_result(self, trial, result)
        self.decisions.append((name, epoch, decision))
        if decision == TrialScheduler.STOP:
            self.end(name, result)
        elif decision == TrialScheduler.PAUSE:
            trial.set_status(Trial.PAUSED)

    def end(self, name, result):
        trial = self.trials[name]
        self.supervisor.on_trial_complete(self, trial, result)
        trial.set_status(Trial.TERMINATED)

    def let_on(self):
        """The trials that wait and may go on."""
        taken = self.supervisor.take_decisions()
        self.verdicts |= {decision.trial: decision.verdict for decision in taken}
        return {
            n
            for n, t in self.trials.items()
            if t.status == Trial.PAUSED and self.verdicts[n] == "continue"
        }


def runnable(controller, scheduler):
    """The trials that may report next; but for hyperband, those that wait may at any time."""
    statuses = {n: t.status for n, t in controller.trials.items()}
    if scheduler != "hyperband":
        return [n for n, status in statuses.items() if status != Trial.TERMINATED]
    let_on = controller.let_on()
    running = (Trial.PENDING, Trial.RUNNING)
    return [n for n, status in statuses.items() if status in running or n in let_on]


def simulate(scheduler, seed, cut):
    """Run 17 trials; after `cut` reports rebuild the scheduler from them. All decisions, and those
    after a replay."""
    rng = random.Random(seed)
    names = [f"t{i:04d}" for i in range(17)]
    supervisor = supervisor_of(scheduler)
    controller = Controller(supervisor, {n: stub(n) for n in names})
    for trial in controller.trials.values():
        supervisor.on_trial_add(controller, trial)
    quality = {n: rng.random() for n in names}
    epochs = dict.fromkeys(names, 0)
    reports = []
    other = None
    while candidates := runnable(controller, scheduler):
        name = rng.choice(candidates)
        epochs[name] += 1
        value = quality[name] + 1 / epochs[name]
        controller.report(name, epochs[name], value)
        if other is not None:
            other.report(name, epochs[name], value)
        reports.append((name, epochs[name], value))
        if len(reports) == cut:
            again = supervisor_of(scheduler)
            trials = {n: stub(n) for n in names}
            done = {n for n, t in controller.trials.items() if t.status == Trial.TERMINATED}
            last = {n: e for n, e, _ in reports}
            past = [PastReport(n, e, v, n in done and last[n] == e) for n, e, v in reports]
            assert rebuild(again, trials.values(), done, past) == set()
            for n in names:
                expected, found = controller.trials[n].status, trials[n].status
                assert (found if found != Trial.PENDING else Trial.RUNNING) == (
                    expected if expected != Trial.PENDING else Trial.RUNNING
                )
            other = Controller(again, trials)
            controller.decisions.clear()
        if epochs[name] == 10 and controller.trials[name].status != Trial.TERMINATED:
            for one in filter(None, (controller, other)):
                one.end(name, {"epoch": 10, "objective": value})
    return controller.decisions, other.decisions, epochs


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS.keys() - {"asha"}))  # see test_asha.py
@pytest.mark.parametrize("seed", range(5))
def test_after_a_replay_every_decision_is_as_without_it(scheduler, seed):
    cut = 3 + 4 * seed
    undisturbed, replayed, _ = simulate(scheduler, seed, cut)
    assert len(undisturbed) > 5
    assert replayed == undisturbed


class Eventful:
    """A search that grows as it runs, and again when it is done, of trials that end by themselves,
    fail and diverge."""

    def __init__(self, scheduler, seed):
        self.scheduler, self.rng = scheduler, random.Random(seed)
        self.names = [f"t{i:04d}" for i in range(26)]
        self.quality = {n: self.rng.random() for n in self.names}
        kinds = ["end", "fail", "diverge", "end", "end", "end"]
        # How it ends, and after which epoch; some, such as duplicates, before their first.
        self.fates = {
            n: (self.rng.choice(kinds), self.rng.choice([10, self.rng.randint(0, 9)]))
            for n in self.names
        }
        self.controllers = [Controller(supervisor_of(scheduler), {})]
        self.epochs, self.before, self.reports = dict.fromkeys(self.names, 0), {}, []

    def decisions(self, cut):
        """All from the report of that number on, and those of a scheduler that is rebuilt from
        those until then."""
        asked, first = 12, self.controllers[0]
        while True:
            candidates = runnable(first, self.scheduler)
            # Tune fills a bracket in one go.
            unfilled = first.supervisor.scheduler.unfilled
            if len(first.trials) < asked and (
                not candidates or unfilled or self.rng.random() < 0.3
            ):
                self.add(self.names[len(first.trials)])
            elif candidates:
                self.go_on(self.rng.choice(candidates))
                if len(self.reports) == cut and len(self.controllers) == 1:
                    self.controllers.append(self.rebuilt())
                    first.decisions.clear()
            elif asked == len(self.names):
                return [each.decisions for each in self.controllers]
            else:
                asked = len(self.names)

    def add(self, name):
        self.before[name] = len(self.reports)
        for each in self.controllers:
            each.trials[name] = stub(name)
            each.supervisor.on_trial_add(each, each.trials[name])

    def go_on(self, name):
        kind, last = self.fates[name]
        if last == 0:
            for each in self.controllers:
                each.stop_trial(each.trials[name])
            return
        waited = self.epochs[name] == last  # after its last epoch, and now it ends
        if not waited:
            self.epochs[name] += 1
        epoch, ends = self.epochs[name], self.epochs[name] == last
        diverges = ends and kind == "diverge"
        value = OBJECTIVE.worst if diverges else self.quality[name] + 1 / epoch
        if not waited:
            self.reports.append((name, epoch, value))
        for each in self.controllers:
            trial = each.trials[name]
            if waited:
                trial.set_status(Trial.RUNNING)
            elif not diverges:
                each.report(name, epoch, value)
            if diverges or (ends and trial.status == Trial.RUNNING):
                failed = kind != "end"
                failure = Failure("configuration", "it failed") if failed else None
                told = EpochReport(epoch, value, {}, 1.0)
                worth = TrialMessage(told, failure=failure).to_result(OBJECTIVE)
                each.end(name, worth)

    def rebuilt(self):
        statuses = {n: t.status for n, t in self.controllers[0].trials.items()}
        done = {n for n, status in statuses.items() if status == Trial.TERMINATED}
        failed = {
            n for n in done if self.fates[n][0] != "end" and self.epochs[n] == self.fates[n][1]
        }
        past = [
            PastReport(
                n,
                e,
                value,
                n in done and self.epochs[n] == e,
                False,
                n in failed,
                value == OBJECTIVE.worst,
            )
            for n, e, value in self.reports
        ]
        again = Controller(supervisor_of(self.scheduler), {n: stub(n) for n in statuses})
        trials = again.trials.values()
        assert rebuild(again.supervisor, trials, done, past, self.before) == set()
        return again


@pytest.mark.parametrize("scheduler", ["asha-stopping", "hyperband", "median"])
@pytest.mark.parametrize("seed", range(20))
def test_so_it_is_where_trials_are_added_later_and_end_in_their_own_ways(scheduler, seed):
    undisturbed, *replayed = Eventful(scheduler, seed).decisions(cut=2 + 2 * seed)
    # it lets another go first while it knows too little: that depends on who runs
    if scheduler == "median":
        undisturbed, *replayed = (
            [(n, e, d == "STOP") for n, e, d in each] for each in (undisturbed, *replayed)
        )
    assert len(undisturbed) > 5
    assert replayed == [undisturbed]


def test_a_trial_whose_reports_came_before_those_that_are_lost_is_there():
    for scheduler in SCHEDULERS:
        supervisor = supervisor_of(scheduler)
        late = stub("t0001")
        report = PastReport("t0001", 1, 0.1, False)
        assert not rebuild(supervisor, [stub("t0000"), late], set(), [report], {"t0001": 4})
        assert "t0001" in supervisor.scheduler.members


def test_a_trial_that_diverged_as_the_driver_was_killed_is_not_taken_for_one_that_was_stopped():
    for scheduler in ("asha", "asha-stopping", "median", "hyperband", "none"):
        supervisor = supervisor_of(scheduler)
        trials = [stub(f"t{n:04d}") for n in range(5)]
        reports = [PastReport(t.trial_id, e, 0.1, False) for e in (1, 2, 3) for t in trials[:4]]
        reports.append(PastReport("t0004", 1, OBJECTIVE.worst, False, diverged=True))
        assert "t0004" not in rebuild(supervisor, trials, set(), reports)
        assert trials[4].status == Trial.PENDING


def test_a_trial_that_is_added_to_a_finished_hyperband_is_compared_in_a_bracket_of_its_own():
    supervisor = supervisor_of("hyperband")
    controller = Controller(supervisor, {f"t{n:04d}": stub(f"t{n:04d}") for n in range(10)})
    for trial in controller.trials.values():
        supervisor.on_trial_add(controller, trial)
    assert supervisor.scheduler.unfilled
    for name in ("t0008", "t0009"):  # two of the bracket of nine, which is halved after an epoch
        controller.report(name, 1, 0.5)
    assert not supervisor.scheduler.unfilled  # it was halved as it is
    assert controller.let_on() == {"t0008"} and controller.decisions[-1][2] == "CONTINUE"
    controller.trials["t0010"] = stub("t0010")
    supervisor.on_trial_add(controller, controller.trials["t0010"])
    assert supervisor.scheduler.unfilled  # the next bracket, of three that are not compared
    controller.report("t0010", 1, 0.5)
    assert controller.decisions[-1] == ("t0010", 1, TrialScheduler.CONTINUE)


def test_hyperband_trains_what_its_arithmetic_says():
    # Brackets of 3, 5 and 9 trials: 3 x 10; 5 x 3 + 2 x 6; 9 x 1 + 3 x 2 + 1 x 6 epochs.
    *_, epochs = simulate("hyperband", 0, 5)
    assert sorted(epochs.values()) == [1] * 6 + [3] * 2 + [3] * 3 + [9] * 3 + [10] * 3


def test_a_decision_that_was_not_recorded_any_more_is_made_again():
    supervisor = supervisor_of("asha-stopping")
    good, bad = stub("t0000"), stub("t0001")
    reports = [PastReport("t0000", 1, 0.1, False), PastReport("t0001", 1, 0.9, False)]
    assert rebuild(supervisor, [good, bad], set(), reports) == {"t0001"}
    assert good.status == Trial.PENDING


def test_an_epoch_trained_again_after_a_restart_is_not_decided_on_twice():
    supervisor = supervisor_of("asha-stopping")
    trials = {n: stub(n) for n in ("t0000", "t0001")}
    controller = Controller(supervisor, trials)
    for trial in trials.values():
        supervisor.on_trial_add(controller, trial)
    controller.report("t0000", 1, 0.5)
    controller.report("t0001", 1, 0.4)
    controller.report("t0000", 1, 9.9)  # would be stopped, were it a new epoch
    assert controller.decisions[-1] == ("t0000", 1, TrialScheduler.CONTINUE)


def test_a_trial_that_is_queued_again_keeps_its_place():
    supervisor = supervisor_of("hyperband")
    trial = stub("t0000")
    controller = Controller(supervisor, {"t0000": trial})
    supervisor.on_trial_add(controller, trial)
    trial.set_status(Trial.ERROR)  # as Tune has it while it queues a trial again
    supervisor.on_trial_error(controller, trial)
    trial.set_status(Trial.PENDING)
    supervisor.on_trial_add(controller, trial)
    for name in ("t0001", "t0002"):  # the first bracket takes three
        assert supervisor.scheduler.unfilled
        supervisor.on_trial_add(controller, stub(name))
    assert not supervisor.scheduler.unfilled
    controller.report("t0000", 10, 0.5)
    assert trial.status == Trial.TERMINATED  # it came to the end of that bracket


def hyperband_of(count):
    """Trials in brackets of 3, of 5 that are halved at 3 epochs, and of 9 that are at 1 and 3."""
    supervisor = supervisor_of("hyperband", max_epochs=9, reduction_factor=3)
    controller = Controller(supervisor, {n: stub(n) for n in (f"t{i:04d}" for i in range(count))})
    for trial in controller.trials.values():
        supervisor.on_trial_add(controller, trial)
    return supervisor, controller


def test_a_bracket_waits_for_a_trial_whose_worker_was_lost_while_it_was_saved_for_its_pause():
    supervisor, controller = hyperband_of(17)
    lost, *others = members = [f"t{i:04d}" for i in range(8, 17)]
    for name in members[:-1]:
        controller.report(name, 1, members.index(name) / 10)
    controller.trials[lost].set_status(Trial.ERROR)
    supervisor.on_trial_error(controller, controller.trials[lost])
    controller.trials[lost].set_status(Trial.PENDING)
    supervisor.on_trial_add(controller, controller.trials[lost])
    controller.report(others[-1], 1, 0.9)
    assert controller.trials[others[-1]].status == Trial.PAUSED and not controller.let_on()
    controller.report(lost, 1, 0.0)
    running = {n for n in members if controller.trials[n].status == Trial.RUNNING}
    assert controller.let_on() | running == set(members[:3])  # the lowest losses


def halved_bracket():
    """Trials in Hyperband's bracket of 5 that is halved once, at 3 epochs, to 2 that end at 9."""
    _, controller = hyperband_of(8)
    for number in range(3, 8):
        for epoch in range(1, 4):
            controller.report(f"t{number:04d}", epoch, number)
    statuses = {n: t.status for n, t in controller.trials.items()}
    assert controller.let_on() == {"t0003", "t0004"}
    assert [n for n, s in statuses.items() if s == Trial.TERMINATED] == ["t0005", "t0006", "t0007"]
    return controller


def test_at_a_brackets_last_rung_no_trial_waits_for_another():
    controller = halved_bracket()
    for epoch in range(4, 10):
        controller.report("t0003", epoch, 1)
    # the other is at its third epoch yet
    assert controller.trials["t0003"].status == Trial.TERMINATED
    for epoch in range(4, 10):
        controller.report("t0004", epoch, 1)
    assert controller.trials["t0004"].status == Trial.TERMINATED


def test_a_halved_brackets_trials_go_on_though_one_ends_by_itself():
    _, controller = hyperband_of(17)
    names = [f"t{i:04d}" for i in range(8, 17)]  # the bracket of nine: halved at 1 epoch, and at 3
    for number, name in enumerate(names):
        controller.report(name, 1, number)
    waiting, ending = names[:2], names[2]
    for name in waiting:
        for epoch in (2, 3):
            controller.report(name, epoch, names.index(name))
    assert {controller.trials[n].status for n in waiting} == {Trial.PAUSED}
    controller.let_on()
    controller.trials[ending].set_status(Trial.RUNNING)
    controller.end(ending, {"epoch": 2, "objective": 2.0})
    assert [n for n in waiting if controller.trials[n].status == Trial.PAUSED] == [waiting[0]]
    assert controller.let_on() == {waiting[0]}


@pytest.mark.parametrize("scheduler", ["hyperband", "pbt"])
def test_a_trial_of_the_past_is_not_started_before_tune_has_taken_it_up(
    scheduler, tunes_controller
):
    supervisor = supervisor_of(scheduler, max_epochs=9)
    trials = [stub("t0000"), stub("t0001")]
    reports = [PastReport(t.trial_id, epoch, 0.5, False) for t in trials for epoch in range(1, 4)]
    if scheduler == "pbt":  # the second is at a boundary that the first has passed
        reports = reports[:-1]
    rebuild(supervisor, trials, set(), reports)
    trials[0].set_status(Trial.RUNNING)
    tune = tunes_controller(trials[:1])
    assert supervisor.choose_trial_to_run(tune.handed) is None
    tune.add(trials[1])
    assert supervisor.choose_trial_to_run(tune.handed) is trials[1]


@pytest.mark.parametrize("scheduler", ["none", "asha-stopping", "median"])
def test_a_worker_that_came_free_goes_to_a_trial_for_which_none_is_being_started(
    scheduler, tunes_controller
):
    supervisor = supervisor_of(scheduler)
    trials = [stub("t0000"), stub("t0001")]
    for trial in trials:
        supervisor.on_trial_add(None, trial)
    tune = tunes_controller(trials)
    tune.give_worker(trials[0], "being started")
    assert supervisor.choose_trial_to_run(tune.handed) is trials[1]
    trials[1].set_status(Trial.TERMINATED)
    # and rather than to none, to one that waits for its own
    assert supervisor.choose_trial_to_run(tune.handed) is trials[0]


def test_where_an_idle_worker_is_taken_no_process_is_started_beside(tunes_controller):
    supervisor = supervisor_of("none")
    trials = [stub("t0000"), stub("t0001"), stub("t0002")]
    for trial in trials:
        supervisor.on_trial_add(None, trial)
    tune = tunes_controller(trials)
    assert supervisor.choose_trial_to_run(tune.handed) is trials[0] and tune.may_start() == 2
    tune.give_worker(trials[0], "trains")
    assert tune.keep_idle("a CPU", "idle")
    assert supervisor.choose_trial_to_run(tune.handed) is trials[1] and tune.may_start() == 0


def test_paused_trials_hold_no_slot():
    supervisor = supervisor_of("none")
    trials = [stub(f"t{i}") for i in range(3)]
    for trial in trials:
        supervisor.on_trial_add(None, trial)
    assert not supervisor.wanted()
    for trial in trials[:2]:
        trial.set_status(Trial.PAUSED)
    assert supervisor.wanted()


def test_hyperband_asks_for_a_whole_bracket_whatever_runs():
    supervisor = supervisor_of("hyperband")
    supervisor.on_trial_add(None, stub("t0"))
    supervisor.on_trial_add(None, stub("t1"))
    assert supervisor.wanted()  # the first bracket takes three, though only two may run
    supervisor.on_trial_add(None, stub("t2"))
    assert not supervisor.wanted()
