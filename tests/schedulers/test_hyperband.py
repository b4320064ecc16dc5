"""Hyperband's brackets, and what is decided in one; see also engine/trials/test_supervisor.py."""

import pytest
from ray.tune.schedulers import HyperBandScheduler

from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.schedulers.hyperband import Hyperband, brackets_of, trials_of_a_round
from pipeline.schedulers.scheduler import Context
from pipeline.testing.scheduler_simulation import SchedulerSimulation, SimulatedTrial

LOSS = Objective("val_loss", "min")
HYPERBAND = {"scheduler": "hyperband"}


@pytest.mark.parametrize(
    ("max_epochs", "factor", "brackets"),
    [
        (10, 3, [[(10, 3)], [(3, 5), (9, 2)], [(1, 9), (3, 3), (9, 1)]]),
        (
            27,
            3,
            [
                [(27, 4)],
                [(9, 6), (27, 2)],
                [(3, 12), (9, 4), (27, 2)],
                [(1, 27), (3, 9), (9, 3), (27, 1)],
            ],
        ),
        (20, 4, [[(20, 3)], [(5, 6), (20, 2)], [(1, 16), (4, 4), (16, 1)]]),
        (1, 3, [[(1, 1)]]),
        (5, 100, [[(5, 1)]]),
    ],
)
def test_a_round_has_brackets_of_few_long_trials_first(max_epochs, factor, brackets):
    assert brackets_of(max_epochs, factor) == brackets
    assert trials_of_a_round(max_epochs, factor) == sum(rungs[0][1] for rungs in brackets)


@pytest.mark.parametrize("factor", [2, 2.5, 3, 4, 10, 1000])
def test_brackets_are_those_of_rays_hyperband(factor):
    for max_epochs in [*range(1, 60), 81, 100, 243, 1000]:
        rays = HyperBandScheduler(
            time_attr="epoch",
            metric="objective",
            mode="min",
            max_t=max_epochs,
            reduction_factor=factor,
        )
        ours = brackets_of(max_epochs, factor)
        for number in range(trials_of_a_round(max_epochs, factor)):
            rays.on_trial_add(None, SimulatedTrial(f"t{number}"))
        # Ray writes its brackets down as "Bracket(Max Size (n)=9, Milestone (r)=1, …".
        said = [line for line in rays.debug_string().splitlines() if "Max Size" in line]
        assert [line.strip().partition(", completed")[0] for line in said] == [
            f"Bracket(Max Size (n)={size}, Milestone (r)={epoch}" for (epoch, size), *_ in ours
        ]


def test_by_less_than_two_a_rung_would_not_grow():
    with pytest.raises(RequestError, match="must be at least 2 for hyperband; got 1.5"):
        Experiment(dataset="digits", scheduler="hyperband", reduction_factor=1.5)


def test_seventeen_trials_on_two_slots_train_what_the_arithmetic_says():
    search = SchedulerSimulation(Hyperband, HYPERBAND, slots=2).to_its_end()
    epochs = sorted(trial.epochs for trial in search.trials.values())
    assert epochs == [1] * 6 + [3] * 2 + [3] * 3 + [9] * 3 + [10] * 3


class Bracket:
    """The bracket of nine, after those of three and of five; its trials are t0008 to t0016."""

    def __init__(self, **settings):
        experiment = Experiment(dataset="digits", max_epochs=9, **HYPERBAND, **settings)
        self.scheduler = Hyperband(Context(experiment, LOSS))
        self.names = [f"t{number:04d}" for number in range(17)]
        self.trials = {name: SimulatedTrial(name) for name in self.names}
        for trial in self.trials.values():
            self.scheduler.added(trial)
        self.names = self.names[8:]

    def report(self, name, epoch, value):
        self.trials[name].status = "running"
        decision = self.scheduler.reported(name, epoch, value)
        if decision.verdict != "continue":
            self.trials[name].status = "paused" if decision.verdict == "pause" else "ended"
        return decision


def test_the_decisions_on_a_halved_bracket_say_rung_rank_and_how_many_go_on():
    bracket = Bracket()
    decisions = [bracket.report(name, 1, value) for value, name in enumerate(bracket.names)]
    assert [d.verdict for d in decisions] == ["pause"] * 8 + ["stop"]
    others = bracket.scheduler.take_decisions()
    found = {d.trial: (d.verdict, d.epoch, d.rung, d.rank, d.of, d.went_on) for d in others}
    assert found == {
        name: ("continue" if place < 3 else "stop", 1, 1, place + 1, 9, 3)
        for place, name in enumerate(bracket.names[:-1])
    }
    assert {d.reason for d in others} == {"The best 3 of 9 in its bracket go on."}


def test_of_equally_good_trials_the_last_that_was_added_goes_on():
    bracket = Bracket()
    for name in bracket.names:
        last = bracket.report(name, 1, 0.5)
    assert last.verdict == "continue"
    let_on = [d.trial for d in bracket.scheduler.take_decisions() if d.verdict == "continue"]
    assert let_on == ["t0015", "t0014"]


def test_a_trial_that_reports_every_fifth_epoch_only_does_not_wait_without_end():
    bracket = Bracket()
    for value, name in enumerate(bracket.names):
        decision = bracket.report(name, 5, value)
    assert decision.verdict == "stop"
    verdicts = {d.trial: d.verdict for d in bracket.scheduler.take_decisions()}
    # Of those that were let on at 1 epoch all are past the next rung, of 3, and one goes on to 9.
    assert [n for n, verdict in verdicts.items() if verdict == "continue"] == ["t0008"]
    bracket.trials["t0008"].status = "paused"
    others = [t for n, t in bracket.trials.items() if n < "t0008"]
    for trial in others:
        trial.status = "running"
    assert bracket.scheduler.next_to_run() == "t0008"
