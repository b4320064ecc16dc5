"""Every configuration of a space, depth first, each once, found by tracing."""

from collections.abc import Callable, Iterator, Sequence

from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, Value

Follow = Callable[[dict[str, Value]], Requested]
Points = Callable[[Hyperparameter], Sequence[Value]]


def walk(follow: Follow, points: Points = lambda spec: spec.grid()) -> Iterator[Requested]:
    """Yield each effective configuration once, the last requested hyperparameter turning fastest.

    Args:
        follow: gives what is requested, in order, under the values it gets; where it gets none, the
            first of the hyperparameter's points.
        points: the values that are walked, all different.
    """
    prefix: dict[str, Value] = {}
    # of each requested: its place among its points. Counted, so that the walk always goes on
    turns: list[int] = []
    while True:
        requested = follow(prefix)
        yield requested
        turns += [0] * (len(requested) - len(turns))
        for place in reversed(range(len(requested))):
            spec, _ = requested[place]
            turn = turns[place] + 1
            if turn < len(steps := points(spec)):
                prefix = {s.name: v for s, v in requested[:place]} | {spec.name: steps[turn]}
                turns[place:] = [turn]
                break
        else:
            return
