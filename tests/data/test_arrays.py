"""What a dataset's `load` may return: what is made of it, or what is said of it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from pipeline.data import conversion
from pipeline.data.arrays import scale_of
from pipeline.data.dataset import as_dataset
from pipeline.errors import RequestError

N = 60
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 3)), np.arange(N) % 2
TABLE = pd.DataFrame({"a": RNG.integers(0, 9, N), "own": RNG.random(N) > 0.5, "c": X[:, 0]})
CITY = pd.Series(["Ulm", "Bonn"] * 30, dtype="category")
GAP = TABLE.assign(c=TABLE.c.where(TABLE.index != 3))
FEW_ZEROS = scipy.sparse.csr_matrix(np.where(X > 0, X, 0))
LABELS, NUMBERS = "classification", "regression"

# What is loaded; the inputs and the targets made of it; task and number of classes.
TAKEN: dict[str, tuple[Any, Any, Any, str, int | None]] = {
    "table of all types": ((TABLE, Y), TABLE.astype("float32"), Y, LABELS, 2),
    "table of integers and booleans": (
        (TABLE[["a", "own"]], Y),
        TABLE[["a", "own"]].astype("int64"),
        Y,
        LABELS,
        2,
    ),
    "get_dummies": (
        (pd.get_dummies(TABLE.assign(city=CITY)), Y),
        pd.get_dummies(TABLE.assign(city=CITY)).astype("float32"),
        Y,
        LABELS,
        2,
    ),
    "nullable table": ((TABLE.convert_dtypes(), Y), TABLE.astype("float32"), Y, LABELS, 2),
    "float64 images": (
        (X.reshape(N, 3, 1, 1), Y),
        X.astype("float32").reshape(N, 3, 1, 1),
        Y,
        LABELS,
        2,
    ),
    "uint8 images": ((np.ones((N, 4, 4), "uint8"), Y), np.ones((N, 4, 4), "uint8"), Y, LABELS, 2),
    "float16": ((X.astype("float16"), Y), X.astype("float16"), Y, LABELS, 2),
    "lists": ((X.tolist(), Y.tolist()), X.astype("float32"), Y, LABELS, 2),
    "objects": ((X.astype(object), Y.astype(object)), X.astype("float32"), Y, LABELS, 2),
    "sparse matrix": ((FEW_ZEROS, Y), FEW_ZEROS.toarray().astype("float32"), Y, LABELS, 2),
    "nothing masked": ((np.ma.masked_less(X, -9), Y), X.astype("float32"), Y, LABELS, 2),
    "booleans": ((X, Y == 1), X.astype("float32"), Y, LABELS, 2),
    "nullable labels": ((X, pd.Series(Y, dtype="Int64")), X.astype("float32"), Y, LABELS, 2),
    "nullable booleans": ((X, pd.Series(Y, dtype="boolean")), X.astype("float32"), Y, LABELS, 2),
    "strings": ((X, np.array(CITY)), X.astype("float32"), 1 - Y, LABELS, 2),
    "strings of pandas": ((X, CITY.astype("string")), X.astype("float32"), 1 - Y, LABELS, 2),
    "categories": ((X, CITY), X.astype("float32"), 1 - Y, LABELS, 2),
    "a column of strings": ((X, CITY.to_frame()), X.astype("float32"), 1 - Y, LABELS, 2),
    "a column of labels": ((X, pd.DataFrame({"y": Y})), X.astype("float32"), Y, LABELS, 2),
    "labels from 1": ((X, Y + 1), X.astype("float32"), Y + 1, LABELS, 3),
    "one-hot table": (
        (X, pd.get_dummies(CITY)),
        X.astype("float32"),
        np.eye(2, dtype="int64")[1 - Y],
        LABELS,
        2,
    ),
    "floats": ((X, X[:, 0]), X.astype("float32"), X[:, 0].astype("float32"), NUMBERS, None),
    "rows of floats": ((X, X), X.astype("float32"), X.astype("float32"), NUMBERS, None),
}
ENCODE = "Encode them first, such as by pandas.get_dummies, or read them as numbers."
FILL = "Fill or drop what is missing first, such as by fillna or dropna."
DAYS = "Make numbers of them first, such as the days since one of them."
X_MUST, Y_MUST = "'mine': x must hold numbers; ", "'mine': y must hold numbers or strings; "
FORMS = (
    "The load of dataset 'mine' must return a pipeline.data.Dataset, ((x_train, y_train), "
    "(x_test, y_test)) or (x, y); got a "
)
ONE_HOT = (
    "'mine' cannot be used: each row of one-hot labels must sum to 1, in y_train some do not; "
    "labels of shape (n,) or task='regression' are possible too."
)
REFUSED: list[tuple[Any, str]] = [
    ((GAP, Y), f"{X_MUST}its column 'c' has 1 missing value, in row 3. {FILL}"),
    ((GAP.convert_dtypes(), Y), f"{X_MUST}its column 'c' has 1 missing value, in row 3. {FILL}"),
    (
        (TABLE.assign(city=CITY), Y),
        f"{X_MUST}its column 'city' holds categories. Encode them first, such as by "
        "pandas.get_dummies or .cat.codes.",
    ),
    (
        (TABLE.assign(t=pd.date_range("2024", periods=N).astype("datetime64[ns]")), Y),
        f"{X_MUST}its column 't' holds dates (datetime64[ns]). {DAYS}",
    ),
    ((np.array(CITY), Y), f"{X_MUST}it holds strings, such as 'Ulm'. {ENCODE}"),
    ((np.array([["1,5", "2,0"]] * N), Y), f"{X_MUST}it holds strings, such as '1,5'. {ENCODE}"),
    (
        (np.array([["a", 1]] * N, object), Y),
        f"{X_MUST}it holds int and str, such as 'a'. Make numbers of them first.",
    ),
    (
        ([[1, 2], [3]] * 30, Y),
        f"{X_MUST}its rows have several lengths. Pad them first: keras.utils.pad_sequences.",
    ),
    (  # as keras.datasets.imdb gives it
        (np.array([[1, 2], [3]] * 30, object), Y),
        f"{X_MUST}its rows have several lengths, 1 to 2. Pad them first: "
        "keras.utils.pad_sequences.",
    ),
    (
        (np.ma.array(X, mask=X[4, 1] == X), Y),
        f"{X_MUST}it has 1 masked value, in row 4. Fill them first: filled(…).",
    ),
    (
        (np.ones(N, [("n", int), ("m", float)]), Y),
        f"{X_MUST}it has the fields n, m. Make columns of them first: "
        "numpy.lib.recfunctions.structured_to_unstructured.",
    ),
    ((X + 1j, Y), f"{X_MUST}it holds complex128. Give real and imaginary parts as columns."),
    (
        (np.full((N, 3), -2e200), Y),
        "'mine': x must fit into float32, which Keras computes in; its largest value is 2e+200. "
        "Scale it first.",
    ),
    (
        (X, np.full(N, 2e200)),
        "'mine': y must fit into float32, which Keras computes in; its largest value is 2e+200. "
        "Scale it first.",
    ),
    (
        (X, np.array(["a", *["b"] * (N - 2), None], object)),
        f"{Y_MUST}it has 1 missing value, in row 59. {FILL}",
    ),
    (
        (X, np.array(["a", np.nan, *["b"] * (N - 2)], object)),
        f"{Y_MUST}it has 1 missing value, in row 1. {FILL}",
    ),
    ((X, GAP.c.astype("Float64")), f"{Y_MUST}it has 1 missing value, in row 3. {FILL}"),
    (
        (X, np.ma.array(Y, mask=Y)),
        f"{Y_MUST}it has 30 masked values, the first in row 1. Fill them first: filled(…).",
    ),
    (
        (X, pd.Series(pd.date_range("2024", periods=N).astype("datetime64[s]"))),
        f"{Y_MUST}it holds dates (datetime64[s]). {DAYS}",
    ),
    (
        (X, 2 * Y - 1),
        "'mine' cannot be used: labels must be integers 0..1, y_train has -1..1; "
        "numpy.unique(y, return_inverse=True)[1] numbers them.",
    ),
    ((X, np.ones((N, 3), int)), ONE_HOT),
    ((X, np.arange(2 * N).reshape(N, 2)), ONE_HOT),
    (
        (X[:, 0], Y),
        "'mine' cannot be used: inputs must have an axis after the first, got (n,); try x[:, None].",
    ),
    (
        ([X, X], Y),
        "'mine': x and y must be of one length, got 2 and 60. Examples are along the first axis of "
        "x, which is one input.",
    ),
    (({"a": X}, Y), f"{FORMS}tuple of 2 (dict, ndarray)."),
    ((X, None), f"{FORMS}tuple of 2 (ndarray, NoneType)."),
    ((X, X, Y, Y), f"{FORMS}tuple of 4 (ndarray, ndarray, ndarray, ndarray)."),
    (((X, Y), (X, Y), (X, Y)), f"{FORMS}tuple of 3 (tuple, tuple, tuple)."),
]


def by_row(array: Any) -> Any:
    """The rows in an order of their own, for a split has shuffled them."""
    flat = array.reshape(len(array), -1)
    return array[np.lexsort(flat.T)]


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_loaded_is_taken_with_its_values(name: str) -> None:
    loaded, x, y, task, classes = TAKEN[name]
    data = as_dataset(loaded, "mine", 0)
    inputs, targets = (
        np.concatenate([getattr(data, f"{array}_{split}") for split in ("train", "val", "test")])
        for array in "xy"
    )
    x, y = np.asarray(x), np.asarray(y)

    assert (data.task, data.classes) == (task, classes)
    assert (inputs.dtype, targets.dtype) == (x.dtype, y.dtype)
    whole = [np.c_[a.reshape(N, -1), b.reshape(N, -1)] for a, b in ((inputs, targets), (x, y))]
    np.testing.assert_array_equal(by_row(whole[0]), by_row(whole[1]))
    assert inputs.shape[1:] == x.shape[1:] and targets.shape[1:] == y.shape[1:]


@pytest.mark.parametrize(("loaded", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_used_is_refused_by_what_it_is(loaded: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        as_dataset(loaded, "mine", 0)
    assert str(refused.value).removeprefix("Dataset ") == message


def test_a_test_split_may_come_in_lists_too() -> None:
    data = as_dataset([[X[:40], Y[:40]], [X[40:], Y[40:]]], "mine", 0)
    assert data.counts == {"train": 32, "val": 8, "test": 20}
    assert data.x_test.tolist() == X[40:].astype("float32").tolist()


def test_a_sparse_matrix_that_is_too_large_when_dense_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversion, "MOST_DENSE_GIB", 1e-7)
    with pytest.raises(RequestError) as refused:
        as_dataset((FEW_ZEROS, Y), "mine", 0)
    assert str(refused.value) == (
        "Dataset 'mine': x must hold numbers; it is a sparse matrix of 60 x 3, 0.0 GiB when it is "
        "dense. Make it narrower first, such as by scikit-learn's TruncatedSVD; search(x, y) of "
        "pipeline.keras_tuner takes it as it is."
    )


def test_features_are_scaled_by_what_is_known_of_them_and_constant_ones_not_at_all():
    column = np.array([1.0, 3.0, np.nan])
    x = np.stack([column, np.full(3, 0.1), np.full(3, np.nan)], axis=1)
    mean, std = scale_of(x)

    assert mean.tolist() == pytest.approx([2.0, 0.1, 0.0])
    assert std.tolist() == [1.0, 1.0, 1.0]
