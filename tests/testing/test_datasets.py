"""The conformance checks of datasets find what breaks the contract."""

import itertools

import numpy as np
import pytest

from pipeline.data.dataset import Dataset
from pipeline.testing.datasets import check_dataset, check_description, check_seed

X, Y = np.random.default_rng(0).normal(size=(60, 3)).astype("float32"), np.arange(60) % 3


def test_arrays_that_are_split_for_the_caller_keep_the_contract():
    def arrays():
        return X, Y

    check_dataset(arrays)
    assert check_description(arrays)["classes"] == 3
    check_seed(arrays, splits_by_seed=True)


def test_a_split_of_the_source_s_own_has_no_use_for_a_seed():
    def official(seed):
        return Dataset.with_test("official", (X, Y), (X, Y), seed=0)

    check_dataset(official)
    with pytest.raises(AssertionError, match="seeds 0 and 1 gave the same validation split"):
        check_seed(official, splits_by_seed=True)


def test_a_dataset_that_is_never_the_same_is_found():
    turns = itertools.count()

    def shuffled(seed):
        order = np.random.default_rng(next(turns)).permutation(60)
        return X[order], Y[order]

    with pytest.raises(AssertionError, match="seed 0 gave two different"):
        check_seed(shuffled)
