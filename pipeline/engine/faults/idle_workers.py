"""Which workers are kept for the next trial.

A process that has imported TensorFlow is worth seconds.

Tune keeps one, and as many as trials wait for a process of theirs (Ray 2.60). So where all wait for
the last, as a population does at each boundary, it would end the others and start processes in
their place.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

# Several times what a process takes to start. It is not kept for longer, since it takes a place in
# the cluster.
IDLE_S = 60.0


class IdleWorkers:
    """Workers between two trials, in place of Tune's. See `WorkerCache`.

    Args:
        places: how many there may be now.
        clock: gives seconds.
    """

    def __init__(
        self, places: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places, self._clock = places, clock
        self._kept: dict[Any, list[Any]] = defaultdict(list)
        self._since: dict[Any, float] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._since)

    def keep(self, kind: Any, worker: Any) -> bool:
        """Keep a worker, whose trial still counts as one that has a place.

        False to have it ended.
        """
        if len(self) > self._places():
            return False
        self._kept[kind].append(worker)
        self._since[worker] = self._clock()
        return True

    def has(self, kind: Any) -> bool:
        """Whether a worker of this kind is kept."""
        return bool(self._kept[kind])

    def take(self, kind: Any) -> Any:
        """A worker of this kind for the next trial, or None."""
        if not self.has(kind):
            return None
        worker = self._kept[kind].pop(0)
        del self._since[worker]
        return worker

    def surplus(self, *, all_of_them: bool = False) -> Iterator[Any]:
        """Let go of the workers that are to be ended now."""
        for workers in self._kept.values():
            for worker in list(workers):
                idle_s = self._clock() - self._since[worker]
                if all_of_them or idle_s > IDLE_S or len(self) > self._places():
                    workers.remove(worker)
                    del self._since[worker]
                    yield worker
