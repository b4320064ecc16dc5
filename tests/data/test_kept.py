"""Data as they were given, for code of the user's own."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from pandas.testing import assert_frame_equal, assert_series_equal

from pipeline.data.fit_data import FitData
from pipeline.data.kept import Kept
from pipeline.data.sending import as_fed
from pipeline.digest import fingerprint
from pipeline.errors import RequestError

N = 20
X = np.arange(2.0 * N).reshape(N, 2)
FRAME = pd.DataFrame({"a": X[:, 0], "b": [True, False] * 10}, index=range(100, 100 + N))
WORDS = pd.DataFrame({"a": X[:, 0], "city": ["Ulm", "Bonn"] * 10})
Y = pd.Series(np.arange(N) % 3, name="y")


def travelled(*parts, **named):
    return pickle.loads(pickle.dumps(FitData.of("d", *parts, **named, as_given=True)))


def given(*parts, **named):
    return travelled(*parts, **named).fit_arguments()


def test_tables_and_columns_arrive_as_they_are():
    (x, y), named = given(FRAME, Y, validation_data=(WORDS, Y))
    assert_frame_equal(x, FRAME)
    assert_series_equal(y, Y)
    assert_frame_equal(named["validation_data"][0], WORDS)
    assert float(np.mean((y - Y.to_numpy()) ** 2)) == 0.0  # and no (n, n) of differences


@pytest.mark.parametrize(
    "x",
    [
        X.tolist(),
        list(range(N)),
        ["Ulm", "Bonn"] * 10,
        tuple(range(N)),
        range(N),
        np.array(["Ulm", "Bonn"] * 10),
        np.ma.array(X, mask=X > 9),
        pd.date_range("2024", periods=N),
        [[1], [2, 3]] * 10,
    ],
    ids=lambda x: type(x).__name__,
)
def test_so_do_lists_and_whatever_is_no_array_of_numbers(x):
    (found,), _ = given(x)
    assert type(found) is type(x) and str(found) == str(x)


def test_tensors_and_sparse_matrices_arrive_as_such():
    sparse = scipy.sparse.random(N, 5, format="coo", random_state=0)
    (tensor, texts), named = given(
        tf.constant(X), tf.constant(["a", "b"] * 10), validation_data=(sparse, Y)
    )
    assert isinstance(tensor, tf.Tensor) and tensor.numpy().tolist() == X.tolist()
    assert texts.dtype == tf.string and texts.numpy().tolist() == [b"a", b"b"] * 10
    found = named["validation_data"][0]
    assert found.format == "coo" and found.toarray().tolist() == sparse.toarray().tolist()


def test_arrays_of_numbers_are_not_copied():
    (x, nest), _ = FitData.of("d", X, {"a": [X, FRAME]}, as_given=True).fit_arguments()
    assert x is X and nest["a"][0] is X
    assert_frame_equal(nest["a"][1], FRAME)


def test_each_training_has_its_own_which_it_may_write():
    data = travelled(FRAME)
    (one,), _ = data.fit_arguments()
    one.loc[100, "a"] = 7.0
    one.iloc[1:, 0] = 5.0
    assert_frame_equal(data.fit_arguments()[0][0], FRAME)


def test_a_few_of_them_are_of_the_same_kinds():
    coo = scipy.sparse.random(N, 5, format="coo", random_state=0)
    data = travelled({"a": FRAME, "b": coo}, ["Ulm", "Bonn"] * 10, Y).sample(4)
    (x, y), named = data.fit_arguments()
    assert_frame_equal(x["a"], FRAME.iloc[:4])
    assert x["b"].format == "coo" and x["b"].shape == (4, 5)
    assert y == ["Ulm", "Bonn"] * 2 and named["sample_weight"].tolist() == Y[:4].tolist()


def test_what_is_known_and_measured_of_them_is_of_the_arrays_that_keras_makes():
    data = travelled(FRAME, Y, validation_data=(FRAME, Y))
    arrays = FitData.of("d", FRAME, Y, validation_data=(FRAME, Y))
    assert data.inputs() == arrays.inputs() and data.describe() == arrays.describe()
    assert data.first_inputs().tolist() == arrays.first_inputs().tolist()
    ours, theirs = (d.measured()["validation"][:2] for d in (data, arrays))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_what_is_no_numbers_cannot_be_measured_and_it_is_said_why():
    data = travelled(WORDS, Y, validation_data=(WORDS, Y))
    assert data.inputs() == {"shape": [2], "dtype": "object"}
    with pytest.raises(RequestError) as refused:
        data.measured()
    assert str(refused.value) == (
        "Data must hold numbers to be measured; its column 'city' holds strings, such as 'Ulm'. "
        "Encode them first, such as by pandas.get_dummies, or read them as numbers."
    )


def test_a_checksum_tells_them_apart():
    def checksum(x):
        return fingerprint(travelled(x))["sha256"]

    others = [
        FRAME,
        FRAME.rename(columns={"a": "c"}),
        FRAME.assign(a=1.0),
        WORDS,
        WORDS.assign(city="Ulm"),
        FRAME["a"],
        FRAME["a"].tolist(),
        tf.constant(FRAME["a"]),
        ["Ulm"] * N,
    ]
    sums = [checksum(x) for x in others]
    assert len(set(sums)) == len(others) and checksum(FRAME.copy()) == sums[0]


def test_what_cannot_be_sent_is_refused():
    class Local(list):
        pass

    with pytest.raises(RequestError) as refused:
        FitData.of("d", Local([1.0] * N), as_given=True)
    assert str(refused.value) == (
        "x must hold numbers; it is a Local, which cannot be sent as it is. Give an array, a table "
        "or a list."
    )
    with pytest.raises(RequestError, match="got generator, which cannot be sent there"):
        FitData.of("d", (i for i in range(3)), as_given=True)
    with pytest.raises(RequestError, match="x and y must have as many examples each"):
        FitData.of("d", FRAME, Y[1:], as_given=True)


def test_a_tensor_is_unpacked_only_where_it_is_asked_for(tmp_path):
    """A worker settles its devices before TensorFlow is imported."""
    data = FitData.of("d", tf.constant(X), as_given=True)
    assert isinstance(data.train[0], Kept)
    (tmp_path / "sent").write_bytes(pickle.dumps(data))
    code = (
        "import pickle, sys; data = pickle.load(open(sys.argv[1], 'rb')); "
        "print(data.inputs(), 'tensorflow' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "sent"], capture_output=True, text=True
    )
    assert ended.stdout == "{'shape': [2], 'dtype': 'float64'} False\n", ended.stderr


def test_keras_is_fed_arrays_of_what_is_numbers_and_the_rest_as_it_is():
    x, column, nest = as_fed(FRAME), as_fed(Y), as_fed({"a": [FRAME, X]})
    assert x.tolist() == FRAME.to_numpy(float).tolist() and column.shape == (N, 1)
    assert nest["a"][0].tolist() == x.tolist() and nest["a"][1] is X
    sparse, texts = scipy.sparse.eye(3, format="csr"), tf.constant(["a"])
    for same in (X, WORDS, sparse, texts, None, tf.data.Dataset.range(3)):
        assert as_fed(same) is same
