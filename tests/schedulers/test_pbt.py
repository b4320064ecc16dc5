"""Population based training, over trials that are only numbers: who waits for whom, and that a
replay changes none of it."""

import random

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from pipeline.engine.trials.replay import PastReport, rebuild
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.schedulers.pbt import PopulationBased
from pipeline.schedulers.scheduler import Context, Generations

LOSS = Objective("val_loss", "min")


class Population(Generations):
    """Trials under a scheduler as Tune has them; `turns` are the boundaries that were carried
    out."""

    def __init__(self, names, interval=2, max_epochs=6, complete=lambda: True, saved=None):
        self.turns, self.is_saved = [], saved or (lambda trial, epoch: True)
        experiment = Experiment(
            dataset="digits",
            scheduler="pbt",
            perturbation_interval=interval,
            max_epochs=max_epochs,
        )
        self.scheduler = PopulationBased(Context(experiment, LOSS, complete, self))
        self.supervisor = Supervisor(self.scheduler, lambda: 9)
        self.trials = {n: Trial("kerasweep", stub=True, trial_id=n) for n in names}
        for trial in self.trials.values():
            self.supervisor.on_trial_add(None, trial)

    def turn(self, epoch, objectives):
        self.turns.append((epoch, objectives))

    def saved(self, trial, epoch):
        return self.is_saved(trial, epoch)

    def report(self, name, epoch, value=0.5):
        trial = self.trials[name]
        trial.set_status(Trial.RUNNING)
        decision = self.supervisor.on_trial_result(
            None, trial, {"epoch": epoch, "objective": value}
        )
        if decision == TrialScheduler.PAUSE:
            trial.set_status(Trial.PAUSED)
        return decision

    def end(self, name, status=Trial.TERMINATED):
        self.trials[name].set_status(status)
        if status == Trial.ERROR:
            self.trials[name].set_status(Trial.RUNNING)
            self.supervisor.on_trial_error(None, self.trials[name])
        else:
            self.supervisor.on_trial_complete(
                None, self.trials[name], {"epoch": 1, "objective": 0.5}
            )

    def next(self):
        chosen = self.supervisor.chosen(None)
        return chosen and chosen.trial_id


def test_all_wait_for_the_last_and_then_go_on_together():
    population = Population("ab")
    assert population.report("a", 1) == TrialScheduler.CONTINUE
    assert population.report("a", 2, 0.3) == TrialScheduler.PAUSE
    assert population.next() is None
    population.report("b", 2, 0.4)
    assert population.next() == "a"
    assert population.turns == [(2, {"a": 0.3, "b": 0.4})]
    population.trials["a"].set_status(Trial.RUNNING)
    assert population.next() == "b"
    assert population.report("a", 3) == TrialScheduler.CONTINUE
    assert len(population.turns) == 1


def test_who_takes_over_what_needs_a_whole_gpu_is_given_one():
    population = Population("ab")
    needs = {"CPU": 1.0, "GPU": 1.0}
    task = {"job": None, "resources": needs}
    population.turn = lambda epoch, objectives: population.supervisor.give_task("b", task)
    for name in "ab":
        population.report(name, 2)
    population.next()
    assert population.trials["b"].placement_group_factory.required_resources == needs
    assert population.trials["a"].placement_group_factory is None, "it goes on with what it had"


def test_nobody_goes_on_while_more_are_to_come():
    coming = [True]
    population = Population("a", complete=lambda: not coming)
    population.report("a", 2)
    assert population.next() is None and not population.turns
    coming.clear()
    assert population.next() == "a"


def test_the_last_epoch_is_no_boundary_nor_one_that_the_interval_does_not_divide():
    population = Population("a", interval=2, max_epochs=5)
    for epoch, decision in {
        1: "CONTINUE",
        2: "PAUSE",
        3: "CONTINUE",
        4: "PAUSE",
        5: "CONTINUE",
    }.items():
        assert population.report("a", epoch) == decision
        population.next()
    assert [epoch for epoch, _ in population.turns] == [2, 4]
    whole = Population("a", interval=2, max_epochs=4)
    whole.report("a", 2)
    whole.next()
    assert whole.report("a", 4) == TrialScheduler.CONTINUE


