"""What every scheduler must hold, shown by simulated searches.

from pipeline.testing.schedulers import check_scheduler

def test_mine():
check_scheduler(Mine)
"""

from collections.abc import Callable, Iterator
from typing import Any

from pipeline.schedulers.scheduler import Scheduler
from pipeline.testing.scheduler_simulation import SchedulerSimulation


def check_scheduler(scheduler: type[Scheduler], /, **settings: Any) -> None:
    """Check all that every scheduler must hold, over searches of several sizes.

    Args:
        scheduler: the class.
        settings: of the experiment, where the defaults are not possible for it.
    """
    for check in CHECKS:
        check(scheduler, settings)


def rungs_are_epochs(scheduler: type[Scheduler], settings: dict[str, Any]) -> None:
    """A rung is an epoch after which something is left to train; they ascend."""
    for max_epochs in (1, 2, 10, 100):
        experiment = SchedulerSimulation(
            scheduler, {"max_epochs": max_epochs} | settings
        ).experiment
        rungs = scheduler.rungs(experiment)
        assert list(rungs) == sorted(set(rungs)), f"rungs must ascend; got {rungs}."
        assert all(0 < rung < experiment.max_epochs for rung in rungs), (
            f"rungs must be epochs before the last, {experiment.max_epochs}; got {rungs}."
        )


def every_trial_ends(scheduler: type[Scheduler], settings: dict[str, Any]) -> None:
    """However many trials there are, each is trained to its end or stopped; none waits for ever."""
    for search in _searches(scheduler, settings):
        search.to_its_end()
        left = {name: trial.status for name, trial in search.trials.items()}
        assert set(left.values()) <= {"ended"}, f"every trial must end; {search} left {left}."
        assert len(left) == search.count, f"all trials must be tried; {search} tried {len(left)}."


def decisions_make_sense(scheduler: type[Scheduler], settings: dict[str, Any]) -> None:
    """A decision is on a trial that is there, at the epoch it has trained, with possible numbers.

    Where a rank is given, 1 is the best, and no more trials went on than came.
    """
    for search in _searches(scheduler, settings):
        while search.step():
            pass
        for decision in search.decisions:
            assert decision.trial in search.trials, f"{decision} is on no trial."
            trained = search.trials[decision.trial].epochs
            assert 0 < decision.epoch <= trained, f"{decision} is on no epoch of 1 to {trained}."
            assert decision.rung is None or 0 < decision.rung <= decision.epoch, (
                f"a rung must be an epoch that the trial has trained; got {decision}."
            )
            assert decision.verdict == "continue" or decision.reason, f"{decision} has no reason."
            if decision.rank is not None:
                assert decision.of is not None and 1 <= decision.rank <= decision.of, (
                    f"a rank must be one of those that came to the rung; got {decision}."
                )
            if decision.went_on is not None:
                assert decision.of is not None and 0 <= decision.went_on <= decision.of, (
                    f"no more can go on than came to the rung; got {decision}."
                )


def a_replay_ends_the_same(scheduler: type[Scheduler], settings: dict[str, Any]) -> None:
    """Rebuilt from what was recorded, a search goes on as if its process had not been killed."""
    for seed in range(3):
        for cut in range(1, 40, 4):
            search = SchedulerSimulation(scheduler, settings, slots=1, seed=seed)
            for _ in range(cut):
                search.step()
            again = search.rebuilt()
            for name, trial in search.trials.items():
                found = again.trials[name]
                assert (found.status == "ended") == (trial.status == "ended"), (
                    f"after a replay {name} must be {trial.status}; it is {found.status}."
                )
            expected, found_events = search.to_its_end().events, again.to_its_end().events
            assert found_events == expected, (
                f"after {cut} epochs and a replay {search} must go on as without; it does not."
            )


def a_repeated_epoch_changes_nothing(scheduler: type[Scheduler], settings: dict[str, Any]) -> None:
    """A trial whose worker was lost comes to the same epoch again, and to the same decision."""
    for seed in range(3):
        undisturbed = SchedulerSimulation(scheduler, settings, slots=3, seed=seed).to_its_end()
        search = SchedulerSimulation(scheduler, settings, slots=3, seed=seed)
        while search.step():
            reported = next(e for e in reversed(search.events) if e.kind == "reported")
            search.lose_worker(search.trials[reported.trial])
        assert search.events == undisturbed.events, (
            f"{search} must go on as without the loss of workers; it does not."
        )


def _searches(
    scheduler: type[Scheduler], settings: dict[str, Any]
) -> Iterator[SchedulerSimulation]:
    """Searches of several sizes, with few slots and with many."""
    for slots in (1, 2, 7):
        for count in (1, 2, 17, 30):
            yield SchedulerSimulation(scheduler, settings, count, slots, seed=slots)


CHECKS: tuple[Callable[[type[Scheduler], dict[str, Any]], None], ...] = (
    rungs_are_epochs,
    every_trial_ends,
    decisions_make_sense,
    a_replay_ends_the_same,
    a_repeated_epoch_changes_nothing,
)
