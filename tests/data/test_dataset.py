"""What a dataset is, how arrays become one, and how wrong arrays are refused."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pipeline.data.dataset import Dataset, as_dataset
from pipeline.errors import RequestError

N = 100


def numbered(n: int = N) -> np.ndarray[Any, Any]:
    """Inputs (n, 1) that are their own index, so that a split can be traced."""
    return np.arange(n, dtype=np.float32)[:, None]


def labels(n: int = N, classes: int = 2) -> np.ndarray[Any, Any]:
    return np.arange(n) % classes


def made(**changes: Any) -> Dataset:
    """A valid classification made by hand, with `changes`."""
    fields: dict[str, Any] = {"name": "mine", "task": "classification", "classes": 2}
    for split, n in (("train", 6), ("val", 4), ("test", 2)):
        fields |= {f"x_{split}": numbered(n), f"y_{split}": labels(n)}
    return Dataset(**(fields | changes))


def rows(data: Dataset, split: str) -> set[int]:
    return {int(v) for v in getattr(data, f"x_{split}").ravel()}


# What it says of itself.


def test_describe_is_plain_json_with_the_facts() -> None:
    data = Dataset.split(
        "mine", numbered(), labels(), 0, source="here", licence="CC0", standardise=True
    )

    described = json.loads(json.dumps(data.describe()))

    assert described["name"] == "mine"
    assert described["task"] == "classification"
    assert described["classes"] == 2
    assert described["shape"] == [1]
    assert described["dtype"] == "float32"
    assert described["counts"] == {"train": 60, "val": 20, "test": 20}
    assert described["range"] == [float(data.x_train.min()), float(data.x_train.max())]
    assert (described["source"], described["licence"]) == ("here", "CC0")
    assert set(described["standardisation"]) == {"mean", "std"}


def test_repr_holds_no_array() -> None:
    assert "array" not in repr(made())


# Splitting.


def test_split_uses_every_example_once() -> None:
    data = Dataset.split("mine", numbered(), labels(), 0)

    parts = [rows(data, split) for split in ("train", "val", "test")]

    assert [len(p) for p in parts] == [60, 20, 20]
    assert set.union(*parts) == set(range(N))


def test_split_is_repeated_by_its_seed_and_changed_by_another() -> None:
    first, again, other = (Dataset.split("mine", numbered(), labels(), s) for s in (1, 1, 2))

    assert np.array_equal(first.x_train, again.x_train)
    assert rows(first, "val") == rows(again, "val")
    assert rows(first, "val") != rows(other, "val")
    assert rows(first, "test") != rows(other, "test")


def test_inputs_keep_their_labels() -> None:
    data = Dataset.split("mine", numbered(), labels(classes=5), 3)

    for split in ("train", "val", "test"):
        x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
        assert np.array_equal(x.ravel() % 5, y)


@pytest.mark.parametrize("one_hot", [False, True])
def test_each_class_is_split_in_proportion(one_hot: bool) -> None:
    y = np.repeat([0, 1], [90, 10])
    data = Dataset.split("mine", numbered(), np.eye(2)[y] if one_hot else y, 0)

    rare = [sum(row >= 90 for row in rows(data, split)) for split in ("train", "val", "test")]

    assert rare == [6, 2, 2]


def test_sorted_examples_are_shuffled_within_a_split() -> None:
    data = Dataset.split("mine", numbered(), np.repeat([0, 1], 50), 0)

    assert 0.2 < data.y_train[:30].mean() < 0.8
    # Neither sorted nor dealt out in turn: somewhere one label comes three times in a row.
    y = data.y_train
    assert ((y[:-2] == y[1:-1]) & (y[1:-1] == y[2:])).any()


def test_small_split_favours_no_class() -> None:
    y = labels(classes=10)
    splits = [Dataset.split("mine", numbered(), y, seed, val=5, test=5) for seed in range(20)]

    assert set(np.concatenate([data.y_val for data in splits])) == set(range(10))
    assert all(len(set(data.y_val)) == 5 for data in splits)


def test_a_class_with_one_example_can_be_split() -> None:
    data = Dataset.split("mine", numbered(), np.repeat([0, 1, 2], [60, 39, 1]), 0)

    assert data.classes == 3
    assert 2 in data.y_train


def test_a_split_may_be_given_as_a_count() -> None:
    data = Dataset.split("mine", numbered(), labels(), 0, val=7, test=0.1)

    assert data.counts == {"train": 83, "val": 7, "test": 10}


@pytest.mark.parametrize("val", [0, 1.5, -3, N, True, 0.99, float("nan")])
def test_impossible_split_says_what_is_possible(val: float) -> None:
    with pytest.raises(RequestError, match=r"val must be a fraction in \(0, 1\), or a count that"):
        Dataset.split("mine", numbered(), labels(), 0, val=val)


def test_with_test_keeps_the_given_test_split() -> None:
    test = (numbered(10) + 1000, labels(10))

    data = Dataset.with_test("mine", (numbered(), labels()), test, 0, val=25)

    assert np.array_equal(data.x_test, test[0])
    assert data.counts == {"train": 75, "val": 25, "test": 10}
    assert rows(data, "train") | rows(data, "val") == set(range(N))


# Standardising.


def test_inputs_are_scaled_by_the_training_split_alone() -> None:
    plain = Dataset.split("mine", numbered(), labels(), 0)
    scaled = Dataset.split("mine", numbered(), labels(), 0, standardise=True)

    mean, std = plain.x_train.mean(), plain.x_train.std()
    assert scaled.standardisation is not None
    assert scaled.standardisation["mean"] == pytest.approx([mean])
    assert scaled.standardisation["std"] == pytest.approx([std])
    for split in ("train", "val", "test"):
        expected = (getattr(plain, f"x_{split}") - mean) / std
        np.testing.assert_allclose(getattr(scaled, f"x_{split}"), expected, atol=1e-5)
    assert scaled.dtype == "float32"


def test_constant_input_becomes_zero() -> None:
    # 0.1 in float64: the sum's rounding gives it a standard deviation of 1e-17, not 0
    data = Dataset.split("mine", np.full((N, 1), 0.1), labels(), 0, standardise=True)

    assert data.standardisation is not None
    assert data.standardisation["std"] == [1.0]
    np.testing.assert_allclose(data.x_test, 0, atol=1e-7)


def test_target_is_scaled_by_the_training_split_alone() -> None:
    y = np.linspace(50.0, 350.0, N)
    data = Dataset.split("mine", numbered(), y, 0, standardise_target=True)

    assert data.standardisation is not None
    assert data.y_train.mean() == pytest.approx(0, abs=1e-6)
    assert data.y_train.std() == pytest.approx(1, abs=1e-6)
    mean, std = data.standardisation["target_mean"], data.standardisation["target_std"]
    back = data.y_test * std + mean
    np.testing.assert_allclose(back, y[data.x_test.ravel().astype(int)], rtol=1e-5)
    assert "mean" not in data.standardisation


def test_labels_cannot_be_standardised() -> None:
    with pytest.raises(RequestError, match="standardise_target is for a regression"):
        Dataset.split("mine", numbered(), labels(), 0, standardise_target=True)


# Targets.


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (np.arange(N) % 3, "classification", 3),
        (np.arange(N)[:, None] % 3, "classification", 3),
        (np.arange(N) % 2 == 0, "classification", 2),
        (np.array(["no", "yes"] * 50), "classification", 2),
        (np.array(["no", "yes"] * 50, dtype=object), "classification", 2),
        (np.eye(4)[np.arange(N) % 4], "classification", 4),
        (np.linspace(0, 1, N), "regression", None),
        (np.linspace(0, 1, N)[:, None], "regression", None),
        (np.random.default_rng(0).normal(size=(N, 2)), "regression", None),
    ],
    ids=["int", "column", "bool", "string", "object", "one-hot", "float", "floats", "two targets"],
)
def test_task_and_classes_are_inferred(y: Any, task: str, classes: int | None) -> None:
    data = as_dataset((numbered(), y), "mine", 0)

    assert (data.task, data.classes) == (task, classes)
    if y.ndim == 1 or y.shape[1] == 1:
        assert data.target_shape == ()
    else:
        assert data.target_shape == (y.shape[1],)


def test_strings_are_numbered_in_sorted_order_over_both_parts() -> None:
    train, test = (numbered(4), ["dog", "cat", "dog", "cat"]), (numbered(2), ["ant", "dog"])

    data = Dataset.with_test("mine", train, test, 0, val=1)

    assert data.classes == 3
    assert data.y_test.tolist() == [0, 2]
    assert data.class_names == ("ant", "cat", "dog")


@pytest.mark.parametrize(
    ("y", "task", "classes", "names"),
    [
        (["no", "yes"] * (N // 2), None, None, ("no", "yes")),
        (np.array([b"no", b"yes"] * (N // 2)), None, None, ("no", "yes")),
        (labels().astype(bool), None, None, ("False", "True")),
        (["no", "yes"] * (N // 2), None, 3, None),  # who says that there are more has not named all
        (labels().astype(bool), "regression", None, None),
        (labels(), None, None, None),
    ],
)
def test_strings_and_truth_values_name_the_classes(
    y: Any, task: Any, classes: Any, names: Any
) -> None:
    data = Dataset.split("mine", numbered(), y, 0, task=task, classes=classes)

    assert data.class_names == names
    if names is not None:
        assert data.recut(np.arange(5), np.arange(5, 9)).class_names == names
        assert data.describe()["class_names"] == list(names)


def test_given_task_overrides_what_the_labels_look_like() -> None:
    regression = Dataset.split("mine", numbered(), labels(), 0, task="regression")
    classification = Dataset.split(
        "mine", numbered(), labels().astype(float), 0, task="classification"
    )

    assert regression.y_train.dtype == np.float32
    assert classification.classes == 2
    assert classification.y_train.dtype.kind == "i"


def test_integer_targets_that_are_no_labels_are_refused() -> None:
    with pytest.raises(RequestError, match="Return floats for a regression, or number the classes"):
        as_dataset((numbered(), np.arange(N) * 1000), "prices", 0)


def test_target_with_too_many_axes_is_refused() -> None:
    with pytest.raises(RequestError, match="must be a number or a row, got shape"):
        as_dataset((numbered(), np.ones((N, 2, 2)) / 3), "mine", 0)


def test_parts_with_different_targets_are_refused() -> None:
    with pytest.raises(RequestError, match=r"in each part, got \(100,\) and \(10, 2\)"):
        Dataset.with_test("mine", (numbered(), labels()), (numbered(10), np.eye(2)[labels(10)]), 0)


# The check.

NAN = np.array([[0.0], [np.nan], [np.inf], [1.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_val": labels(3)}, "x_val and y_val must be of one length, got 4 and 3"),
        ({"x_test": numbered(0), "y_test": labels(0)}, "the test split must not be empty"),
        ({"x_val": np.ones((4, 2))}, r"one shape in every split, got \(1,\) in train, \(2,\) in"),
        ({"x_train": [[1.0]] * 6}, "x_train must be a numpy array, got a list of 6"),
        ({"x_train": np.ones(6), "x_val": np.ones(4), "x_test": np.ones(2)}, r"try x\[:, None\]"),
        ({"x_val": NAN}, "x_val must hold no NaN and no infinity, got 2 in 4 values"),
        ({"x_val": np.array([["a"]] * 4)}, "x_val must hold numbers, got <U1"),
        ({"task": "clustering"}, "one of classification, regression, got 'clustering'"),
        ({"classes": None}, "2 classes or more, got classes=None"),
        ({"classes": 1}, "2 classes or more, got classes=1"),
        ({"class_names": ("a", "b", "c")}, "2 classes need as many names, got 3"),
        ({"y_val": labels(4) + 1}, r"labels must be integers 0\.\.1, y_val has 1\.\.2"),
        ({"y_val": labels(4) - 1}, r"labels must be integers 0\.\.1, y_val has -1\.\.0"),
        ({"y_val": labels(4) / 2}, r"labels must be integers 0\.\.1, y_val is float64"),
        ({"task": "regression"}, "a regression has no classes, got classes=2"),
    ],
)
def test_wrong_arrays_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match="Dataset 'mine' cannot be used: .*" + message):
        made(**changes)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(RequestError) as refused:
        made(y_train=labels(5), x_val=NAN)

    assert "x_train and y_train must be of one length" in str(refused.value)
    assert "x_val must hold no NaN" in str(refused.value)


def test_nan_target_of_a_regression_is_refused() -> None:
    y = np.linspace(0, 1, N)
    y[5] = np.nan

    with pytest.raises(RequestError, match="must hold no NaN and no infinity, got 1 in"):
        as_dataset((numbered(), y), "mine", 0)


def test_one_hot_labels_are_kept() -> None:
    hot = {
        f"y_{split}": np.eye(2)[labels(n)]
        for split, n in zip(("train", "val", "test"), (6, 4, 2), strict=True)
    }

    assert made(**hot).target_shape == (2,)
    with pytest.raises(RequestError, match="need 3 columns, one a class, y_train has 2"):
        made(**hot, classes=3)
    with pytest.raises(RequestError, match="must sum to 1, in y_val some do not"):
        made(**(hot | {"y_val": np.ones((4, 2))}))
    with pytest.raises(RequestError, match=r"\(n, 2\) when one-hot, got \(n, 2, 1\)"):
        made(**{k: v[..., None] for k, v in hot.items()})


def test_a_dataset_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().classes = 3  # type: ignore[misc]


# What a user's load may return.


def test_dataset_passes_as_it_is() -> None:
    data = made()

    assert as_dataset(data, "other", 0) is data


def test_keras_form_keeps_the_test_split() -> None:
    data = as_dataset(((numbered(), labels()), (numbered(10), labels(10))), "mine", 0)

    assert data.counts == {"train": 80, "val": 20, "test": 10}
    assert data.name == "mine"


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "int64", "bool"])
def test_arrays_are_taken_as_they_are(dtype: str) -> None:
    x = numbered().astype(dtype)

    data = as_dataset((x, labels()), "mine", 0)

    assert data.dtype == dtype
    assert data.standardisation is None
    assert sorted(np.concatenate([data.x_train, data.x_val, data.x_test]).ravel()) == sorted(
        x.ravel()
    )


def test_float64_becomes_float32() -> None:
    data = as_dataset((numbered().astype(float), np.linspace(0, 1, N)), "mine", 0)

    assert data.dtype == "float32"
    assert data.y_train.dtype == np.float32


def test_lengths_that_differ_are_refused_before_the_split() -> None:
    with pytest.raises(RequestError, match="x and y must be of one length, got 100 and 99"):
        as_dataset((numbered(), labels(99)), "mine", 0)


@pytest.mark.parametrize(
    ("loaded", "got"),
    [
        (None, "None"),
        ({"x": 1}, "a dict"),
        (numbered(), "a ndarray"),
        ((numbered(), labels(), 3), r"a tuple of 3 \(ndarray, ndarray, int\)"),
        (((numbered(), labels()), labels()), r"a tuple of 2 \(tuple, ndarray\)"),
        (((1, 2, 3), (1, 2, 3)), r"a tuple of 2 \(tuple, tuple\)"),
        ((numbered(), None), r"a tuple of 2 \(ndarray, NoneType\)"),
    ],
)
def test_other_returns_say_what_load_may_return(loaded: Any, got: str) -> None:
    with pytest.raises(RequestError) as refused:
        as_dataset(loaded, "mine", 0)

    assert refused.match(r"must return a pipeline\.data\.Dataset, \(\(x_train, y_train\), ")
    assert refused.match(rf"or \(x, y\); got {got}\.$")
