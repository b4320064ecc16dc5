"""Checkpoints hold all of a model's state, are whole or absent, cost little, and are read without
unpickling."""

import pickle
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from pipeline.errors import StorageError
from pipeline.records.entries.reports import EpochReport
from pipeline.records.store import remote
from pipeline.records.store.remote import location
from pipeline.worker.training import archive, checkpoints
from pipeline.worker.training.checkpoints import BestState, BestWeights, Checkpoints, State
from pipeline.worker.training.repeats import carry_out
from tests.worker import stage

# what a model without shapes of its own is built with again
SHAPES = {"input_shape": [None, 3]}


@pytest.fixture(autouse=True)
def clean_keras():
    yield
    keras.config.set_dtype_policy("float32")


def model(seed, optimizer="adam"):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(4),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(1),
    ]
    built = keras.Sequential(layers)
    built.compile(optimizer, "mse", run_eagerly=True)
    return built


def trained(seed=0, **settings):
    built = model(seed, **settings)
    rng = np.random.default_rng(0)
    for _ in range(2):
        built.train_on_batch(rng.random((8, 3)), rng.random((8, 1)))
    return built


def values(built):
    variables = [*built.weights, *built.optimizer.variables]
    return [v.numpy().astype("float64") for v in variables]


OPTIMIZERS = {
    "adam": lambda: "adam",
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "moving average": lambda: keras.optimizers.RMSprop(0.01, use_ema=True),
    "schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)),
}
POLICIES = ["float32", "bfloat16", "mixed_bfloat16", "mixed_float16"]


def test_in_an_object_store_they_are_what_they_are_on_a_file_system(bucket, monkeypatch):
    kept, source, target = Checkpoints(location(f"{bucket}/t0000")), trained(), model(1)
    assert kept.last_state() is None and kept.restore(target, {}) is None
    with pytest.raises(FileNotFoundError):
        kept.restore_best(target)
    kept.save(source, State(2), BestWeights(2, 0.5, source.get_weights()))
    elsewhere = Checkpoints(location(f"{bucket}/t0000"))
    assert elsewhere.mend() == ""
    assert elsewhere.restore(target, {}) == elsewhere.last_state() == State(2, build=SHAPES)
    assert all(map(np.array_equal, values(source), values(target)))
    assert elsewhere.restore_best(model(2)).epoch == elsewhere.best_state().epoch == 2
    elsewhere.save(source, BETTER, None)
    assert elsewhere.mend() == ""
    elsewhere.best.unlink()
    assert elsewhere.mend() == f"{elsewhere.best} is missing; trained again from the start"
    assert elsewhere.last_state() is None
    elsewhere.save(source, State(2), BestWeights(2, 0.5, source.get_weights()))

    monkeypatch.setattr(archive, "PAUSES_S", (0.1,))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody answers there
    remote._store.cache_clear()
    for read in (elsewhere.last_state, elsewhere.best_state, lambda: elsewhere.restore(target, {})):
        # It must pass neither for "there is none" nor for the program's fault.
        with pytest.raises(
            StorageError, match=r"t0000/\w+.npz could not be read for 0 s: NETWORK_CONNECTION"
        ):
            read()
    for repeats in (1, 2):
        task = stage.job(location(f"{bucket}/trials"), repeats=repeats)
        with pytest.raises(StorageError, match="could not be read"):
            carry_out(task, stage.space(), stage.dataset("digits"), stage.Notes())
    remote._store.cache_clear()
    monkeypatch.undo()
    remote._store.cache_clear()


