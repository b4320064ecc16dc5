"""Folds: the parts that scikit-learn's splitters give by hand, and a line where there can be none."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import model_selection as sklearn
from sklearn.preprocessing import StandardScaler

from pipeline.data.dataset import Dataset
from pipeline.data.folds import cut_folds
from pipeline.errors import RequestError
from pipeline.names import resolve
from pipeline.worker.spaces.loading import load_dataset

LABELS = np.repeat([0, 1, 2], [30, 20, 11])[np.random.default_rng(3).permutation(61)]
NUMBERS = np.random.default_rng(4).normal(size=61).astype("float32")
GROUPS = np.random.default_rng(5).integers(0, 14, 61)
SHUFFLED = {"shuffle": True, "random_state": 9}


def assert_same_parts(folds, splitter, y, groups=None):
    by_hand = list(splitter.split(np.zeros(len(y)), y, groups))
    assert len(folds) == len(by_hand)
    for fold, (train, val) in zip(folds.parts, by_hand, strict=True):
        assert np.array_equal(fold.train, train) and np.array_equal(fold.val, val)


def test_classes_are_stratified_as_by_scikit_learn():
    folds = cut_folds("d", 5, LABELS, "classification", 9)
    assert_same_parts(folds, sklearn.StratifiedKFold(5, **SHUFFLED), LABELS)
    assert folds.describe() == {"count": 5, "by": "stratified"}
    one_hot = cut_folds("d", 5, np.eye(3)[LABELS], "classification", 9)
    assert_same_parts(one_hot, sklearn.StratifiedKFold(5, **SHUFFLED), LABELS)


def test_examples_are_counted_in_all_folds_together():
    times = np.arange(61)
    by_time = cut_folds("d", 4, LABELS, "classification", 9, times=times)
    assert cut_folds("d", 5, LABELS, "classification", 9).counts == {"train": 61, "val": 61}
    # the earliest part of five validates nothing
    assert by_time.counts == {"train": 61, "val": 48}

    data = load_dataset(resolve("dataset", "breast_cancer"), seed=4)
    counts = data.with_folds(3, 4).counts
    assert counts == {"train": 455, "val": 455, "test": 114} and sum(data.counts.values()) == 569


def test_numbers_are_shuffled_as_by_scikit_learn():
    folds = cut_folds("d", 4, NUMBERS, "regression", 9)
    assert_same_parts(folds, sklearn.KFold(4, **SHUFFLED), NUMBERS)
    assert folds.by == "shuffled"
    several = cut_folds("d", 4, np.stack([NUMBERS, NUMBERS], axis=1), "regression", 9)
    assert_same_parts(several, sklearn.KFold(4, **SHUFFLED), NUMBERS)


def test_groups_stay_together_as_by_scikit_learn():
    classes = cut_folds("d", 3, LABELS, "classification", 9, groups=GROUPS)
    assert_same_parts(classes, sklearn.StratifiedGroupKFold(3, **SHUFFLED), LABELS, GROUPS)
    assert classes.by == "stratified by group"
    numbers = cut_folds("d", 3, NUMBERS, "regression", 9, groups=GROUPS)
    assert_same_parts(numbers, sklearn.GroupKFold(3, **SHUFFLED), NUMBERS, GROUPS)
    assert numbers.by == "by group"
    for fold in (*classes.parts, *numbers.parts):
        assert not set(GROUPS[fold.train]) & set(GROUPS[fold.val])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_validates_by_time_is_later_than_what_was_trained_on(task):
    times = np.random.default_rng(6).permutation(61) // 2
    folds = cut_folds("d", 3, LABELS, task, 9, times=times)
    order = np.argsort(times, kind="stable")
    by_hand = sklearn.TimeSeriesSplit(3).split(order)
    for fold, (train, val) in zip(folds.parts, by_hand, strict=True):
        assert np.array_equal(fold.train, order[train]) and np.array_equal(fold.val, order[val])
        assert times[fold.train].max() <= times[fold.val].min()
    assert folds.by == "by time"


TWO = np.repeat([0, 1], [40, 2])


@pytest.mark.parametrize(
    ("count", "y", "how", "said"),
    [
        (
            3,
            TWO,
            {},
            "folds must not be more than the rows of each class; class 1 has 2 to train and "
            "validate on, and folds is 3.",
        ),
        (
            3,
            np.eye(2)[TWO],
            {"class_names": ("benign", "malignant")},
            "folds must not be more than the rows of each class; class 'malignant' has 2 to train "
            "and validate on, and folds is 3.",
        ),
        (43, TWO, {}, "folds must be 42 at most, with 42 rows to train and validate on; got 43."),
        (
            42,
            TWO,
            {"times": np.arange(42)},
            "folds must be 41 at most by time, with 42 rows to train and validate on; got 42.",
        ),
        (
            3,
            np.repeat([0, 1], [22, 20]),
            {"groups": np.arange(42) % 2},
            "folds must not be more than the groups, of which there are 2; got 3.",
        ),
        (
            2,
            TWO,
            {"groups": np.arange(42), "times": np.arange(42)},
            "folds must be cut by groups or by time; both are given.",
        ),
        (
            2,
            TWO,
            {"groups": np.arange(30)},
            "groups must have a value for each of the 42 training and validation rows; got 30.",
        ),
    ],
)
def test_folds_that_cannot_be_are_refused_in_a_line(count, y, how, said):
    with pytest.raises(RequestError) as refused:
        cut_folds("mine", count, y, "classification", 0, **how)
    assert str(refused.value) == f"Dataset 'mine': {said}"


def test_a_fold_that_no_group_is_left_for_is_refused():
    # scikit-learn balances the classes, and leaves one of the four without rows
    groups, y = np.repeat([0, 1, 2, 3], [2, 8, 4, 4]), np.repeat([1, 0, 1], [2, 12, 4])
    with pytest.raises(RequestError, match="each of 4 folds must have a group to validate on"):
        cut_folds("mine", 4, y, "classification", 0, groups=groups)


def test_a_fold_has_its_rows_of_the_training_and_validation_examples():
    data = load_dataset(resolve("dataset", "digits"), 9, folds=3)
    x, y = (np.concatenate([getattr(data, f"{a}_train"), getattr(data, f"{a}_val")]) for a in "xy")
    splitter = sklearn.StratifiedKFold(3, shuffle=True, random_state=9)
    for number, (train, val) in enumerate(splitter.split(y, y)):
        fold = data.fold(number)
        assert np.array_equal(fold.x_train, x[train]) and np.array_equal(fold.y_train, y[train])
        assert np.array_equal(fold.x_val, x[val]) and np.array_equal(fold.y_val, y[val])
        assert np.array_equal(fold.x_test, data.x_test) and fold.folds is None
    whole = data.whole()
    assert np.array_equal(whole.x_train, x) and np.array_equal(whole.y_train, y)


def test_what_was_standardised_is_so_by_each_folds_own_training_rows():
    from sklearn.datasets import load_breast_cancer

    bundled = load_breast_cancer()
    raw = Dataset.split("raw", bundled.data, bundled.target, 2)
    data = load_dataset(resolve("dataset", "breast_cancer"), 2, folds=4)
    rows = np.concatenate([raw.x_train, raw.x_val])
    splitter = sklearn.StratifiedKFold(4, shuffle=True, random_state=2)
    y = np.concatenate([raw.y_train, raw.y_val])
    for number, (train, val) in enumerate(splitter.split(rows, y)):
        scaler, fold = StandardScaler().fit(rows[train].astype("float64")), data.fold(number)
        for split, x in (("train", rows[train]), ("val", rows[val]), ("test", raw.x_test)):
            np.testing.assert_allclose(
                getattr(fold, f"x_{split}"), scaler.transform(x), rtol=1e-4, atol=1e-5
            )
        np.testing.assert_allclose(fold.standardisation["mean"], scaler.mean_, rtol=1e-6)
        np.testing.assert_allclose(fold.standardisation["std"], scaler.scale_, rtol=1e-5)


def test_a_regressions_target_is_scaled_by_each_folds_own_training_rows():
    x = np.arange(40.0)[:, None]
    data = Dataset.split("d", x, 3 * x[:, 0] + 1, 0, standardise_target=True).with_folds(4, 0)
    fold = data.fold(1)
    assert fold.y_train.mean() == pytest.approx(0, abs=1e-6)
    assert fold.y_train.std() == pytest.approx(1, rel=1e-6)
    assert fold.standardisation["target_mean"] != data.standardisation["target_mean"]
    assert np.array_equal(np.unique(fold.x_train), np.sort(fold.x_train[:, 0]))


def test_groups_follow_their_rows_and_a_sample_keeps_its_folds():
    data = Dataset.split("d", np.arange(60.0)[:, None], np.arange(60) % 2, 0, task="classification")
    groups = np.concatenate([data.x_train, data.x_val])[:, 0] // 6
    data = replace(data, groups=groups).with_folds(3, 0)
    fold = data.fold(2)
    assert np.array_equal(fold.groups[: len(fold.x_train)], fold.x_train[:, 0] // 6)
    few = data.sample(4)
    assert len(few.folds) == 3 and len(few.fold(2).x_train) == 4 and len(few.fold(0).x_val) == 4


def test_data_that_a_script_hands_over_has_no_folds():
    from pipeline.data.fit_data import FitData

    data = FitData.of("d", np.ones((8, 2)), np.ones(8), validation_split=0.5)
    with pytest.raises(RequestError, match="folds must be of a dataset: a name, a file, arrays"):
        load_dataset(data, 0, folds=2)
