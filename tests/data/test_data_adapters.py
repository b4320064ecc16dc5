"""What `fit` is handed gives the batches that Keras's own data adapters make of the original.

Each input travels as it does to a trial; values, shapes and types of every batch are compared.
"""

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorflow as tf
from keras.src.trainers.data_adapters import array_slicing, get_data_adapter
from ray import cloudpickle

from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError
from tests.conftest import installed

N, BATCH = 40, 16
RNG = np.random.default_rng(0)
FLOATS, INTEGERS, WORDS = RNG.normal(size=(N, 3)), RNG.integers(0, 9, (N, 3)), ["Ulm", "Bonn"] * 20
ZEROS_AND_ONES = RNG.integers(0, 2, (N, 4))
TABLE = pd.DataFrame({"a": FLOATS[:, 0], "b": INTEGERS[:, 0], "c": RNG.random(N) > 0.5})

# Taken as Keras takes it.
SAME = {
    "float64": FLOATS,
    "float16": FLOATS.astype("float16"),
    "int64": INTEGERS,
    "uint8": INTEGERS.astype("uint8"),
    "bool": INTEGERS > 4,
    "complex": FLOATS + 1j,
    "masked, nothing of it": np.ma.masked_less(FLOATS, -9),
    "series of floats": TABLE.a,
    "series of integers": TABLE.b,
    "series of booleans": TABLE.c,
    "series of float32": TABLE.a.astype("float32"),
    "index": pd.Index(range(N)),
    "frame of floats": TABLE[["a"]],
    "frame of integers": TABLE[["b"]],
    "frame of booleans": TABLE[["c"]],
    "frame of all": TABLE,
    "frame of get_dummies": pd.get_dummies(TABLE.assign(city=WORDS)),
    "frame of float32 and float64": TABLE.assign(d=TABLE.a.astype("float32")),
    "frame of int8 and float32": TABLE[["b", "a"]].astype({"b": "int8", "a": "float32"}),
    "frame with NaN": TABLE[["a"]].where(TABLE.a > 0),
    "frame in another order": TABLE.sample(frac=1, random_state=0),
    "tensor": tf.constant(FLOATS),
    "tensor of 16 bits": tf.cast(FLOATS, tf.bfloat16),
    "variable": tf.Variable(INTEGERS),
    "strings in a tensor": tf.constant(WORDS),
    "strings in a tensor of two axes": tf.constant([[word] for word in WORDS]),
    "strings that are no text": tf.constant([b"\xff", b"a"] * 20),
    "strings in objects": np.array(WORDS, object),
    "sparse matrix of rows": scipy.sparse.csr_matrix(ZEROS_AND_ONES / 2),
    "sparse array of places": scipy.sparse.coo_array(ZEROS_AND_ONES),
    "sparse tensor": tf.sparse.from_dense(ZEROS_AND_ONES / 2),
    "dictionary": {"a": TABLE.a, "b": tf.constant([["x"]] * N), "c": FLOATS},
    "tuple": (TABLE.a, FLOATS),
    "list of arrays": [TABLE[["a"]], TABLE.b],
    "nest": {"a": [FLOATS, TABLE.b], "b": (ZEROS_AND_ONES,)},
}
ON_JAX = (
    *("series of floats", "frame of all", "tensor of 16 bits", "sparse matrix of rows"),
    *("sparse tensor", "dictionary"),
)
# Keras refuses it, or hands it over as objects; these are numbers all the same.
NUMBERS = {
    "frame of integers and booleans": (TABLE[["b", "c"]], TABLE[["b", "c"]].astype("int64")),
    "frame of float32 and booleans": (
        TABLE[["a", "c"]].astype({"a": "float32"}),
        TABLE[["a", "c"]].astype("float32"),
    ),
    # in Keras float64, which no layer computes in
    "frame of float32 and int64": (
        TABLE[["a", "b"]].astype({"a": "float32"}),
        TABLE[["a", "b"]].astype("float32"),
    ),
    "nullable frame": (TABLE.convert_dtypes(), TABLE),
    "nullable series": (TABLE.b.astype("Int64"), TABLE.b),
    "sparse frame": (
        pd.get_dummies(pd.Series(WORDS), sparse=True),
        pd.get_dummies(pd.Series(WORDS)),
    ),
    "objects": (FLOATS.astype(object), FLOATS),
    "objects of several types": (TABLE.to_numpy(object), TABLE),
    "lists": (FLOATS.tolist(), FLOATS),
    "list of numbers": (TABLE.b.tolist(), TABLE.b.to_numpy()),
    "float128": (FLOATS.astype(np.longdouble), FLOATS),
}
PAD = " Pad them first: keras.utils.pad_sequences"
ENCODE = "Encode them first, such as by pandas.get_dummies, or read them as numbers."
TEXT = "Encode them first; a model that takes text is given a tensor, keras.ops.array(x.tolist())."
FILL = "Fill or drop what is missing first, such as by fillna or dropna."
ROWS = [[1], [2, 3]] * 20
DAYS = pd.date_range("2024", periods=N)
REFUSED = {
    "it has 60 masked values, the first in row 0. Fill them first: filled(…).": np.ma.array(
        FLOATS, mask=np.arange(3 * N).reshape(N, 3) % 2
    ),
    f"its rows have several lengths.{PAD}.": ROWS,
    f"its rows have several lengths, 1 to 2.{PAD}.": np.array(ROWS, object),
    f"it is a RaggedTensor: its rows have several lengths.{PAD}, or to_tensor().": (
        tf.ragged.constant(ROWS)
    ),
    "it holds a list each. Stack them: numpy.stack.": pd.Series([[1, 2]] * N),
    f"it holds strings, such as 'Ulm'. {TEXT}": np.array(WORDS),
    f"it holds strings, such as b'Ulm'. {TEXT}": np.array(WORDS, "S"),
    f"its column 'city' holds strings, such as 'Ulm'. {ENCODE}": TABLE.assign(city=WORDS),
    "its column 'kind' holds categories. Encode them first, such as by pandas.get_dummies or "
    ".cat.codes.": TABLE.assign(kind=pd.Categorical(WORDS)),
    f"its column 'a' has 1 missing value, in row 3. {FILL}": TABLE.assign(
        a=TABLE.a.astype("Float64").where(TABLE.index != 3)
    ),
    f"its column 'd' has 2 missing values, the first in row 38. {FILL}": TABLE.assign(
        d=[*WORDS[2:], None, None]
    ),
    f"it has 40 missing values, the first in row 0. {FILL}": np.array([[1.5, None]] * N, object),
    "its column 't' holds dates (datetime64[s]). Make numbers of them first, such as the days "
    "since one of them.": TABLE.assign(t=DAYS.astype("datetime64[s]")),
    "it holds dates (datetime64[D]). Make numbers of them first, such as the days since one of "
    "them.": DAYS.to_numpy("datetime64[D]"),
    "it holds dates (Timestamp). Make numbers of them first, such as the days since one of "
    "them.": np.array(DAYS, object)[:, None],
    "it has the fields n, m. Make columns of them first: "
    "numpy.lib.recfunctions.structured_to_unstructured.": np.ones(N, [("n", int), ("m", float)]),
    "it holds dict and float, such as {'a': 1}. Make numbers of them first.": np.array(
        [1.5, {"a": 1}] * 20, object
    ),
    "it is a sparse tensor of 3 dimensions. Make it dense first.": tf.sparse.from_dense(
        np.ones((N, 2, 2))
    ),
}
Y = np.arange(N)


