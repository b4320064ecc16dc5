"""Data in any form that Keras's `fit` takes: nests, functions that make it, splits, and what is
refused."""

import functools
import json
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from ray import cloudpickle

from pipeline.data.fit_data import FitData
from pipeline.digest import fingerprint
from pipeline.errors import RequestError

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20)


def checksum(data):
    return fingerprint(data)["sha256"]


class Table:
    """Such as a data frame: no array, but it becomes one."""

    def __array__(self, dtype=None, copy=None):
        return np.asarray(X, dtype)


def made():
    return X, Y


def test_arrays_come_back_as_fit_takes_them():
    positional, named = FitData.of(
        "d", X, Y, sample_weight=Y / 20, validation_data=(X[:5], Y[:5])
    ).fit_arguments()
    assert positional[0] is X and positional[1] is Y
    assert sorted(named) == ["sample_weight", "validation_data"]
    assert [len(part) for part in named["validation_data"]] == [5, 5]


def test_validation_data_may_have_weights_and_be_a_list():
    named = FitData.of("d", X, Y, validation_data=[X[:5], Y[:5], Y[:5]]).fit_arguments()[1]
    assert [part.shape for part in named["validation_data"]] == [(5, 2), (5,), (5,)]


class Pair(NamedTuple):
    a: Any
    b: Any


def test_inputs_in_a_namedtuple_keep_it():
    data = FitData.of("d", Pair(X, pd.DataFrame(X)), Y, validation_split=0.25)
    (x, _), named = data.fit_arguments()
    for part, count in ((x, 15), (named["validation_data"][0], 5)):
        assert isinstance(part, Pair) and [a.shape for a in part] == [(count, 2)] * 2
    assert isinstance(data.sample().train[0], Pair)
    assert FitData.like("d", json.loads(json.dumps(data.inputs()))).train[0][1].shape == (1, 2)


def test_validation_split_takes_the_last_part_of_everything():
    data = FitData.of("d", {"a": X, "b": [X, Y]}, Y, Y * 10, validation_split=0.25)
    (x, y), named = data.fit_arguments()
    assert y.tolist() == list(range(15)) and x["b"][1].tolist() == list(range(15))
    val_x, val_y, val_weight = named["validation_data"]
    assert val_y.tolist() == [15, 16, 17, 18, 19] and val_weight.tolist() == [
        150,
        160,
        170,
        180,
        190,
    ]
    assert val_x["a"].shape == (5, 2)
    assert named["sample_weight"].tolist() == [10 * i for i in range(15)]


def test_validation_split_rounds_as_keras_does():
    data = FitData.of("d", np.zeros((7, 1)), np.zeros(7), validation_split=0.2)
    assert data.describe()["counts"] == {"train": 5, "val": 2}


def test_lists_of_numbers_tables_and_tensors_become_arrays():
    data = FitData.of("d", Table(), list(range(20)))
    (x, y), _ = data.fit_arguments()
    assert isinstance(x, np.ndarray) and x.shape == (20, 2)
    assert isinstance(y, np.ndarray) and y.shape == (20,)


def test_a_function_is_called_where_the_data_is_used():
    calls = []

    def make():
        calls.append(1)
        return "what it makes"

    data = FitData.of("d", make, validation_data=make)
    assert not calls
    positional, named = data.fit_arguments()
    assert positional == ("what it makes",) and named == {"validation_data": "what it makes"}
    assert len(calls) == 2


def test_few_examples_of_each_part():
    few = FitData.of("d", {"a": X}, Y, validation_data=(X, Y)).sample()
    (x, y), named = few.fit_arguments()
    assert len(x["a"]) == len(y) == len(named["validation_data"][0]) == 8


def test_few_shortens_what_a_function_makes_where_it_can():
    class Batches(list):
        batch = None

        def take(self, count):
            return Batches(self[:count])

    few = FitData.of("d", lambda: Batches([1, 2, 3]), validation_data=lambda: [4, 5]).sample()
    positional, named = few.fit_arguments()
    assert positional == ([1],) and named["validation_data"] == [4, 5]


def test_first_inputs_are_a_batch_of_one_or_the_first_that_is_made():
    assert FitData.of("d", [X, X], Y).first_inputs()[1].shape == (1, 2)
    assert FitData.of("d", lambda: iter([("inputs", "targets")])).first_inputs() == "inputs"
    with pytest.raises(RequestError, match="needs data; there is none here"):
        FitData.of("d", None).first_inputs()


