"""Examples in folds that were given."""

import numpy as np
import pytest

from pipeline.digest import fingerprint
from pipeline.errors import RequestError
from pipeline.scikit_learn.cross_validated import CrossValidated

X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])
PARTS = [(np.array([0, 1]), np.array([5, 4])), (np.array([2]), np.array([0, 3, 1]))]


def test_a_fold_has_the_rows_that_were_given_in_their_order():
    data = CrossValidated.of("X", X, Y, "classification", PARTS, classes=2)

    for number, (train, test) in enumerate(PARTS):
        fold = data.fold(number)
        np.testing.assert_array_equal(fold.x_train, X[train])
        np.testing.assert_array_equal(fold.x_val, X[test])
        np.testing.assert_array_equal(fold.y_val, Y[test])
        assert fold.measured().keys() == {"validation"}
    assert data.describe()["folds"] == {"count": 2, "by": "as given"}
    assert data.describe()["counts"] == {"train": 6, "val": 5, "test": 0} and not data.measured()


def test_one_part_is_a_validation_split_and_none_is_all_of_it():
    one = CrossValidated.of("X", X, Y, "classification", PARTS[:1], classes=2)
    none = CrossValidated.of("X", X, Y, "classification", classes=2)

    assert one.folds is None and one.counts == {"train": 2, "val": 2, "test": 0}
    assert none.folds is None and none.counts == {"train": 6, "val": 0, "test": 0}


def test_other_folds_are_another_dataset():
    one, other = (CrossValidated.of("X", X, Y, "regression", p) for p in (PARTS, PARTS[::-1]))

    assert fingerprint(one)["sha256"] != fingerprint(other)["sha256"]


def test_it_is_cut_into_no_other_number_of_folds():
    data = CrossValidated.of("X", X, Y, "classification", PARTS, classes=2)

    assert data.with_folds(2, seed=0) is data
    with pytest.raises(RequestError, match="Dataset 'X': folds must be the 2 that it has; got 3."):
        data.with_folds(3, seed=0)
