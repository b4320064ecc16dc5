"""Arrays handed to TensorFlow: each example once an epoch, in an order that follows from the seed,
and no copy held."""

from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from pipeline.worker.backends.batches import CHUNK_BATCHES, CHUNK_BYTES, Chunks, can_feed
from pipeline.worker.backends.tensorflow import TensorFlow
from pipeline.worker.backends.tensorflow_data import in_order, shuffled

COUNTS = [(330, 16), (16, 16), (15, 16), (1, 1), (10_007, 32), (50_000, 32)]


def batches_of(count, batch_size, *, whole=False, epoch=0, seed=3):
    x = np.arange(count, dtype=np.float32).reshape(count, 1)
    parts = [x, np.arange(count) * 2]
    listeners = []
    data = shuffled(parts, Chunks.of(parts, batch_size), seed, listeners.append, whole=whole)
    listeners[0](epoch)
    return data, [(a.numpy(), b.numpy()) for a, b in data]


@pytest.mark.parametrize(("count", "batch_size"), COUNTS)
def test_chunks_leave_as_few_batches_over_as_can_be(count, batch_size):
    chunks = Chunks.of([np.zeros((count, 25), np.float32)], batch_size)
    left = count // batch_size - chunks.calls * chunks.batches
    assert left == 0 and chunks.batches <= CHUNK_BATCHES


def test_of_a_prime_number_of_batches_one_is_left_over():
    chunks = Chunks.of([np.zeros((16 * 1601, 25), np.float32)], 16)
    assert (chunks.calls * chunks.batches, chunks.batches > CHUNK_BATCHES // 2) == (1600, True)


def test_a_chunk_of_large_examples_is_bounded():
    large = np.broadcast_to(np.float32(0), (1000, CHUNK_BYTES // 8))
    assert Chunks.of([large], 10).batches == 1


@pytest.mark.parametrize(("count", "batch_size"), COUNTS[:5])
def test_an_epoch_has_each_example_once_in_as_many_batches_as_keras_makes(count, batch_size):
    data, batches = batches_of(count, batch_size)
    sizes = [len(x) for x, _ in batches]
    assert len(batches) == len(data) == -(-count // batch_size)
    assert sorted(sizes, reverse=True)[:-1] == [batch_size] * (len(sizes) - 1)
    seen = np.concatenate([x[:, 0] for x, _ in batches])
    assert sorted(seen) == list(range(count))
    assert all((y == 2 * x[:, 0]).all() for x, y in batches)


def test_whole_chunks_are_the_same_batches_in_the_same_order():
    one_by_one = np.concatenate([x for x, _ in batches_of(330, 16)[1]])
    data, chunks = batches_of(330, 16, whole=True)
    assert len(chunks) == len(data) < 21
    np.testing.assert_array_equal(np.concatenate([x for x, _ in chunks]), one_by_one)


@pytest.mark.parametrize("whole", [False, True])
def test_the_order_of_an_epoch_is_the_permutation_of_its_backend(whole):
    order = SimpleNamespace(seed=3, epoch=2, listeners=[])
    fed = np.concatenate([x[:, 0] for x, _ in batches_of(330, 16, epoch=2, whole=whole)[1]])
    assert fed.tolist() == TensorFlow().permutation(order, 330).tolist()


def test_order_follows_from_seed_and_epoch():
    def order(**of):
        return np.concatenate([x[:, 0] for x, _ in batches_of(330, 16, **of)[1]]).tolist()

    assert order(epoch=1) == order(epoch=1) != order(epoch=2)
    assert order(epoch=1, seed=4) != order(epoch=1)


def test_validation_comes_in_the_order_of_the_arrays():
    x, y = np.arange(70, dtype=np.float32).reshape(70, 1), np.arange(70)
    data = in_order([x, y], 32)
    assert [len(a) for a, _ in data] == [32, 32, 6] and len(data) == 3
    np.testing.assert_array_equal(np.concatenate([b for _, b in data]), y)


@pytest.mark.parametrize(
    ("parts", "possible"),
    [
        ([np.zeros(3), np.zeros(3, bool)], True),
        ([np.zeros((3, 2), np.uint8), np.zeros(3)], True),
        ([np.array(["a", "b"]), np.zeros(2)], False),
        ([np.zeros(3), np.zeros(2)], False),
    ],
)
def test_numbers_of_one_length_can_be_fed(parts, possible):
    assert can_feed(parts) is possible


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_copy_of_the_arrays_is_held(dtype):
    parts = [np.ones((50_000, 4000 // dtype().nbytes), dtype), np.zeros(50_000)]  # 200 MB
    before = psutil.Process().memory_info().rss
    data = shuffled(parts, Chunks.of(parts, 32), 0, lambda _: None, whole=True)
    most = max(psutil.Process().memory_info().rss for x, _ in data if x.dtype == "float32")
    assert most - before < 100 * 2**20
