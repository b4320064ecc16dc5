"""Tune's controller in our words: which trials have a worker, how many may start, what is awaited.

Tune offers none of this to a scheduler (Ray 2.60), so all of it is private to Ray.
"""

from collections.abc import Callable, Collection, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.tune.experiment import Trial
from ray.tune.utils.object_cache import _ObjectCache

from pipeline.engine.internals.tune_seats import (
    SeatedClasses,
    Seating,
    end_process,
    let_go,
    process_id,
    takes_others,
)
from pipeline.engine.internals.tune_trials import hold_against, worker_of


class WorkerCache(Protocol):
    """Workers between two trials. `kind` is the same for workers with the same resources."""

    def keep(self, kind: Any, worker: Any) -> bool:
        """Keep a worker; False to have it ended."""

    def has(self, kind: Any) -> bool:
        """Whether a worker of this kind is kept."""

    def take(self, kind: Any) -> Any:
        """A worker of this kind for the next trial, or None."""

    def surplus(self, *, all_of_them: bool) -> Iterator[Any]:
        """Let go of the workers that are to be ended now."""

    def __len__(self) -> int:
        """How many are kept."""


@dataclass(frozen=True)
class LiveWorker:
    """A trial's worker, and the answers that Tune waits for from it: start, report, save."""

    trial: Trial
    key: Any
    answers: frozenset[Any]
    actor: Any

    def has_answered(self) -> bool:
        """Whether an answer has come that Tune is yet to take."""
        return bool(ray.wait(list(self.answers), timeout=0)[0])

    @property
    def process(self) -> Any:
        """Its process, which other trials may share."""
        return process_id(self.actor)

    def kill(self) -> None:
        """End its process, and with it the other trials there."""
        end_process(self.actor)


class Controller:
    """Tune's controller, as a search needs it.

    Args:
        handed: what Tune hands to each method of its scheduler.
    """

    def __init__(self, handed: Any) -> None:
        self._tune = handed._tune_controller

    def is_behind(self, handed: Any) -> bool:
        """Whether this is the controller behind what Tune hands to its scheduler."""
        return self._tune is handed._tune_controller

    def trials(self) -> Collection[Trial]:
        """The trials that Tune has taken up."""
        known: list[Trial] = self._tune.get_trials()
        return known

    def with_workers(self) -> Collection[Trial]:
        """The trials that have a worker, or one that is being started for them."""
        trials: Collection[Trial] = self._tune._trial_to_actor.keys()
        return trials

    def has_worker(self, trial: Trial) -> bool:
        """Whether a trial has a worker, or one is being started for it."""
        return trial in self._tune._trial_to_actor

    def may_start(self, count: int) -> None:
        """Let Tune start so many waiting trials by itself, and make as many new ones."""
        self._tune._max_pending_trials = count

    def idle_workers(self) -> int:
        """How many workers are between two trials."""
        return int(self._tune._actor_cache.num_cached_objects)

    def save_no_trials(self) -> None:
        """Leave trials out of the state that Tune writes.

        That is never read back, and to write it at the end of a search would take 3 ms a trial.
        """
        self._tune._trials_to_cache.clear()

    def keep_workers(self, cache: WorkerCache, may_keep: Callable[[str], bool]) -> None:
        """Replace Tune's choice of workers that are kept between two trials (2.60 has no setting).

        Args:
            cache: holds them.
            may_keep: whether the worker of a trial, given by its id, may be kept at all.
        """
        self._tune._maybe_cache_trial_actor = _KeepDecision(
            self._tune._maybe_cache_trial_actor, may_keep
        )
        self._tune._actor_cache = _TunesCache(cache)

    def seat_trials(self, seating: Seating) -> None:
        """Have Tune run several trials in one process; before it has started any."""
        self._tune._class_cache = SeatedClasses(self._tune._class_cache, seating)

    def judge_failures(self, counts: Callable[[str, Exception, bool], bool]) -> None:
        """Have each failure of a worker judged once.

        Args:
            counts: whether a failure is held against its trial, told the trial's id, the exception,
                and whether the worker was being handed over to the trial.
        """
        self._tune._trial_task_failure = _FailureHandling(self._tune, counts)

    def live_workers(self) -> Iterator[LiveWorker]:
        """The workers whose processes run.

        A trial that waits for resources has none, nor has one that is paused.
        """
        manager = self._tune._actor_manager
        asked = manager._actor_task_events.get_futures()
        for trial, worker in self._tune._trial_to_actor.items():
            if worker in manager._live_actors_to_ray_actors_resources:
                answers = frozenset(
                    manager._tracked_actors_to_state_futures.get(worker, set())
                    | (manager._tracked_actors_to_task_futures.get(worker, set()) & asked)
                )
                actor = manager._live_actors_to_ray_actors_resources[worker][0]
                yield LiveWorker(trial, worker, answers, actor)


class Unpickled:
    """Stands in place of a method of Tune's controller."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """As nothing.

        Tune pickles what its controller holds, into a state that is never read back.
        """
        return object, ()


class _KeepDecision(Unpickled):
    """Tune's decision to keep a trial's worker, where ours does not forbid it.

    A process that holds a worker which may not be kept ends with the trials that it has.
    """

    def __init__(self, tunes: Callable[[Trial], bool], may_keep: Callable[[str], bool]) -> None:
        self._tunes, self._may_keep = tunes, may_keep

    def __call__(self, trial: Trial) -> bool:
        worker = worker_of(trial)
        if not self._may_keep(trial.trial_id):
            let_go(worker)
        elif takes_others(worker):
            return self._tunes(trial)
        return False


class _FailureHandling(Unpickled):
    """Tune's handling of a worker's failure, once for each.

    A worker that dies while it is handed over to the next trial fails twice, first itself and then
    its task. Tune queues the trial again with the first, gives it up with the second, and still
    takes it for being handed over (Ray 2.60).
    """

    def __init__(self, tune: Any, counts: Callable[[str, Exception, bool], bool]) -> None:
        self._tune, self._tunes, self._counts = tune, tune._trial_task_failure, counts

    def __call__(self, trial: Trial, exception: Exception) -> None:
        handed_over = trial in self._tune._resetting_trials
        self._tune._resetting_trials.discard(trial)
        if trial.status == Trial.PENDING and trial not in self._tune._trial_to_actor:
            return
        if not self._counts(trial.trial_id, exception, handed_over):
            hold_against(trial, -1)  # Tune is about to count it
        self._tunes(trial, exception=exception)


class _TunesCache(_ObjectCache):
    """A cache of ours in place of Tune's, which goes on counting the trials that want a worker."""

    def __init__(self, cache: WorkerCache) -> None:
        super().__init__()
        self._cache = cache

    @property
    def num_cached_objects(self) -> int:
        return len(self._cache)

    def has_cached_object(self, key: Any) -> bool:
        return self._cache.has(key)

    def cache_object(self, key: Any, obj: Any) -> bool:
        return self._cache.keep(key, obj)

    def pop_cached_object(self, key: Any) -> Any:
        return self._cache.take(key)

    def flush_cached_objects(self, force_all: bool = False) -> Generator[Any, None, None]:
        yield from self._cache.surplus(all_of_them=force_all)
