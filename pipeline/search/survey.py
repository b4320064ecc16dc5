"""Hyperparameters that only other configurations than the default request.

They are found by following more of them.
"""

from collections.abc import Iterator, Mapping

from pipeline.search.known import Trace
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter

GROWING, DRAWN = 10, 20  # configurations that are followed


def survey(known: Mapping[str, Hyperparameter], trace: Trace) -> Iterator[Requested]:
    """Ways through a space that show more of it: everything at its last value, as a loop's count.

    Then at random.

    Args:
        known: by name; what is met on the way joins them, for this survey.
        trace: follows `build`.
    """
    met = dict(known)
    for _ in range(GROWING):
        requested = trace({name: spec.grid()[-1] for name, spec in met.items()}, "default")
        yield requested
        more = {spec.name: spec for spec, _ in requested if spec.name not in met}
        if not more:
            break
        met |= more
    for seed in range(DRAWN):
        yield trace({}, seed)