def travelled(*args, **kwargs):
    return cloudpickle.loads(cloudpickle.dumps(FitData.of("d", *args, **kwargs)))


def batches(x, y, weights=None, *, to):
    adapter = get_data_adapter(x, y, weights, batch_size=BATCH)
    made = adapter.get_tf_dataset() if to == "tensorflow" else adapter.get_jax_iterator()
    return [keras.tree.map_structure(plain, batch, none_is_leaf=False) for batch in made]


def plain(array):
    """A batch's array, whichever class it is of: how it is held, its type, its values."""
    if isinstance(array, tf.SparseTensor):
        return "sparse", array.dtype.name, tf.sparse.to_dense(array).numpy()
    if hasattr(array, "todense"):
        return "sparse", str(array.dtype), np.asarray(array.todense())
    return "dense", str(np.asarray(array).dtype), np.asarray(array)


def assert_same(ours, theirs):
    keras.tree.assert_same_structure(ours, theirs)
    pairs = zip(keras.tree.flatten(ours), keras.tree.flatten(theirs), strict=True)
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)  # NaN is equal to NaN


@pytest.mark.parametrize(
    ("name", "to"),
    [(n, "tensorflow") for n in SAME]
    + [pytest.param(n, "jax", marks=installed("jax").marks) for n in ON_JAX],
)
def test_batches_are_those_that_keras_makes_of_the_original(name, to):
    x, weights = SAME[name], TABLE.a
    (ours, y), named = travelled(x, TABLE.b, weights).fit_arguments()
    assert_same(
        batches(ours, y, named["sample_weight"], to=to), batches(x, TABLE.b, weights, to=to)
    )