def test_inputs_are_known_by_shape_and_type_and_made_anew_from_that():
    given = FitData.of("d", {"a": X, "b": [X.astype("float32"), Y]}, Y)
    again = FitData.like("d", given.inputs())
    assert again.inputs() == given.inputs()
    assert again.first_inputs()["b"][0].shape == (1, 2)
    assert given.inputs()["b"] == [
        {"shape": [2], "dtype": "float32"},
        {"shape": [], "dtype": "int64"},
    ]
    assert FitData.of("d", made).inputs() is None


def test_text_and_sparse_matrices_are_known_by_shape_and_type_too():
    words, zeros = np.array(["a", "b"], object), scipy.sparse.csr_matrix(np.eye(2, 3))
    given = FitData.of("d", {"words": words, "zeros": zeros}, np.zeros(2))
    assert given.inputs() == {
        "words": {"shape": [], "dtype": "string"},
        "zeros": {"shape": [3], "dtype": "float64"},
    }
    again = FitData.like("d", given.inputs())
    assert again.inputs() == given.inputs()
    for data, word in ((given, b"a"), (again, b"")):
        first = data.first_inputs()
        assert first["words"].numpy().tolist() == [word] and first["zeros"].shape == (1, 3)
    assert given.describe()["counts"]["train"] == 2


def test_description_says_what_is_known():
    facts = FitData.of("d", {"a": X, "b": Y}, Y, validation_split=0.5).describe()
    assert facts["shape"] == [[2], []] and facts["dtype"] == "float64, int64"
    assert facts["counts"] == {"train": 10, "val": 10}
    unknown = FitData.of("d", made).describe()
    assert unknown["shape"] is None and unknown["counts"] == {"train": None, "val": None}


def test_checksum_tells_contents_and_functions_apart():
    def other():
        return Y, X

    different = [
        FitData.of("d", X, Y),
        FitData.of("d", X, Y + 1),
        FitData.of("d", X, Y, Y),
        FitData.of("d", {"a": X}, Y[::-1]),
        FitData.of("d", made),
        FitData.of("d", other),
        FitData.of("d", functools.partial(made)),
        FitData.of("d", functools.partial(made, 1)),
        FitData.of("d", np.array(["a", "c"], object)),
        FitData.of("d", np.array(["b", "c"], object)),
        FitData.of("d", scipy.sparse.csr_matrix(np.eye(2))),
        FitData.of("d", scipy.sparse.csr_matrix(np.eye(2)[::-1])),
    ]
    assert len({checksum(data) for data in different}) == len(different)
    assert checksum(FitData.of("d", X.copy(), Y.copy())) == checksum(different[0])
    again = np.array(["".join(["a"]), "c"], object)
    assert checksum(FitData.of("d", again)) == checksum(different[8])


def test_checksum_of_a_function_counts_what_it_closes_over_and_calls():
    def makes(size):
        return lambda: (X[:size], Y[:size])

    def typed(size):
        names = {"__name__": "__main__"}
        exec(f"def make():\n    def inner():\n        return {size}\n    return inner()", names)
        return names["make"]

    for make in (makes, typed):
        one, same, other = (checksum(FitData.of("d", make(size))) for size in (5, 5, 6))
        assert one == same != other


def test_the_functions_that_make_data_are_the_users_code():
    def validation():
        return X, Y

    assert FitData.of("d", made, validation_data=validation).parts == [made, validation]
    assert FitData.of("d", {"a": X}, Y).parts == []


