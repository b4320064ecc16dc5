"""Which workers are kept for the next trial.

A process that has imported TensorFlow is worth seconds.

Tune keeps one, and as many as trials wait for a process of theirs (Ray 2.60). So where all wait for
the last, as a population does at each boundary, it would end the others and start processes in
their place.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.utils.object_cache import _ObjectCache

from pipeline.engine.internals.tune_controller import Unpickled

# Several times what a process takes to start. It is not kept for longer, since it takes a place in
# the cluster.
IDLE_S = 60.0


class IdleWorkers(_ObjectCache):
    """Workers between two trials, in place of Tune's.

    Args:
        places: how many there may be now.
        clock: gives seconds.
    """

    def __init__(
        self, places: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._places, self._clock = places, clock
        self._since: dict[Any, float] = {}

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Keep a worker, whose trial still counts as one that has a place.

        False to have it ended.
        """
        if self._num_cached_objects > self._places():
            return False
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        self._since[obj] = self._clock()
        return True

    def pop_cached_object(self, key: Any) -> Any:
        """A worker for the next trial, or None."""
        worker = super().pop_cached_object(key)
        self._since.pop(worker, None)
        return worker

    def flush_cached_objects(self, force_all: bool = False) -> Generator[Any, None, None]:
        """Those that are to be ended now."""
        for workers in self._cached_objects.values():
            for worker in list(workers):
                idle_s = self._clock() - self._since[worker]
                if force_all or idle_s > IDLE_S or self._num_cached_objects > self._places():
                    workers.remove(worker)
                    self._num_cached_objects -= 1
                    del self._since[worker]
                    yield worker


class WorkerCachePolicy(Unpickled):
    """Tune's decision to keep a trial's worker, but for those that have grown."""

    def __init__(self, keep: Callable[[Trial], bool], grown: set[str]) -> None:
        self._keep, self._grown = keep, grown

    def __call__(self, trial: Trial) -> bool:
        """Whether it is kept."""
        return trial.trial_id not in self._grown and self._keep(trial)
