"""Pipelines in another process: their elements and their order, held against the original's."""

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.pipelines.portable import portable
from pipeline.data.pipelines.reading import ReadPipeline
from tests.data.pipelines.child import elements

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
X = np.arange(24, dtype=np.float32)
LARGE = np.arange(20 * 2**18, dtype=np.float32).reshape(20, -1)  # 20 MiB

VARIABLE = tf.Variable(7.0)
TABLES = [
    tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.range(24), tf.range(24) * factor), -1
    )
    for factor in (2, 3)
]
MUTABLE = tf.lookup.experimental.MutableHashTable(tf.int32, tf.int32, -1)
MUTABLE.insert(tf.range(24), tf.range(24) * 5)
DENSE = tf.lookup.experimental.DenseHashTable(tf.int32, tf.int32, -1, -2, -3)
DENSE.insert(tf.range(24), tf.range(24) * 6)
GENERATOR = tf.random.Generator.from_seed(1)


def base():
    return tf.data.Dataset.from_tensor_slices(X)


def large():
    return tf.data.Dataset.from_tensor_slices((X[:20], LARGE))


def numbers():
    return tf.data.Dataset.range(24, output_type=tf.int32)


def random(x):
    return x + tf.random.uniform([])


def python(x):
    return tf.numpy_function(lambda a: a * 2, [x], tf.float32)


def python_stateless(x):
    return tf.numpy_function(lambda a: a * 2, [x], tf.float32, stateful=False)


def python_eager(x):
    return tf.py_function(lambda a: a * 2, [x], tf.float32)


def stateless(x):
    return x + tf.random.stateless_uniform([], [1, 2])


def inner(x):
    return tf.data.Dataset.from_tensors(x).repeat(3)


# The same elements in the same order, in each epoch.
SAME = {
    "slices": lambda: base().batch(5),
    "pairs with weights": lambda: tf.data.Dataset.from_tensor_slices(({"a": X, "b": X}, X, X)),
    "prefetch": lambda: base().batch(5).prefetch(tf.data.AUTOTUNE),
    "stateless operations": lambda: base().map(stateless, num_parallel_calls=2),
    "cache": lambda: base().map(stateless).cache().repeat(2),
    "another cache": lambda: base().map(lambda x: -x).cache(),
    "interleave": lambda: base().interleave(inner, cycle_length=3),
    "filter and unbatch": lambda: base().filter(lambda x: x > 3).batch(2).unbatch(),
    "texts": lambda: tf.data.Dataset.from_tensor_slices(["a", "bc", "", "ü"]),
    "ragged": lambda: tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1], [2, 3]])),
    "sparse": lambda: tf.data.Dataset.from_tensor_slices(tf.sparse.from_dense(np.eye(3))),
    "a variable": lambda: base().map(lambda x: x + VARIABLE),
    "a table": lambda: numbers().map(TABLES[0].lookup),
    "another table": lambda: numbers().map(TABLES[1].lookup),
    "a table that changes": lambda: numbers().map(MUTABLE.lookup),
    "a large array": lambda: large().batch(4),
}
STATEFUL = ("a variable", "a table that changes")  # no epoch changes these, but one might
# The same, but one epoch is unlike the next: the order and the numbers follow from a seed.
SEEDED = {
    "a shuffle with a seed": lambda: base().shuffle(24, seed=5).batch(5),
    "two of them": lambda: base().shuffle(24, seed=5).repeat(2).shuffle(9, seed=6).batch(5),
    "a random map with a seed": lambda: base().map(lambda x: x + tf.random.uniform([], seed=3)),
    "a generator of random numbers": lambda: base().map(lambda x: x + GENERATOR.uniform([])),
    "a large array in an order": lambda: large().shuffle(20, seed=5).batch(4),
    "a large array in an order that repeats": lambda: large().shuffle(20, seed=5).repeat(2),
}
# Drawn anew in each epoch, and again in another process.
DRAWN = {
    "a shuffle": lambda: base().shuffle(24),
    "a random map": lambda: base().map(random),
    "a large array shuffled": lambda: large().shuffle(20),
}
DRAWN_ONCE = {"a cache of random numbers": lambda: base().map(random).cache()}
READ = {
    "numpy_function": (lambda: base().map(python).batch(5), "it calls Python code"),
    "numpy_function, stateless": (lambda: base().map(python_stateless), "it calls Python code"),
    "py_function": (lambda: base().map(python_eager).shuffle(24), "it calls Python code"),
    "from_generator": (
        lambda: tf.data.Dataset.from_generator(
            lambda: ((X[:i], f"text {i}") for i in range(1, 9)),
            output_signature=(tf.TensorSpec([None]), tf.TensorSpec([], tf.string)),
        ),
        "it calls Python code",
    ),
    "ragged batches": (lambda: base().map(python).batch(7).map(ragged), "it calls Python code"),
    "a table without a graph": (
        lambda: numbers().map(DENSE.lookup),
        "it uses an object that only this process has",
    ),
}


