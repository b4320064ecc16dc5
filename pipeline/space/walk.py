"""Every configuration of a space, depth first, each once, found by tracing."""

from collections.abc import Callable, Iterator

from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Value

Follow = Callable[[dict[str, Value]], Requested]


def walk(follow: Follow) -> Iterator[Requested]:
    """Yield each effective configuration once, the last requested hyperparameter turning fastest.

    Args:
        follow: gives what is requested, in order, under the values it gets; where it gets none, the first of the
            hyperparameter's grid.
    """
    prefix: dict[str, Value] = {}
    while True:
        requested = follow(prefix)
        yield requested
        for place in reversed(range(len(requested))):
            spec, value = requested[place]
            grid = spec.grid()
            turn = grid.index(value) + 1
            if turn < len(grid):
                prefix = {s.name: v for s, v in requested[:place]} | {spec.name: grid[turn]}
                break
        else:
            return