class Batches(keras.utils.PyDataset):
    """Four batches of five."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.epochs = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(5 * index, 5 * index + 5)
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.epochs += 1


class Endless(Batches):
    num_batches = None


def test_a_pydataset_travels_as_it_is():
    batches = Batches(workers=2, use_multiprocessing=True, max_queue_size=3)
    data = cloudpickle.loads(cloudpickle.dumps(FitData.of("d", batches, validation_data=batches)))
    (x,), named = data.fit_arguments()
    assert isinstance(x, Batches) and isinstance(named["validation_data"], Batches)
    assert (x.workers, x.use_multiprocessing, x.max_queue_size) == (2, True, 3)
    assert all(isinstance(part, Batches) for part in data.parts) and len(data.parts) == 2
    assert data.inputs() is None
    assert data.first_inputs().tolist() == X[:5].tolist() and data.shape == ()
    assert data.describe()["counts"] == {"train": None, "val": None}


@pytest.mark.parametrize("kind", [Batches, Endless, lambda: lambda: Batches()])
def test_few_of_a_pydataset_are_its_first_batches_in_one_process(kind):
    given = kind()
    (few,), _ = FitData.of("d", given).sample(16).fit_arguments()
    assert len(few) == few.num_batches == 2 and len(list(few)) == 2
    assert (few.workers, few.use_multiprocessing) == (1, False)
    assert few[1][1].tolist() == [5, 6, 7, 8, 9]
    few.on_epoch_end()
    assert few.epochs == 1 and getattr(given, "epochs", 0) == 0
    assert not hasattr(given, "epochs") or given.num_batches != 2


class Shuffled(Batches):
    def __init__(self):
        super().__init__()
        self.order = np.arange(20)
        self.order.flags.writeable = False  # as what lies in Ray's store

    def on_epoch_end(self):
        np.random.default_rng(0).shuffle(self.order)


@pytest.mark.parametrize("of", [lambda data: data, FitData.sample], ids=["whole", "few"])
def test_each_training_has_a_pydataset_of_its_own_which_may_shuffle_in_place(of):
    given = Shuffled()
    data = of(FitData.of("d", given, validation_data=given))
    (x,), named = data.fit_arguments()
    (other,), _ = data.fit_arguments()
    for mine in (x, named["validation_data"], data.measured()["validation"][0]):
        mine.on_epoch_end()
        assert sorted(mine.order) == list(range(20)) != list(mine.order)
    assert list(other.order) == list(given.order) == list(range(20))


def test_a_pydataset_holds_its_targets():
    for beside in ({"y": Y}, {"sample_weight": Y}):
        with pytest.raises(RequestError) as refused:
            FitData.of("d", Batches(), **beside)
        assert str(refused.value) == (
            f"{next(iter(beside))} must not be given beside a PyDataset, whose batches hold it; "
            "return (inputs, targets) from __getitem__."
        )
    with pytest.raises(RequestError, match="what makes batches needs validation_data"):
        FitData.of("d", Batches(), validation_split=0.2)
    # for a `fit` of one's own, which may call it what it likes
    assert len(FitData.of("d", Batches(), Batches()).parts) == 2


def test_checksum_of_a_pydataset_is_of_its_class_and_what_it_holds():
    def holding(value):
        batches = Batches()
        batches.value = value
        return FitData.of("d", batches)

    assert checksum(holding(1)) == checksum(holding(1)) != checksum(holding(2))
    assert checksum(FitData.of("d", Batches())) != checksum(FitData.of("d", Endless()))


def test_validation_is_measured_where_there_is_one():
    assert FitData.of("d", X, Y).measured() == {}
    x, y, _ = FitData.of("d", X, Y, validation_split=0.5).measured()["validation"]
    assert y.tolist() == list(range(10, 20)) and len(x) == 10


def test_shape_is_that_of_the_first_input():
    assert FitData.of("d", {"a": np.zeros((3, 8, 8, 1)), "b": Y[:3]}, Y[:3]).shape == (8, 8, 1)
    assert FitData.of("d", made).shape == ()


@pytest.mark.parametrize("given", [iter([1]), object(), 3.5])
def test_what_cannot_be_sent_is_refused_with_what_to_write(given):
    with pytest.raises(
        RequestError, match=r"arrays, .* or a function .* got \w+, .* Write: def make\(\): return"
    ):
        FitData.of("d", given)
    with pytest.raises(
        RequestError, match=r"validation_data must be arrays, a tf.data.Dataset, or a function"
    ):
        FitData.of("d", X, Y, validation_data=given)


@pytest.mark.parametrize("split", [1.0, -0.5, 7])
def test_an_impossible_split_is_refused(split):
    with pytest.raises(
        RequestError,
        match=rf"validation_split must be a fraction in \(0, 1\) of arrays; got {split}",
    ):
        FitData.of("d", X, Y, validation_split=split)


def test_a_split_that_leaves_nothing_is_refused():
    with pytest.raises(RequestError, match="examples on both sides; got 0.99 of 20"):
        FitData.of("d", X, Y, validation_split=0.99)


def test_what_a_function_makes_is_not_split():
    with pytest.raises(RequestError, match="what makes batches needs validation_data"):
        FitData.of("d", made, validation_split=0.2)


def test_validation_data_of_four_parts_is_refused():
    with pytest.raises(
        RequestError,
        match=r"validation_data must be \(x, y\) or \(x, y, sample_weight\); got 4 parts",
    ):
        FitData.of("d", X, Y, validation_data=(X, Y, Y, Y))


@pytest.mark.parametrize(
    "given",
    [
        {"x": X, "y": Y[:15]},
        {"x": {"a": X, "b": X[:15]}, "y": Y},
        {"x": X, "y": Y, "sample_weight": np.ones(15)},
    ],
)
def test_parts_of_another_length_are_refused_at_once(given):
    with pytest.raises(RequestError) as refused:
        FitData.of("d", **given)
    assert str(refused.value) == "x and y must have as many examples each; they have 20 and 15."
    with pytest.raises(RequestError, match="validation_data must have as many examples each; they"):
        FitData.of("d", X, Y, validation_data=(X, Y[:3]))


def batches_of(x, y, size=5):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


def test_a_tf_dataset_is_taken_as_what_makes_it_anew():
    data = FitData.of("d", batches_of(X, Y), validation_data=batches_of(X[:8], Y[:8], 4))
    (x,), named = data.fit_arguments()
    assert [len(batch) for batch, _ in x] == [5] * 4
    assert [len(batch) for batch, _ in named["validation_data"]] == [4, 4]
    assert data.shape == (2,) and data.inputs() == {"shape": [2], "dtype": "float64"}
    facts = data.describe()
    assert facts["shape"] == [[2]] and facts["dtype"] == "float64"
    assert data.first_inputs().shape == (5, 2)
    (few,), named = data.sample().fit_arguments()
    assert len(list(few)) == len(list(named["validation_data"])) == 1
    assert len(list(data.measured()["validation"][0])) == 2


def test_examples_of_a_tf_dataset_are_counted_where_its_batches_are_of_one_size():
    import tensorflow as tf

    whole = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4, drop_remainder=True)
    data = FitData.of("d", whole, validation_data=batches_of(X, Y))
    assert data.describe()["counts"] == {"train": 20, "val": None}


def test_a_tf_dataset_of_texts_and_of_other_kinds_than_tensors_has_inputs_or_none():
    import tensorflow as tf

    texts = tf.data.Dataset.from_tensor_slices([["a"], ["b"]]).batch(2)
    data = FitData.of("d", texts)
    assert data.inputs() == {"shape": [1], "dtype": "string"}
    assert FitData.like("d", data.inputs()).first_inputs().numpy().tolist() == [[b""]]
    ragged = tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1], [2, 3]])).batch(2)
    data = FitData.of("d", ragged)
    assert data.inputs() is None and data.shape == () and data.describe()["dtype"] is None
    rows = tf.data.Dataset.from_generator(
        lambda: iter([X[:3], X[:4]]), output_signature=tf.TensorSpec([None, 2], tf.float64)
    )
    with pytest.warns(UserWarning, match="read once"):
        sizes = FitData.of("d", rows.map(lambda x: x[:, :1]).padded_batch(1)).inputs()
    assert sizes == {"shape": [None, 1], "dtype": "float64"}
    assert FitData.like("d", sizes).first_inputs().shape == (1, 1, 1)


def test_validation_without_end_is_not_measured():
    data = FitData.of("d", batches_of(X, Y), validation_data=batches_of(X, Y).repeat())
    assert data.measured() == {}


def test_a_tf_dataset_is_not_split():
    with pytest.raises(RequestError, match="what makes batches needs validation_data"):
        FitData.of("d", batches_of(X, Y), validation_split=0.2)


def test_nothing_is_given_beside_a_tf_dataset():
    with pytest.raises(RequestError) as refused:
        FitData.of("d", batches_of(X, Y), Y)
    assert str(refused.value) == (
        "y must not be given beside a tf.data.Dataset, whose elements hold it: zip them by "
        "tf.data.Dataset.zip((inputs, targets))."
    )
    with pytest.raises(RequestError, match="sample_weight of validation_data must not be given"):
        FitData.of("d", X, Y, validation_data=(batches_of(X, Y), None, Y))
    # a `fit` of one's own has two of them
    x, y = FitData.of("d", batches_of(X, Y), batches_of(X, Y)).fit_arguments()[0]
    assert len(list(x)) == len(list(y)) == 4