@pytest.mark.parametrize("name", NUMBERS)
def test_what_keras_refuses_and_is_numbers_is_taken_as_these(name):
    x, same = NUMBERS[name]
    (ours, y), _ = travelled(x, Y).fit_arguments()
    assert_same(batches(ours, y, to="tensorflow"), batches(same, Y, to="tensorflow"))


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_no_numbers_is_refused_by_what_it_is(said):
    with pytest.raises(RequestError) as refused:
        FitData.of("d", REFUSED[said], Y)
    assert str(refused.value) == f"x must hold numbers; {said}"


@pytest.mark.parametrize("name", ["frame of all", "sparse tensor", "dictionary"])
def test_a_validation_split_is_that_of_keras(name):
    x = SAME[name]
    parts = array_slicing.train_validation_split((x, Y, None), validation_split=0.25)
    train, named = travelled(x, Y, validation_split=0.25).fit_arguments()
    for ours, theirs in zip((train, named["validation_data"]), parts, strict=True):
        assert_same(batches(*ours, to="tensorflow"), batches(*theirs, to="tensorflow"))


def test_where_a_fault_is_is_said():
    for given, where in (
        ({"x": {"a": FLOATS, "b": [FLOATS, ROWS]}, "y": Y}, "x['b'][1]"),
        ({"x": FLOATS, "y": ROWS}, "y"),
        ({"x": FLOATS, "y": Y, "sample_weight": ROWS}, "sample_weight"),
        ({"x": FLOATS, "y": Y, "validation_data": (ROWS, Y)}, "x of validation_data"),
    ):
        with pytest.raises(RequestError) as refused:
            FitData.of("d", **given)
        assert str(refused.value).startswith(f"{where} must hold numbers; its rows have several")


def test_strings_as_targets_are_to_be_numbered():
    with pytest.raises(RequestError) as refused:
        FitData.of("d", FLOATS, np.array(WORDS, object))
    assert str(refused.value) == (
        "y must hold numbers; it holds strings, such as 'Ulm'. Number them first: "
        "numpy.unique(y, return_inverse=True)[1]."
    )


def test_rows_in_a_list_of_arrays_are_told_from_inputs():
    rows = [np.arange(1 + i % 3) for i in range(N)]
    with pytest.raises(RequestError) as refused:
        FitData.of("d", rows, Y)
    assert str(refused.value) == (
        "x and y must have as many examples each; they have 1 and 2 and 3 and …. Each array of a "
        "list is an input of its own; pad the rows of one first (keras.utils.pad_sequences)."
    )


@pytest.mark.parametrize("backend", [installed("jax"), installed("torch")])
def test_strings_have_no_tensor_on_a_backend_without(backend):
    code = (
        "import numpy as np, keras\n"
        "from pipeline.data.fit_data import FitData\n"
        "FitData.of('d', np.array(['a', 'b'], object)).fit_arguments()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert done.stderr.strip().endswith(
        "RequestError: Data must be numbers where the backend has no tensors of strings; it holds "
        "'a'. Encode them first."
    )


PYTORCH = """
import keras, numpy as np, torch
from keras.src.trainers.data_adapters import get_data_adapter
from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError

ones = torch.arange(12.0).reshape(4, 3)
for x in (ones, ones.double(), ones.int(), ones.bfloat16(), ones.clone().requires_grad_()):
    (ours,), _ = FitData.of("d", x).fit_arguments()
    assert isinstance(ours, np.ndarray)
    one, other = (
        list(get_data_adapter(data, batch_size=2).get_torch_dataloader()) for data in (ours, x)
    )
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b), x.dtype
try:
    FitData.of("d", ones.to_sparse())
except RequestError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("torch")])
def test_tensors_of_pytorch_are_arrays(backend):
    done = subprocess.run(
        [sys.executable, "-c", PYTORCH],
        env={"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.stdout == (
        "x must hold numbers; it is a sparse tensor. Make it dense first: to_dense().\n"
    ), done.stderr