@pytest.mark.parametrize(
    ("policy", "optimizer"),
    [*((p, "adam") for p in POLICIES), *(("float32", o) for o in list(OPTIMIZERS)[1:])],
)
def test_weights_and_optimizer_come_back_to_the_bit(policy, optimizer, tmp_path):
    keras.config.set_dtype_policy(policy)
    source, target = trained(optimizer=OPTIMIZERS[optimizer]()), model(1, OPTIMIZERS[optimizer]())
    state = State(2, callbacks=[{"best": 0.1 + 0.2}], configuration={"rate": 0.1 + 0.2})

    Checkpoints(tmp_path).save(source, state, BestWeights(2, 0.5, source.get_weights()))
    assert Checkpoints(tmp_path).restore(target, {"rate": 0.1 + 0.2}) == replace(
        state, build=SHAPES
    )

    saved, restored = values(source), values(target)
    assert len(saved) > len(source.weights)
    for a, b in zip(restored, saved, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(target.optimizer.iterations) == int(source.optimizer.iterations) > 0
    assert [v.dtype for v in target.weights] == [v.dtype for v in source.weights]

    best = model(2)
    assert Checkpoints(tmp_path).restore_best(best) == BestState(2, 0.5, SHAPES)
    for a, b in zip(best.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_nothing_was_saved_nothing_is_restored(tmp_path):
    assert Checkpoints(tmp_path / "none").restore(model(0), {}) is None
    assert Checkpoints(tmp_path / "none").best_state() is None
    assert Checkpoints(tmp_path / "none").last_state() is None


RATED = {
    "adam": lambda rate: keras.optimizers.Adam(rate),
    "within another": lambda rate: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(rate)),
}


@pytest.mark.parametrize("optimizer", RATED.values(), ids=RATED)
def test_what_was_saved_under_another_configuration_leaves_the_learning_rate_and_gives_all_else(
    optimizer, tmp_path
):
    source = trained(optimizer=optimizer(0.01))
    Checkpoints(tmp_path).save(source, State(2, configuration={"rate": 0.01}), None)
    source.optimizer.learning_rate = 0.002  # as a callback does
    Checkpoints(tmp_path / "changed").save(source, State(2, configuration={"rate": 0.01}), None)

    target = model(1, optimizer(0.5))
    Checkpoints(tmp_path).restore(target, {"rate": 0.5})
    assert float(target.optimizer.learning_rate) == 0.5
    moments = [v for v in target.optimizer.variables if v.ndim]
    expected = [v for v in source.optimizer.variables if v.ndim]
    assert len(moments) > 4
    for a, b in zip([*target.weights, *moments], [*source.weights, *expected], strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert int(target.optimizer.iterations) == int(source.optimizer.iterations) > 0

    own = model(1, optimizer(0.01))
    Checkpoints(tmp_path / "changed").restore(own, {"rate": 0.01})
    assert float(own.optimizer.learning_rate) == pytest.approx(0.002)


def test_a_learning_rate_that_follows_a_schedule_goes_on_from_another_trials_step(tmp_path):
    source = trained(
        optimizer=keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5))
    )
    Checkpoints(tmp_path).save(source, State(1, configuration={"rate": 0.1}), None)
    target = model(
        1, keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.8, 1, 0.5))
    )
    Checkpoints(tmp_path).restore(target, {"rate": 0.8})
    assert float(target.optimizer.learning_rate) == pytest.approx(0.8 * 0.5**2)


def test_the_state_is_read_without_a_model(tmp_path):
    Checkpoints(tmp_path).save(trained(), State(3), None)
    assert Checkpoints(tmp_path).last_state() == State(3, build=SHAPES)


def test_the_file_of_an_earlier_version_is_gone_on_with(tmp_path):
    report = {"epoch": 3, "objective": 0.5, "metrics": {"val_loss": 0.5}}
    first = {"epoch": 3, "ended": True, "callbacks": [], "report": report, "best": None}
    archive.write(tmp_path / "last.npz", {}, first)
    held = Checkpoints(tmp_path).last_state()
    assert held == State(3, ended=True, report=EpochReport(3, 0.5, {"val_loss": 0.5}, 0.0))
    assert (held.calls, held.configuration, held.returned) == (1, None, False)
    plain = held.plain()
    told = plain["report"]
    assert told == told | report | {"seconds": 0.0, "final": False}
    assert plain == plain | first | {"report": told}