def ragged(x):
    return tf.RaggedTensor.from_row_lengths(x, [1, tf.size(x) - 1]), {"sum": tf.reduce_sum(x)}


TRAVEL = SAME | SEEDED | DRAWN | DRAWN_ONCE


@pytest.fixture(scope="module")
def read():
    """Of each that is read once its form, and what was warned of."""
    found = {}
    for name, (make, _) in READ.items():
        with pytest.warns(UserWarning) as warned:
            found[name] = portable("x", make()), [str(w.message) for w in warned]
    return found


@pytest.fixture(scope="module")
def sent(read):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = {name: (make(), make()) for name, make in TRAVEL.items()}
        # before any is read: what a generator or a variable holds is as it is now
        forms = {name: portable("x", dataset) for name, (dataset, _) in made.items()}
    originals = {
        name: [elements(dataset), elements(dataset)] for name, (dataset, _) in made.items()
    }
    return forms | {name: form for name, (form, _) in read.items()}, originals


@pytest.fixture(scope="module")
def told(sent, tmp_path_factory):
    """What another process reads: one for all, for each would import TensorFlow."""
    folder = tmp_path_factory.mktemp("pipelines")
    (folder / "sent").write_bytes(pickle.dumps(sent[0]))
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("child.py"), folder / "sent", folder / "told"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return pickle.loads((folder / "told").read_bytes())


@pytest.mark.parametrize("name", [*SAME, *SEEDED])
def test_elements_come_in_the_order_of_the_original(name, sent, told):
    assert told[name]["epochs"] == sent[1][name]


@pytest.mark.parametrize("name", TRAVEL)
def test_epochs_are_called_alike_only_where_they_are(name, sent, told):
    one, other = told[name]["epochs"]
    assert sent[0][name].alike == (name in SAME and name not in STATEFUL)
    assert one == other or not sent[0][name].alike


@pytest.mark.parametrize("name", DRAWN)
def test_what_is_random_is_drawn_anew_in_each_epoch(name, sent, told):
    one, other = told[name]["epochs"]
    again, original = told[name]["again"], sent[1][name][0]
    assert len({str([e[0] for e in epoch]) for epoch in (one, other, again, original)}) == 4
    whole = [sorted(int(e[0]) for e in epoch) for epoch in (one, other, again)]
    assert whole == [sorted(int(e[0]) for e in original)] * 3
    assert not sent[0][name].alike


@pytest.mark.parametrize("name", DRAWN_ONCE)
def test_what_is_cached_is_drawn_once_in_a_process(name, sent, told):
    one, other = told[name]["epochs"]
    assert one == other != told[name]["again"] and one != sent[1][name][0]


@pytest.mark.parametrize("name", READ)
def test_what_no_graph_holds_is_read_once_and_said(name, read, told):
    form, warned = read[name]
    assert isinstance(form, ReadPipeline)
    assert warned == [
        f"x is read once, since {READ[name][1]}: each epoch of each trial has these elements in "
        "this order, and what is random in it is drawn once. A function that makes it draws it "
        "anew."
    ]
    here = elements(form())
    assert told[name]["epochs"] == [here, here] and told[name]["again"] == here
    assert sorted(map(str, here)) == sorted(map(str, elements(READ[name][0]())))


@pytest.mark.parametrize("name", [*TRAVEL, *READ])
def test_elements_keep_their_structure(name, told):
    original = TRAVEL[name]() if name in TRAVEL else READ[name][0]()
    assert told[name]["structure"] == str(original.element_spec)