@pytest.mark.parametrize("status", [Trial.TERMINATED, Trial.ERROR])
def test_who_fails_or_ends_early_is_not_waited_for(status):
    population = Population("abc")
    population.report("a", 2)
    population.report("b", 2)
    assert population.next() is None
    population.end("c", status)
    assert population.next() == "a"
    assert list(population.turns[0][1]) == ["a", "b"]


def test_a_trial_that_comes_late_passes_the_boundaries_that_were_carried_out():
    population = Population("ab")
    for name in "ab":
        population.report(name, 2)
    population.next()
    population.report("a", 3)
    late = population.trials["c"] = Trial("kerasweep", stub=True, trial_id="c")
    population.supervisor.on_trial_add(None, late)
    population.report("c", 2)
    assert population.next() == "b"
    population.trials["b"].set_status(Trial.RUNNING)
    assert population.next() == "c" and len(population.turns) == 1


def test_who_lost_its_worker_at_a_boundary_waits_there_again_and_before_it_trains():
    population = Population("ab")
    population.report("a", 2)
    assert population.report("a", 1) == TrialScheduler.CONTINUE
    assert population.report("a", 2) == TrialScheduler.PAUSE
    population.report("b", 2)
    population.next()
    assert population.report("a", 2) == TrialScheduler.CONTINUE


def test_who_is_not_saved_at_the_boundary_comes_to_it_again_before_anything_is_taken_over():
    saved = {"a"}
    population = Population("ab", saved=lambda trial, epoch: trial in saved)
    population.report("a", 2)
    population.report("b", 2)
    assert population.next() == "b" and not population.turns
    population.report("b", 1)
    assert population.next() is None
    saved.add("b")
    assert population.report("b", 2) == TrialScheduler.PAUSE
    assert population.next() == "a" and population.turns


def test_what_is_never_saved_holds_nobody_up():
    population = Population("ab", saved=lambda trial, epoch: False)
    for name in "ab":
        population.report(name, 2)
    for _ in "ab":
        name = population.next()
        assert not population.turns
        population.report(name, 2)
    assert population.next() == "a" and population.turns


@pytest.mark.parametrize("cut", range(1, 15))
def test_after_a_replay_the_generations_are_as_without_it(cut):
    names, reports = "abcd", []
    rng = random.Random(cut)
    values = {(name, epoch): rng.random() for name in names for epoch in range(1, 7)}

    def train(population, epochs):
        while any(e < 6 for e in epochs.values()):
            waiting = [n for n, t in population.trials.items() if t.status == Trial.PAUSED]
            running = [n for n in names if n not in waiting and epochs[n] < 6]
            name = rng.choice(running) if running else population.next()
            epochs[name] += 1
            reports.append((name, epochs[name], values[name, epochs[name]]))
            population.report(*reports[-1])
            if epochs[name] == 6:
                population.end(name)
        return population.turns

    expected = train(Population(names), dict.fromkeys(names, 0))
    past = reports[:cut]
    again = Population([])
    epochs = {n: max((e for m, e, _ in past if m == n), default=0) for n in names}
    fresh = {n: Trial("kerasweep", stub=True, trial_id=n) for n in names}
    again.trials = fresh
    assert (
        rebuild(
            again.supervisor,
            fresh.values(),
            set(),
            [PastReport(n, e, v, False) for n, e, v in past],
        )
        == set()
    )
    reached = max(epochs.values())
    turned = train(again, epochs)
    assert turned == expected[len(expected) - len(turned) :]
    assert {epoch for epoch, _ in turned} >= {e for e in (2, 4) if e >= reached}
