"""What is known of a pipeline that travels, what tells one from another, and what is refused."""

import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data.pipelines import graphs, reading
from pipeline.data.pipelines.checksums import checksum
from pipeline.data.pipelines.graphs import GraphPipeline
from pipeline.data.pipelines.portable import portable
from pipeline.digest import sha256
from pipeline.errors import RequestError

X = np.arange(24, dtype=np.float32).reshape(12, 2)


def base():
    return tf.data.Dataset.from_tensor_slices((X, X[:, 0]))


def python():
    return base().map(lambda x, y: (tf.numpy_function(np.negative, [x], tf.float32), y))


def known(dataset):
    elements = portable("x", dataset).elements
    return elements.inputs and elements.inputs.shape, elements.count, elements.examples


def test_what_is_known_of_the_elements_follows_from_their_structure():
    assert known(base().batch(5)) == ((None, 2), 3, None)
    assert known(base().batch(5, drop_remainder=True)) == ((5, 2), 2, 10)
    assert known(base().batch(5).repeat()) == ((None, 2), None, None)
    assert known(base().batch(5).filter(lambda x, y: True)) == ((None, 2), None, None)
    assert known(tf.data.Dataset.range(3)) == (None, 3, None)
    ragged = tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1], [2, 3]])).batch(2)
    assert known(ragged) == (None, 1, None)
    with pytest.warns(UserWarning, match="x is read once"):
        assert known(python().batch(5)) == (None, 3, None)
        assert known(python().map(lambda x, y: (tf.ensure_shape(x, [2]), y)).batch(5)) == (
            (None, 2),
            3,
            12,
        )


def test_inputs_by_name_are_known_by_name():
    form = portable("x", tf.data.Dataset.from_tensor_slices(({"a": X, "b": X[:, 0]}, X)).batch(4))
    inputs = form.elements.inputs
    assert {name: (i.shape, i.dtype) for name, i in inputs.items()} == {
        "a": ((None, 2), "float32"),
        "b": ((None,), "float32"),
    }


def test_large_arrays_lie_beside_the_graph_and_small_ones_in_it():
    large = np.zeros((5, 2**20), np.float32)
    form = portable("x", tf.data.Dataset.from_tensor_slices((large, X[:5])).batch(2))
    assert [array.nbytes for array in form.arrays.values()] == [large.nbytes]
    assert len(form.graph) < 10_000
    # what Ray keeps out of a pickle it maps
    buffers = []
    assert len(pickle.dumps(form, 5, buffer_callback=buffers.append)) < 20_000 and len(buffers) == 1
    assert portable("x", base()).arrays == {}


def test_a_variables_large_value_stays_in_the_graph_for_it_may_be_written():
    variable = tf.Variable(np.zeros(5 * 2**20, np.float32))
    form = portable("x", tf.data.Dataset.range(2).map(lambda i: i + tf.size(variable, tf.int64)))
    assert form.arrays == {} and [int(x) for x in form()] == [5 * 2**20, 5 * 2**20 + 1]


def test_large_arrays_are_mapped_and_not_copied():
    held = np.zeros(2**20 + 64, np.uint8)  # as aligned as Ray has it
    array = held[-held.ctypes.data % 64 :][: 2**20].view(np.float32)
    array.flags.writeable = False
    tensor = graphs._mapped(tf, array)
    assert np.shares_memory(np.asarray(memoryview(tensor)), array)
    large = portable("x", tf.data.Dataset.from_tensor_slices(np.zeros((5, 2**20), np.float32)))
    optimized = large().options().experimental_optimization.apply_default_optimizations
    assert optimized is False  # it would copy them before each epoch


def test_the_threads_and_the_order_that_were_asked_for_come_along():
    options = tf.data.Options()
    options.deterministic = False
    options.threading.private_threadpool_size = 3
    form = portable("x", base().with_options(options))
    made = form().options()
    assert (made.deterministic, made.threading.private_threadpool_size) == (False, 3)
    assert not form.alike


def test_a_checksum_tells_pipelines_apart_and_is_the_same_in_another_order_of_making():
    large = np.zeros((5, 2**20), np.float32)
    makes = [
        lambda: base().batch(4),
        lambda: base().batch(5),
        lambda: tf.data.Dataset.from_tensor_slices((X + 1, X[:, 0])).batch(4),
        lambda: base().map(lambda x, y: (x + 1, y)),
        lambda: base().map(lambda x, y: (x + 2, y)),
        lambda: base().shuffle(9).cache(),
        lambda: base().shuffle(9, seed=1).cache(),
        lambda: tf.data.Dataset.from_tensor_slices(large),
        lambda: tf.data.Dataset.from_tensor_slices(large + 1),
    ]
    first = [sha256(portable("x", make())) for make in makes]
    again = [sha256(portable("x", make())) for make in reversed(makes)][::-1]
    assert first == again and len(set(first)) == len(makes)


def of_lines(file):
    return tf.data.TextLineDataset(file).batch(4)


def named(one, other):
    return tf.data.Dataset.from_tensor_slices({one: X, other: -X})