def test_a_trial_takes_over_anothers_last_state_and_keeps_it_twice(tmp_path):
    source, target = Checkpoints(tmp_path / "source"), Checkpoints(tmp_path / "target")
    for kept, epoch in ((source, 2), (target, 1)):
        kept.save(trained(), State(epoch), BestWeights(epoch, 0.5, trained().get_weights()))
    best = target.best.read_bytes()
    target.take_over(source)
    assert target.last_state().epoch == 2
    assert target.last.read_bytes() == source.last.read_bytes()
    target.last.write_bytes(b"")
    assert target.mend() == f"{target.last} was damaged; its spare took its place"
    assert target.last.read_bytes() == source.last.read_bytes()
    assert target.best.read_bytes() == best, "it has no part in what another's best was"


def test_best_weights_are_written_once_and_stay(tmp_path):
    source = trained()
    best = BestWeights(1, 0.5, source.get_weights())
    kept = Checkpoints(tmp_path)
    kept.save(source, State(1), best)
    first = kept.best.stat().st_mtime_ns

    kept.save(source, State(2), best)

    assert kept.best.stat().st_mtime_ns == first
    assert kept.best_state() == BestState(1, 0.5, SHAPES)


def test_a_save_that_breaks_off_leaves_the_files_before_it_whole(tmp_path, monkeypatch):
    source, kept = trained(), Checkpoints(tmp_path)
    kept.save(source, State(1), BestWeights(1, 0.5, source.get_weights()))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {"last.npz", "best.npz"}

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.records.layout.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        kept.save(trained(5), State(2), BestWeights(2, 0.1, source.get_weights()))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_best_is_written_before_the_state_that_relies_on_it(tmp_path, monkeypatch):
    source, kept = trained(), Checkpoints(tmp_path)
    real, written = archive.write_whole, []

    def breaks_after_one(path, data):
        if written:
            raise KeyboardInterrupt
        written.append(path.name)
        real(path, data)

    monkeypatch.setattr(archive, "write_whole", breaks_after_one)
    with pytest.raises(KeyboardInterrupt):
        kept.save(source, State(1), BestWeights(1, 0.5, source.get_weights()))

    assert written == ["best.npz"]
    assert kept.restore(model(1), {}) is None


class Clock:
    """Stands for the module `time`; a save takes `cost` seconds of it."""

    def __init__(self):
        self.now, self.cost = 100.0, 0.0

    def monotonic(self):
        return self.now

    def write(self, path, arrays, plain, keep_spare):
        self.now += self.cost


@pytest.mark.parametrize(
    ("cost", "epoch_s", "pause"),
    [
        (0.0, 1.0, 0.0),
        (0.1, 1.0, 3.3),
        (1.0, 1.0, 33.0),
        (1.8, 0.1, 59.4),
        (5.0, 0.0, 60.0),
        (5.0, 15.0, 45.0),
        (1.3, 40.0, 20.0),
        (0.9, 59.0, 1.0),
        (0.9, 61.0, 0.0),
    ],
)
def test_saves_come_as_often_as_their_cost_allows(cost, epoch_s, pause, tmp_path, monkeypatch):
    """A thirty-third of the time since the last; but no minute's training is lost, unless an epoch
    takes longer."""
    clock = Clock()
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(archive, "write", clock.write)
    kept = Checkpoints(tmp_path)
    assert kept.due(0), "what it costs is not known before the first"

    clock.cost = cost
    kept.save(SimpleNamespace(weights=[], trainable_variables=[], optimizer=None), State(0), None)

    if pause:
        clock.now += pause - 0.01
        assert not kept.due(epoch_s)
        clock.now += 0.02
    assert kept.due(epoch_s)


def saved(folder, *, keep_spare=False):
    source, kept = trained(), Checkpoints(folder, keep_spare=keep_spare)
    kept.save(source, State(2), BestWeights(2, 0.5, source.get_weights()))
    return kept


