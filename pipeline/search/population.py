"""Population based training: who goes on from whose weights, and under which values.

No Ray in here.

Source: Jaderberg et al., "Population Based Training of Neural Networks", 2017: truncation selection
and perturbation. What differs: a value never leaves its bounds and steps, and nothing that decides
the model is perturbed.
"""

import bisect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Fixed, Hyperparameter, Value

QUANTILE = 0.25  # of the population: so many of the worst take over from so many of the best
RESAMPLE = 0.25  # probability that a value is drawn anew
FACTORS = (0.8, 1.2)  # else it is multiplied by one of these, or moved to a neighbour
FROM_ZERO = 0.1  # of the range: where a product would stay at zero


@dataclass(frozen=True)
class Member:
    """A trial of the population: its loss at the boundary, and the configuration in force."""

    trial: str
    loss: float
    requested: Requested


@dataclass(frozen=True)
class Change:
    """`trial` goes on with the weights of `source`, under `requested`."""

    trial: str
    source: str
    requested: Requested


def evolve(
    members: Sequence[Member], perturbed: Collection[str], seed: int, epoch: int
) -> list[Change]:
    """What changes at a boundary.

    The same for the same arguments, whatever the order of the members.

    Args:
        members: every trial that goes on.
        perturbed: names of the hyperparameters that only decide how a model is trained.
        seed: of the search.
        epoch: where the boundary is.
    """
    ranked = sorted(members, key=lambda m: (m.loss, m.trial))
    # A half at most: nobody takes over from one that is replaced itself.
    count = min(round(len(ranked) * QUANTILE + 1e-9) or 1, len(ranked) // 2)
    best, worst = ranked[:count], ranked[len(ranked) - count :]
    rng = np.random.default_rng([seed, epoch])
    changes = []
    for member in sorted(worst, key=lambda m: m.trial):
        source = best[int(rng.integers(count))]
        if source.loss >= member.loss:  # equals: nothing to take over
            continue
        requested = [
            (spec, explore(spec, v, rng) if spec.name in perturbed else v)
            for spec, v in source.requested
        ]
        changes.append(Change(member.trial, source.trial, requested))
    return changes


def explore(spec: Hyperparameter, value: Value, rng: np.random.Generator) -> Value:
    """A value near `value`, or one drawn anew: within bounds, and on a step."""
    anew, factor = rng.random() < RESAMPLE, FACTORS[int(rng.integers(len(FACTORS)))]
    if isinstance(spec, Fixed):
        return value
    if anew:
        return spec.random(rng)
    if not spec.ordered or value is None:
        return value
    steps: Any = spec.values()
    if steps is not None and not isinstance(steps, range):  # a range may be too long for a list
        steps = sorted(v for v in steps if v is not None)  # an ordered Choice need not be sorted
    low, high = (steps[0], steps[-1]) if steps else (spec.from_unit(0.0), spec.from_unit(1 - 1e-12))
    assert (
        isinstance(value, int | float)
        and isinstance(low, int | float)
        and isinstance(high, int | float)
    )
    aside = FROM_ZERO * (high - low) * (1 if factor > 1 else -1)
    moved = min(max(value * factor if value else aside, low), high)
    if steps is not None:
        on_step: Value = _on_step(steps, value, moved)
        return on_step
    if isinstance(value, int):
        whole = round(moved) if round(moved) != value else value + (1 if factor > 1 else -1)
        return whole if spec.contains(whole) else value
    return moved


def _on_step(steps: Sequence[Any], value: float, moved: float) -> Any:
    """The step nearest to `moved`, but another than `value` where there is one on that side."""
    above = bisect.bisect_left(steps, moved)
    around = steps[max(above - 1, 0) : above + 1]
    nearest = min(around, key=lambda step: abs(step - moved))
    if nearest != value or moved == value:
        return nearest
    aside = bisect.bisect_left(steps, value) + (1 if moved > value else -1)
    return steps[min(max(aside, 0), len(steps) - 1)]