def test_a_checksum_tells_numbers_in_the_data_from_counters_in_names():
    times = [lambda x, y, factor=factor: (x * factor, y) for factor in (2, 3)]
    makes = [
        lambda: of_lines("/data/fold_1.csv"),
        lambda: of_lines("/data/fold_2.csv"),
        lambda: tf.data.TFRecordDataset(["/data/a_1", "/data/a_2"]),
        lambda: tf.data.TFRecordDataset(["/data/a_3", "/data/a_4"]),
        lambda: base().map(lambda x, y: (tf.strings.join(["fold_1"]), y)),
        lambda: base().map(lambda x, y: (tf.strings.join(["fold_2"]), y)),
        lambda: named("f_1", "f_2"),
        lambda: named("f_2", "f_1"),
        lambda: named("f_1", "f_2").map(lambda both: both["f_1"]),
        lambda: named("f_1", "f_2").map(lambda both: both["f_2"]),
        lambda: base().map(times[0]).map(times[1]),
        lambda: base().map(times[1]).map(times[0]),
        lambda: base().map(lambda x, y: (x[0] * 2 - x[1] * 3, y)),
        lambda: base().map(lambda x, y: (x[1] * 3 - x[0] * 2, y)),
        lambda: base().map(lambda x, y: (keras.layers.Rescaling(2.0)(x), y)),
        lambda: base().map(lambda x, y: (tf.cond(y > 3, lambda: x, lambda: -x), y)),
        lambda: base().map(lambda x, y: (tf.cond(y > 3, lambda: -x, lambda: x), y)),
    ]
    first = [portable("x", make()).sha256 for make in makes]
    again = [portable("x", make()).sha256 for make in reversed(makes)][::-1]
    assert first == again and len(set(first)) == len(makes)


def test_a_function_that_calls_itself_has_a_checksum():
    graph = graphs.graph_of(base().map(lambda x, y: tf.cond(y > 3, lambda: x, lambda: -x)))
    for node in graph.library.function[0].node_def:
        node.attr["f"].func.name = graph.library.function[0].signature.name
    assert checksum(graph, None) == checksum(graph, None)


def test_strings_beside_large_arrays_stay_in_the_graph():
    names = [f"/data/{i}.png" for i in range(500)]
    large = np.zeros((500, 10_000), np.float32)
    form = pickle.loads(
        pickle.dumps(portable("x", tf.data.Dataset.from_tensor_slices((names, large))))
    )
    assert [array.shape for array in form.arrays.values()] == [large.shape]
    assert [name.numpy().decode() for name, _ in form()] == names


def test_a_checksum_of_what_is_read_is_of_its_elements():
    with pytest.warns(UserWarning):
        one, again = (sha256(portable("x", python())) for _ in range(2))
        other = sha256(portable("x", python().skip(1)))
    assert one == again != other


def test_a_dataset_that_calls_python_and_never_ends_is_refused_with_what_to_do():
    with pytest.raises(RequestError) as refused:
        portable("x", python().repeat())
    assert str(refused.value) == (
        "x must be a tf.data.Dataset that ends, since it calls Python code and is read before the "
        "trials; it repeats without end. Leave repeat out, or write: def make(): return …, and "
        "give make."
    )


def test_a_dataset_that_calls_python_and_has_more_than_memory_is_refused(monkeypatch):
    monkeypatch.setattr(reading, "MEMORY_SHARE", 50 / reading.psutil.virtual_memory().total)
    with pytest.raises(RequestError) as refused:
        portable("validation_data", python())
    assert str(refused.value) == (
        "validation_data must have elements of 4.66e-08 GiB at most, since it calls Python code "
        "and is read before the trials; it has more. Write: def make(): return …, and give make."
    )


def test_what_has_no_graph_is_read_and_the_warning_says_what():
    device = base().apply(tf.data.experimental.copy_to_device("/cpu:0"))
    with pytest.warns(UserWarning) as warned:
        form = portable("x", device)
    assert form.elements.count == 12
    assert str(warned[0].message).startswith(
        "x is read once, since it has no graph (Failed to serialize the input pipeline graph: "
        "GeneratorDatasetOp::Dataset does not support serialization): each epoch"
    )


def test_a_graph_that_is_too_large_is_known_by_its_having_no_bytes():
    with pytest.raises(ValueError, match="its arrays have more than 2 GiB"):
        graphs.parsed(b"")


def test_a_cache_in_a_file_is_written_before_trials_would_write_it_at_once(tmp_path):
    calls = tf.Variable(0)

    def counted(x, y):
        calls.assign_add(1)
        return x, y

    form = portable("x", base().map(counted).cache(str(tmp_path / "cache")))
    assert isinstance(form, GraphPipeline) and int(calls) == 12
    assert list(tmp_path.iterdir()) and len(list(form())) == 12
    portable("x", base().cache())
    with pytest.raises(RequestError) as refused:
        portable("x", base().cache(str(tmp_path / "other")).repeat())
    assert str(refused.value) == (
        "x must be a tf.data.Dataset that ends, since it caches in a file, which is written before "
        "the trials; it repeats without end. Leave repeat out, or write: def make(): return …, and "
        "give make."
    )


def test_what_travels_is_unpacked_without_tensorflow(tmp_path):
    """A worker settles its devices before TensorFlow is imported."""
    (tmp_path / "sent").write_bytes(pickle.dumps(portable("x", base().batch(4))))
    code = (
        "import pickle, sys; form = pickle.load(open(sys.argv[1], 'rb')); "
        "print(form.elements.inputs.shape, 'tensorflow' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "sent"], capture_output=True, text=True
    )
    assert ended.stdout == "(None, 2) False\n", ended.stderr
