"""Arrays in place of a dataset."""

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipeline.data.dataset import as_dataset
from pipeline.data.given import Arrays
from pipeline.digest import fingerprint, label
from pipeline.errors import RequestError

X, Y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3

PIPELINE = tf.data.Dataset.from_tensor_slices((X, Y))


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> Any:
        return X[:10], Y[:10]


BATCHES = Batches()
GIVE = r"Give an array, a table or a list.$"
SEARCH = r"In its place: tuner.search\(train, validation_data=val\) of pipeline.keras_tuner.$"


def as_loaded(given: Any) -> Any:
    return as_dataset(Arrays(given)(), "arrays", 0).describe()


@pytest.mark.parametrize(
    "given",
    [
        (X, Y),
        ((X, Y), (X[:6], Y[:6])),
        (X, Y * 0.5),
        (X, np.eye(3)[Y]),
        (X, np.array(["a", "b", "c"])[Y]),
        (X, Y[:, None] > 0),
        (pd.DataFrame({"a": X[:, 0], "b": Y}), pd.Series(Y)),
        (X.tolist(), Y.tolist()),
    ],
)
def test_they_are_what_a_load_that_returns_them_makes(given: Any) -> None:
    assert as_loaded(given) == as_dataset(given, "arrays", 0).describe()


def test_they_are_called_arrays_and_told_apart_by_what_they_hold() -> None:
    arrays = Arrays((X, Y))
    same = [Arrays((X.copy(), Y.copy())), Arrays((pd.DataFrame(X), pd.Series(Y)))]
    others = [Arrays((X + 1, Y)), Arrays((X, Y[::-1])), Arrays(((X, Y), (X, Y)))]

    assert label(arrays) == "arrays" and fingerprint(arrays)["object"] == "arrays"
    assert all(fingerprint(other) == fingerprint(arrays) for other in same)
    assert all(fingerprint(other) != fingerprint(arrays) for other in others)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, Y, X), r"got a tuple of 3 \(ndarray, ndarray, ndarray\).$"),
        ((X, "price"), r"got a tuple of 2 \(ndarray, str\).$"),
        ((X, Y[1:]), "'arrays': x and y must be of one length, got 30 and 29.$"),
        ((X, ([[1], [1, 2]])), "'arrays': y must hold numbers or strings; its rows have s"),
        (
            (pd.DataFrame({"a": ["b"] * 30}), Y),
            "'arrays': x must hold numbers; its column 'a' holds str",
        ),
        ((PIPELINE, PIPELINE), f"x must hold numbers; it is a tf.data.Dataset. {SEARCH}"),
        ((BATCHES, BATCHES), f"x must hold numbers; it is a PyDataset. {SEARCH}"),
        (((i for i in range(3)), Y), f"x must hold numbers; it is of type generator. {GIVE}"),
        ((len, Y), f"x must hold numbers; it is of type builtin_function_or_method. {GIVE}"),
        ((X, object()), f"y must hold numbers or strings; it is of type object. {GIVE}"),
        ((X, Y, PIPELINE), r"got a tuple of 3 \(ndarray, ndarray, tf.data.Dataset\).$"),
        (((X, Y), (X, Y[:, None, None])), r"y must be \(n,\) or \(n, k\) in each part"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        Arrays(given)
    assert "\n" not in str(refused.value)
    if isinstance(given, tuple) and len(given) == 2:
        with pytest.raises(RequestError, match=message.replace("arrays", "mine")):
            as_dataset(given, "mine", 0)


@pytest.mark.parametrize("y", [np.array(["a", "b", "c"])[Y], np.array(["a", "b", "c"], object)[Y]])
def test_strings_name_the_classes(y: Any) -> None:
    described = as_loaded((X, y))

    assert (described["classes"], described["class_names"]) == (3, ["a", "b", "c"])
    parts = as_loaded(((X, y), (X[:1], y[:1])))
    assert parts["class_names"] == ["a", "b", "c"]
