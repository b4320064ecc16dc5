"""Which rows of a table train, which validate, and which are kept for the test."""

import numpy as np

from pipeline.data.arrays import Array, cut, split_size
from pipeline.data.request import CUT
from pipeline.errors import RequestError


def split_rows(
    name: str,
    count: int,
    *,
    test: float | None,
    seed: int,
    labels: Array | None = None,
    groups: Array | None = None,
    times: Array | None = None,
) -> list[Array]:
    """The rows of each split: `[train, val, test]`, without the last where `test` is None.

    Args:
        name: of the dataset, for messages.
        count: of all rows.
        test: the fraction of all rows that is tested; a fifth of them is validated.
        seed: of what is drawn.
        labels: each class is represented in proportion, if given.
        groups: a number for each row; rows of one number are in one split.
        times: a number for each row; what is validated has higher ones than what trains, and what
            is tested higher ones still.

    Raises:
        RequestError: a split would be empty.
    """
    rng = np.random.default_rng(seed)
    rest = np.arange(count)
    parts: list[Array] = []
    for split, size in (("test", test), ("val", CUT)):
        if size is None:
            continue
        many = split_size(name, split, size, count, len(rest))
        if times is not None:
            rest, taken = _latest(name, split, rest, times[rest], many)
        elif groups is not None:
            rest, taken = _whole_groups(name, split, rest, groups[rest], many, rng)
        else:
            rest, taken = cut(rest, many, labels, rng)
        parts.insert(0, taken)
    return [rest, *parts]


def _latest(name: str, split: str, rows: Array, times: Array, many: int) -> tuple[Array, Array]:
    """Cut about `many` rows off the end, between two different times."""
    order = np.argsort(times, kind="stable")
    changes = np.flatnonzero(np.diff(times[order])) + 1
    if not len(changes):
        raise RequestError(
            f"Dataset {name!r}: time must have a later value for each split; none is left for "
            f"{split}."
        )
    at = changes[np.argmin(abs(changes - (len(rows) - many)))]
    return rows[order[:at]], rows[order[at:]]


def _whole_groups(
    name: str, split: str, rows: Array, groups: Array, many: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Cut groups off, drawn until they have about `many` rows."""
    there = rng.permutation(np.unique(groups))
    if len(there) < 2:
        raise RequestError(
            f"Dataset {name!r}: group must have a value for each split; none is left for {split}."
        )
    sizes = np.cumsum([int((groups == group).sum()) for group in there[:-1]])
    chosen = np.isin(groups, there[: int(np.argmin(abs(sizes - many))) + 1])
    return rng.permutation(rows[~chosen]), rng.permutation(rows[chosen])