@pytest.mark.parametrize("name", ["last.npz", "best.npz"])
def test_wherever_one_is_damaged_both_are_removed_and_it_is_said(name, tmp_path):
    kept = saved(tmp_path)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    state = kept.last_state()
    assert kept.mend() == ""
    path, found = tmp_path / name, []
    for place in range(0, len(whole[name]), 211):
        byte = whole[name][place] ^ 1 << place % 8
        for damaged in (
            whole[name][:place],
            whole[name][:place] + bytes([byte]) + whole[name][place + 1 :],
        ):
            for each, data in whole.items():
                (tmp_path / each).write_bytes(data)
            path.write_bytes(damaged)
            said = kept.mend()
            found.append(bool(said))
            if said:
                assert said == f"{path} is damaged; trained again from the start"
                assert list(tmp_path.iterdir()) == []
            else:  # a byte that says nothing, such as of a date
                target = model(1)
                assert kept.restore(target, {}) == state
                kept.restore_best(model(1))
                for a, b in zip(values(target), values(trained()), strict=True):
                    np.testing.assert_array_equal(a, b)
    assert np.mean(found) > 0.8


BETTER = State(2, best=EpochReport(1, 0.5, {"val_loss": 0.5}, 1.0))


def test_best_weights_that_are_gone_are_noticed_by_the_state_that_relies_on_them(tmp_path):
    source, kept = trained(), Checkpoints(tmp_path)
    kept.save(source, BETTER, BestWeights(1, 0.5, source.get_weights()))
    assert kept.mend() == ""
    kept.best.unlink()
    assert kept.mend() == f"{kept.best} is missing; trained again from the start"
    assert list(tmp_path.iterdir()) == []


def test_best_weights_that_never_were_are_not_missed(tmp_path):
    kept = Checkpoints(tmp_path)
    assert kept.mend() == ""
    # no objective was finite, or none is reported yet
    kept.save(trained(), State(2), None)
    assert kept.mend() == "" and kept.last.exists()
    kept = saved(tmp_path / "ended")
    kept.last.unlink()  # after the end of a search
    assert kept.mend() == "" and kept.best.exists()


def test_lists_of_arrays_come_back_to_the_bit(tmp_path):
    source = trained()
    Checkpoints(tmp_path).save(
        source, State(1, lists={"0.best_weights": source.get_weights(), "2.none": []}), None
    )
    lists = Checkpoints(tmp_path).restore(model(1), {}).lists
    assert lists.keys() == {"0.best_weights", "2.none"} and lists["2.none"] == []
    for a, b in zip(lists["0.best_weights"], source.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_file_at_all_is_removed_too(tmp_path):
    for name in ("last.npz", "best.npz"):
        kept = saved(tmp_path)
        (tmp_path / name).unlink()
        (tmp_path / name / "within").mkdir(parents=True)
        assert kept.last_state() is None or name == "best.npz"
        assert kept.mend().startswith(str(tmp_path / name))
        assert list(tmp_path.iterdir()) == []


def test_kept_twice_one_takes_the_place_of_the_other_and_it_is_said(tmp_path):
    kept = saved(tmp_path, keep_spare=True)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert whole.keys() == {"last.npz", "best.npz", "last.spare.npz", "best.spare.npz"}
    for name in ("last.npz", "best.npz"):
        (tmp_path / name).write_bytes(whole[name][:-100])
        assert kept.mend() == f"{tmp_path / name} was damaged; its spare took its place"
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
        (tmp_path / name).unlink()
        assert kept.mend() == f"{tmp_path / name} was missing; its spare took its place"
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    for name in ("best.npz", "best.spare.npz"):
        (tmp_path / name).write_bytes(b"")
    assert kept.mend() == f"{tmp_path / 'best.npz'} is damaged; trained again from the start"
    assert list(tmp_path.iterdir()) == []


class Trap:
    """Unpickling one writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_is_unpickled(tmp_path):
    trap = tmp_path / "sprung"
    for name in ("last.npz", "best.npz"):
        np.savez(
            tmp_path / name,
            state=np.array(Trap(trap), dtype=object),
            w0=np.array(Trap(trap), dtype=object),
        )
    kept = Checkpoints(tmp_path)

    assert kept.best_state() is None and kept.last_state() is None
    for read in (lambda: kept.restore(model(0), {}), lambda: kept.restore_best(model(0))):
        with pytest.raises(ValueError, match="allow_pickle=False"):
            read()
    assert "is damaged" in kept.mend()
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap))).close()
    assert trap.exists(), "the trap works"
