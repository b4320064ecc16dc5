"""Pictures that were found, with what each shows and which split it is of: whatever they are in."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.data.arrays import Array, Task
from pipeline.data.dataset import SPLITS
from pipeline.data.pictures.sources import Source
from pipeline.data.request import DataRequest
from pipeline.errors import RequestError, quoted


@dataclass(frozen=True)
class Collection:
    """Pictures with their targets.

    Args:
        called: the folder or the file that they are from.
        source: the pictures.
        rows: numbers of pictures in `source`, by split; what is missing of `val` and `test` is
            still to be cut from `train`.
        targets: labels 0, 1, … or numbers of the same pictures.
        task: what the targets are.
        class_names: what the labels are called.
        left_out: what else there is, in words, with its count.
    """

    called: str
    source: Source
    rows: Mapping[str, Array]
    targets: Mapping[str, Array]
    task: Task
    class_names: tuple[str, ...] | None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many pictures there are, in all splits."""
        return sum(map(len, self.rows.values()))


def check_test(request: DataRequest, called: str, has_test: bool) -> None:
    """Refuse a test beside a test split.

    Raises:
        RequestError: there are two.
    """
    if has_test and request.test is not None:
        raise RequestError(f"--test must not be given beside a test split; {called} has one.")


def check_counts(collection: Collection) -> None:
    """Refuse a class with fewer pictures than there are splits to cut from them.

    Raises:
        RequestError: names the classes.
    """
    names = collection.class_names
    if names is None:
        return
    needed = 1 + sum(split not in collection.rows for split in SPLITS)
    counts = Counter(collection.targets["train"].tolist())
    few = [f"{quoted(name)} has {counts[n]}" for n, name in enumerate(names) if counts[n] < needed]
    if few:
        raise RequestError(
            f"Each class must have {needed} pictures or more"
            + (", one for each split" * (needed > 1))
            + f"; in {collection.called} {', '.join(few)}. Add pictures, or leave the class out."
        )


def consecutive(lengths: Mapping[str, int]) -> dict[str, Array]:
    """Numbers of pictures that lie split after split."""
    ends = np.cumsum(list(lengths.values()))
    return {
        split: np.arange(end - length, end)
        for (split, length), end in zip(lengths.items(), ends, strict=True)
    }
