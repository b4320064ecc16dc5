"""Ray's own schedulers behind our protocol: what they decide, with our reasons."""

import pytest
from ray.tune.schedulers import ASHAScheduler

from pipeline.engine.schedulers.rays import MedianStopping, StoppingHalving
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.schedulers.scheduler import Context
from pipeline.testing.scheduler_simulation import LOSS, SimulatedTrial


def of(scheduler, count, **settings):
    """A scheduler with so many trials that run."""
    made = scheduler(Context(Experiment(dataset="digits", **settings), LOSS))
    for number in range(count):
        made.added(SimulatedTrial(f"t{number}", "running"))
    return made


def test_a_stop_says_the_rung_and_the_rank():
    scheduler = of(StoppingHalving, 3)
    first, second, third = (scheduler.reported(f"t{n}", 1, 0.1 * n) for n in range(3))
    assert (first.verdict, first.rung, first.rank, first.of, first.went_on) == (
        "continue",
        1,
        1,
        1,
        1,
    )
    assert first.reason == "It is among the best that came so far."
    assert [(d.verdict, d.rung, d.rank, d.of, d.went_on) for d in (second, third)] == [
        ("stop", 1, 2, 2, 1),
        ("stop", 1, 3, 3, 1),
    ]
    assert third.reason == "It is not among the best that came so far."
    between = scheduler.reported("t0", 2, 0.1)
    assert not between.is_recorded
    last = scheduler.reported("t0", 10, 0.1)
    assert (last.verdict, last.rung, last.reason) == ("stop", None, "It has had all of its epochs.")


@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_stop_by_the_median_says_what_was_compared_and_the_rank(direction):
    sign = 1 if direction == "min" else -1
    objective = Objective("val_loss", direction)
    scheduler = MedianStopping(Context(Experiment(dataset="digits"), objective))
    for number in range(5):
        scheduler.added(SimulatedTrial(f"t{number}", "running"))

    def reported(trial, epoch, loss):
        return scheduler.reported(trial, epoch, sign * loss)

    for trial, loss in (("t0", 0.1), ("t1", 0.3), ("t2", 0.2)):
        assert not reported(trial, 1, loss).is_recorded
    stopped = [reported("t3", 1, 0.25)]
    for trial, loss in (("t0", 0.3), ("t1", 0.5), ("t2", 0.4)):
        assert not reported(trial, 2, loss).is_recorded
    stopped.append(reported("t4", 2, 0.35))
    for decision, best, median in zip(stopped, (0.25, 0.35), (0.2, 0.3), strict=True):
        assert (decision.verdict, decision.rung, decision.rank, decision.of) == ("stop", None, 3, 4)
        assert decision.reason == (
            f"Its best, {sign * best}, is worse than {sign * median}, the median of the others' "
            "means so far."
        )


def test_a_pause_by_the_median_says_why():
    waiting = of(MedianStopping, 1)
    waiting.added(SimulatedTrial("t1", "queued"))
    decision = waiting.reported("t0", 1, 0.5)
    assert decision.verdict == "pause"
    assert decision.reason == "Too few trials have trained for as long; others go first."


@pytest.mark.parametrize("factor", [1.5, 2, 3, 4.5])
@pytest.mark.parametrize("grace", [1, 2, 5])
def test_the_rungs_are_those_at_which_ray_decides(factor, grace):
    """Ray writes them down as "Bracket: Iter 9.000: None | Iter 3.000: None"."""
    for most in (5, 10, 27, 81, 100):
        settings = {"max_epochs": most, "grace_epochs": grace, "reduction_factor": factor}
        rays = ASHAScheduler(max_t=most, grace_period=grace, reduction_factor=factor)
        said = rays.debug_string().split("Iter ")[1:]
        milestones = {-int(-float(text.partition(":")[0]) // 1) for text in said}
        rungs = StoppingHalving.rungs(Experiment(dataset="digits", **settings))
        assert set(rungs) == {epoch for epoch in milestones if epoch < most}
