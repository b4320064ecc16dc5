"""Conformance of a dataset: what it says of itself, and that a seed decides its splits.

    from pipeline.testing import datasets

    def test_dataset():
        datasets.check_dataset("my_package.my_data")

A dataset is given as to an experiment: a name, or a function that loads it.
"""

import json
from typing import Any

import numpy as np

from pipeline import names
from pipeline.data.dataset import SPLITS, Dataset
from pipeline.worker.spaces.loading import load_dataset


def check_dataset(dataset: Any) -> None:
    """Check all that must hold of any dataset."""
    check_description(dataset)
    check_seed(dataset)


def check_description(dataset: Any) -> dict[str, Any]:
    """Check what a dataset says of itself.

    Returns:
        What it says, as it would be read from a record.
    """
    data = load(dataset, 0)
    described: dict[str, Any] = json.loads(json.dumps(data.describe()))
    assert described["name"], "a dataset must have a name"
    counts = described["counts"]
    assert all(counts[split] > 0 for split in SPLITS), f"no split may be empty; it has {counts}"
    assert (described["classes"] is None) == (described["task"] == "regression"), (
        f"a classification has classes, a regression none; it is a {described['task']} with "
        f"{described['classes']}"
    )
    for split in SPLITS:
        x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        assert len(x) == len(y) == counts[split], f"{split} must have a target for each example"
    return described


def check_seed(dataset: Any, *, splits_by_seed: bool = False) -> None:
    """Check that a seed always gives the same splits.

    Args:
        dataset: what is tested.
        splits_by_seed: whether another seed has to give other ones. A dataset whose source
            says which examples are for validation has no use for a seed.
    """
    first, again = load(dataset, 0), load(dataset, 0)
    for split in SPLITS:
        for kind in "xy":
            one, other = (getattr(data, f"{kind}_{split}") for data in (first, again))
            assert np.array_equal(one, other), f"seed 0 gave two different {kind}_{split}"
    if splits_by_seed:
        assert not np.array_equal(first.x_val, load(dataset, 1).x_val), (
            "seeds 0 and 1 gave the same validation split"
        )


def load(dataset: Any, seed: int) -> Dataset:
    """Load a dataset as a search does."""
    data = load_dataset(names.resolve("dataset", dataset), seed)
    assert isinstance(data, Dataset), f"it must be a dataset; it is {type(data).__name__}"
    return data
