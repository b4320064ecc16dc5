"""A trial reports, is interrupted, goes on, and ends; with real Keras and sessions made from a
list."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import FitData
from pipeline.errors import RequestError, StorageError
from pipeline.objective import Objective
from pipeline.records.layout import Layout
from pipeline.worker.fitting import plans
from pipeline.worker.session import TrialUpdate
from pipeline.worker.training.checkpoints import BestState, Checkpoints
from pipeline.worker.training.evaluate import evaluate_best, trained
from pipeline.worker.training.repeats import carry_out, directories
from pipeline.worker.training.trial import hyperparameters
from tests.worker.stage import (
    Notes,
    assert_same,
    curve,
    dataset,
    differ,
    digits_model,
    interrupted,
    interrupted_updates,
    job,
    linear_model,
    one_hot,
    run,
    space,
)

ROOT = Path(__file__).parents[3]
OURS = f'"{ROOT}{os.sep}pipeline{os.sep}'


# what a model without shapes of its own is built with again
SHAPES = {"input_shape": [None, 8, 8, 1]}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return dataset("digits")


def linear(hp: Any, data: Dataset) -> keras.Model:
    return linear_model()


def momentum(hp: Any, data: Dataset) -> keras.Model:
    return digits_model(keras.optimizers.SGD(0.05, momentum=0.9))


# What is reported.


def test_every_epoch_is_reported_with_all_logs(digits, tmp_path):
    notes, ending = run(job(tmp_path, max_epochs=3), space(), digits)

    assert ending.failure is None
    assert [e.epoch for e in notes.epochs] == [1, 2, 3]
    for epoch in notes.epochs:
        assert set(epoch.metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
        assert epoch.objective == epoch.metrics["val_loss"]
        assert epoch.seconds > 0
    assert notes.epochs[2].metrics["loss"] < notes.epochs[0].metrics["loss"]


def test_it_is_compiled_where_there_are_enough_steps_between_two_rungs(tmp_path, monkeypatch):
    """Three epochs of 1,000 steps are to pay for XLA's compilation here."""
    monkeypatch.setattr(plans, "COMPILED_FROM_STEPS", 3000)
    data = dataset("digits", 1000)

    def build(hp: Any, data: Dataset) -> keras.Model:
        model = linear_model()
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return model.fit(*args, batch_size=1, **kwargs)

    def chosen(updates: list[TrialUpdate]) -> list[str]:
        return [(update.facts.fit_plan or "").partition(":")[0] for update in updates]

    task = job(tmp_path / "cut off", max_epochs=4, rungs=(1,))
    cut_off = interrupted_updates(task, space(build, fit), data)
    undisturbed, _ = run(replace(task, directory=tmp_path / "other"), space(build, fit), data)
    assert (
        chosen(cut_off)
        == chosen(undisturbed.updates)
        == ["looped", "compiled", "compiled", "compiled"]
    )
    assert_same([update.report for update in cut_off], undisturbed.epochs)
    whole, _ = run(job(tmp_path / "whole", max_epochs=3), space(build, fit), data)
    assert chosen(whole.updates) == ["compiled"] * 3
    # The best trial is trained again to its best epoch where its weights were lost.
    again, _ = run(job(tmp_path / "again", max_epochs=2, rungs=(1, 4)), space(build, fit), data)
    before = [update.facts.fit_plan for update in undisturbed.updates[:2]]
    assert [update.facts.fit_plan for update in again.updates] == before


def test_a_metric_of_each_class_is_recorded_as_a_number_for_each(tmp_path):
    """Keras's F1Score tells one of each class, if not asked for an average."""
    digits = one_hot(dataset("digits"))

    def build(hp, data):
        model = linear_model()
        model.compile(
            "sgd",
            "categorical_crossentropy",
            metrics=[keras.metrics.F1Score(), "mae"],
            run_eagerly=True,
        )
        return model

    task = job(tmp_path / "trials", max_epochs=1)
    notes, ending = run(task, space(build), digits)
    measured = evaluate_best(task, space(build), digits, 1, Layout(tmp_path))

    assert ending.failure is None
    scores = {f"f1_score_class_{place}" for place in range(10)}
    of_a_split = {"loss", "mae", *scores}
    assert set(notes.epochs[0].metrics) == of_a_split | {f"val_{name}" for name in of_a_split}
    assert set(measured["test"]) == of_a_split


def test_hyperparameters_of_build_and_of_fit_are_told_apart(digits, tmp_path):
    sizes = []

    def build(hp, data):
        return digits_model(
            keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))
        )

    def fit(hp, model, x, y, **kwargs):
        sizes.append(hp.Choice("batch_size", [15, 30]))
        history = model.fit(x, y, batch_size=sizes[-1], **kwargs)
        assert history.params["steps"] == 60 // sizes[-1]
        return history

    task = job(tmp_path, configuration={"learning_rate": 0.01, "batch_size": 30}, max_epochs=1)
    notes, ending = run(task, space(build, fit), digits)

    assert ending.failure is None
    requested = [(spec.name, value) for spec, value in notes.updates[0].facts.asked]
    assert requested == [("learning_rate", 0.01), ("batch_size", 30)]
    assert notes.updates[0].facts.asked_by_build == 1


def test_what_the_proposal_leaves_open_follows_from_seed_trial_and_name(tmp_path):
    def drawn(task):
        hp = hyperparameters(task)
        return [hp.Float(name, 0, 1) for name in ("a", "b")] + [hp.Int("c", 1, 9, default=3)]

    settled = {"configuration": {"c": 5}}

    assert drawn(job(tmp_path, **settled)) == drawn(job(tmp_path, **settled))
    assert drawn(job(tmp_path, **settled))[2] == 5
    assert (
        len({value for t in ("t0", "t1") for value in drawn(job(tmp_path, t, **settled))[:2]}) == 4
    )
    assert drawn(job(tmp_path, fill="first")) == [0.0, 0.0, 1]
    assert drawn(job(tmp_path, fill="default")) == [0.0, 0.0, 3]


# Interrupted and restarted.


@pytest.mark.parametrize(
    "build", [lambda hp, data: digits_model("adam"), momentum], ids=["adam", "momentum"]
)
def test_a_trial_interrupted_after_each_epoch_gives_the_undisturbed_curve(build, digits, tmp_path):
    undisturbed, _ = run(job(tmp_path / "one", max_epochs=3), space(build), digits)

    assert_same(
        interrupted(job(tmp_path / "other", max_epochs=3), space(build), digits), undisturbed.epochs
    )


def test_so_does_a_compiled_one_on_tables(tmp_path):
    data = dataset("breast_cancer")

    def build(hp, data):
        layers = [
            keras.layers.GaussianNoise(0.2),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dropout(0.2),
        ]
        model = keras.Sequential([keras.Input((30,)), *layers, keras.layers.Dense(1, "sigmoid")])
        model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"], jit_compile=False)
        return model

    undisturbed, _ = run(job(tmp_path / "one", max_epochs=3), space(build), data)
    first, _ = run(job(tmp_path / "other", max_epochs=3), space(build), data, stop=2)
    second, _ = run(job(tmp_path / "other", max_epochs=3), space(build), data)

    assert [len(first.epochs), len(second.epochs)] == [2, 1]
    assert_same(first.epochs + second.epochs, undisturbed.epochs)


def test_a_subclassed_model_without_weights_yet_is_restored(digits, tmp_path):
    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.drop = keras.layers.Flatten(), keras.layers.Dropout(0.5)
            self.out = keras.layers.Dense(10, "softmax")

        def call(self, x, training=False):
            return self.out(self.drop(self.flat(x), training=training))

    def build(hp, data):
        model = Late()
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    undisturbed, _ = run(job(tmp_path / "one", max_epochs=2), space(build), digits)

    assert_same(
        interrupted(job(tmp_path / "other", max_epochs=2), space(build), digits), undisturbed.epochs
    )


SECOND_HALF = """
import json, sys
from pathlib import Path
from tests.worker.stage import curve, dataset, job, run, space
notes, ending = run(job(Path(sys.argv[1])), space(), dataset("digits"))
assert ending.failure is None, ending
print("\\n" + json.dumps(curve(notes.epochs)))
"""


@pytest.mark.slow
def test_another_process_goes_on_with_the_same_curve(digits, tmp_path):
    import json

    undisturbed, _ = run(job(tmp_path / "one"), space(), digits)
    first, _ = run(job(tmp_path / "other"), space(), digits, stop=2)

    done = subprocess.run(
        [sys.executable, "-c", SECOND_HALF, str(tmp_path / "other")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    points = curve(first.epochs) + json.loads(done.stdout.splitlines()[-1])
    for point, expected in zip(points, curve(undisturbed.epochs), strict=True):
        # another process may align memory, and so sum, differently
        assert point == pytest.approx(expected, rel=1e-5)


def plateaus(hp, model, *args, callbacks, **kwargs):
    """A `fit` with callbacks that take every epoch for a plateau: no epoch improves the loss by
    ten."""
    own = [
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2, min_delta=10),
        keras.callbacks.EarlyStopping(
            "val_loss", patience=3, min_delta=10, restore_best_weights=True
        ),
    ]
    return model.fit(*args, callbacks=[*own, *callbacks], **kwargs)


def test_callbacks_keep_their_patience_over_interruptions(digits, tmp_path):
    """Without it nothing would ever be a plateau; and what EarlyStopping has ended stays ended."""
    family = space(
        lambda hp, data: linear_model(keras.optimizers.SGD(0.05, momentum=0.9)), plateaus
    )

    undisturbed, _ = run(job(tmp_path / "one", max_epochs=7), family, digits)
    other = interrupted(job(tmp_path / "other", max_epochs=7), family, digits)
    # its `fit` had not returned: what is reported again is the same
    other = list({e.epoch: e for e in other}.values())

    rates = [e.metrics["learning_rate"] for e in undisturbed.epochs]
    # the first is the best, three more have passed
    assert rates == pytest.approx([0.05, 0.05, 0.05, 0.025])
    assert_same(other, undisturbed.epochs)


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
@pytest.mark.parametrize("monitor", ["val_loss", "loss"])
def test_early_stopping_restores_the_best_weights_of_before_an_interruption(
    monitor, stop, digits, tmp_path
):
    models = []

    def build(hp, data):
        models.append(linear_model(keras.optimizers.SGD(0.05, momentum=0.9)))
        return models[-1]

    def fit(hp, model, *args, callbacks, **kwargs):
        falls = keras.callbacks.LearningRateScheduler(lambda epoch: 0.05 if epoch < 2 else -0.5)
        early = keras.callbacks.EarlyStopping(monitor, patience=3, restore_best_weights=True)
        return model.fit(*args, callbacks=[falls, early, *callbacks], **kwargs)

    undisturbed, _ = run(job(tmp_path / "one", max_epochs=9), space(build, fit), digits)
    whole = [w.numpy() for w in models[-1].weights]
    first, _ = run(job(tmp_path / "other", max_epochs=9), space(build, fit), digits, stop=stop)
    second, _ = run(job(tmp_path / "other", max_epochs=9), space(build, fit), digits)

    assert stop < len(undisturbed.epochs) < 9, "three have passed since the best"
    assert_same(first.epochs + second.epochs, undisturbed.epochs)
    for weights, expected in zip(models[-1].weights, whole, strict=True):
        np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)


def test_a_callbacks_own_counters_and_lists_are_kept(digits, tmp_path):
    seen = []

    class Own(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self._begun, self.losses, self.lowest = 0, [], None

        def on_epoch_begin(self, epoch, logs=None):
            self._begun += 1

        def on_epoch_end(self, epoch, logs=None):
            self.losses.append(logs["loss"])
            self.lowest = {"loss": np.float64(min(self.losses))}
            seen.append((self._begun, len(self.losses), self.lowest["loss"] == min(self.losses)))

    def fit(hp, model, *args, **kwargs):
        kwargs["callbacks"].insert(0, Own())
        return model.fit(*args, **kwargs)

    interrupted(job(tmp_path, max_epochs=3), space(linear, fit), digits)

    assert seen == [(1, 1, True), (2, 2, True), (3, 3, True)]


def test_a_finished_trial_trains_no_more(digits, tmp_path):
    run(job(tmp_path, max_epochs=2), space(linear), digits)

    again, ending = run(job(tmp_path, max_epochs=2), space(linear), digits)
    longer, _ = run(job(tmp_path, max_epochs=3), space(linear), digits)

    assert ending.failure is None and again.epochs == []
    assert [e.epoch for e in longer.epochs] == [3]


# What trials share, and what they do not.


def with_order(orders: list[list[int]]) -> Any:
    """A `build` whose model notes which examples each training step saw; the first pixel is the
    example's number."""

    class Spy(keras.layers.Layer):
        def call(self, x, training=False):
            if training:
                orders[-1].extend(np.asarray(x)[:, 0, 0, 0].astype(int).tolist())
            return x

    def build(hp, data):
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), Spy(), keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    return build


def test_data_order_follows_from_seed_trial_and_epoch(digits, tmp_path):
    from dataclasses import replace

    x = digits.x_train.copy()
    x[:, 0, 0, 0] = np.arange(len(x))
    data = replace(digits, x_train=x)

    def orders(folder, **settings):
        noted = []

        def fit(hp, model, *args, callbacks, **kwargs):
            begin = keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: noted.append([])
            )
            return model.fit(*args, callbacks=[begin, *callbacks], **kwargs)

        noted.append([])
        _, ending = run(
            job(tmp_path / folder, max_epochs=2, **settings), space(with_order(noted), fit), data
        )
        assert ending.failure is None, ending
        return noted[-2:]

    first, second = orders("a")
    assert sorted(first) == sorted(second) == list(range(60))
    assert first != second != list(range(60))
    assert orders("b") == [first, second]
    assert orders("c", trial="t0001")[0] not in (first, second)
    assert orders("d", seed=8)[0] not in (first, second)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")  # Keras 3.15, without it too
def test_the_epoch_after_an_interruption_is_marked_where_its_data_began_anew(digits, tmp_path):
    import tensorflow as tf

    parts = (digits.x_train, digits.y_train)
    batches = tf.data.Dataset.from_tensor_slices(parts).batch(16)

    def marked(name, x, y=None, fit=None):
        data = FitData.of("d", x, y, validation_data=parts)
        epochs = interrupted(job(tmp_path / name, max_epochs=2), space(linear, fit), data)
        return [e.data_anew for e in epochs]

    def by_steps(hp, model, *args, **kwargs):
        return model.fit(*args, steps_per_epoch=2, **kwargs)

    def in_order(hp, model, *args, **kwargs):
        return model.fit(*args, shuffle=False, **kwargs)

    after = [False, True]
    assert marked("arrays", *parts) == marked("batches", batches) == [False] * 2
    assert marked("arrays in order", *parts, in_order) == [False] * 2
    assert marked("shuffled", batches.shuffle(9, seed=1)) == after
    assert marked("made", lambda: batches) == after
    assert marked("by steps", batches.repeat(), fit=by_steps) == after


def test_two_trials_of_one_configuration_differ(digits, tmp_path):
    one, _ = run(job(tmp_path, "t0000", max_epochs=1), space(), digits)
    other, _ = run(job(tmp_path, "t0001", max_epochs=1), space(), digits)

    assert differ(one.epochs, other.epochs)


def test_nothing_of_one_trial_reaches_the_next(digits, tmp_path):
    def messy(hp, data):
        keras.config.set_dtype_policy("mixed_bfloat16")
        np.random.seed(3)
        keras.utils.set_random_seed(3)
        return digits_model("sgd", metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(3)])

    first, _ = run(job(tmp_path / "1", max_epochs=2), space(), digits)
    run(job(tmp_path / "2", "t0001", max_epochs=1), space(messy), digits)
    again, _ = run(job(tmp_path / "3", max_epochs=2), space(), digits)

    assert_same(first.epochs, again.epochs)
    assert list(first.epochs[0].metrics) == list(again.epochs[0].metrics)


# The best epoch.


@pytest.mark.parametrize(
    "objective", [Objective("val_loss", "min"), Objective("val_accuracy", "max")], ids=str
)
def test_best_weights_are_those_of_the_best_epoch(objective, digits, tmp_path):
    # the third epoch undoes what the first two have learnt
    def fit(hp, model, *args, callbacks, **kwargs):
        rate = keras.callbacks.LearningRateScheduler(lambda epoch: 2.0 if epoch < 2 else -50.0)
        return model.fit(*args, callbacks=[rate, *callbacks], **kwargs)

    task = job(tmp_path, objective=objective, max_epochs=3)
    notes, _ = run(task, space(linear, fit), digits)

    values = [e.objective for e in notes.epochs]
    best = min(values, key=objective.loss)
    keras.utils.clear_session()
    model = linear(None, digits)
    held = Checkpoints(task.directory).restore_best(model)
    measured = model.evaluate(
        digits.x_val, digits.y_val, batch_size=60, verbose=0, return_dict=True
    )
    assert held == BestState(values.index(best) + 1, best, SHAPES, 32)
    assert measured[objective.name.removeprefix("val_")] == best
    assert held.epoch == 2


def test_the_best_epoch_before_an_interruption_stays_the_best(digits, tmp_path):
    # the first epoch is the worst
    task = job(tmp_path, objective=Objective("val_loss", "max"), max_epochs=2)
    epochs = interrupted(task, space(), digits)

    assert Checkpoints(task.directory).best_state() == BestState(1, epochs[0].objective, SHAPES, 32)


# Bad endings.


def test_nan_ends_the_trial_as_a_configuration_that_cannot_be_trained(tmp_path):
    def build(hp, data):
        model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1e4), "mse", run_eagerly=True)
        return model

    task = job(tmp_path, max_epochs=5)
    notes, ending = run(task, space(build), dataset("diabetes"))

    assert ending is None
    assert len(notes.epochs) == 1
    assert notes.epochs[0].objective is None
    assert notes.epochs[0].metrics["val_loss"] is None
    assert notes.failure.blames == "configuration"
    assert notes.failure.reason in (
        "diverged: val_loss is nan in epoch 1",
        "diverged: val_loss is inf in epoch 1",
    )
    assert Checkpoints(task.directory).best_state() is None


def test_the_accuracy_of_nan_weights_is_no_result(digits, tmp_path):
    def build(hp, data):
        return linear_model(keras.optimizers.SGD(1e38))

    task = job(tmp_path, objective=Objective("val_accuracy", "max"))
    notes, _ = run(task, space(build), digits)

    assert math.isfinite(notes.epochs[-1].metrics["val_accuracy"])
    assert notes.epochs[-1].objective is None
    assert notes.failure.reason.startswith(
        ("diverged: loss is nan in epoch", "diverged: loss is inf in epoch")
    )


def test_an_objective_that_is_not_reported_is_refused_with_what_is(digits, tmp_path):
    _, ending = run(job(tmp_path, objective=Objective("val_auc", "max")), space(linear), digits)

    assert ending.failure.blames == "request"
    assert ending.failure.reason == (
        "The objective must be among what `fit` reports or returns; got 'val_auc'. "
        "Possible: accuracy, loss, val_accuracy, val_loss."
    )


def test_an_objective_that_is_not_reported_ends_the_trial_with_its_first_epoch(digits, tmp_path):
    trained = []

    def build(hp, data):
        trained.append(linear_model())
        return trained[0]

    run(job(tmp_path, objective=Objective("val_auc", "max")), space(build), digits)

    assert int(trained[0].optimizer.iterations) == 2, "the steps of an epoch"


def test_a_fit_that_never_calls_model_fit_is_refused(digits, tmp_path):
    _, ending = run(job(tmp_path), space(linear, lambda hp, model, *args, **kwargs: None), digits)

    assert ending.failure.blames == "request"
    assert ending.failure.reason == (
        "`fit` must call model.fit and pass its callbacks on, or return the objective; no epoch "
        "was reported."
    )


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "`build` of search space 'mine' must return a keras.Model; it returned NoneType."),
        ("uncompiled", "must return a compiled model; call model.compile(…) in it."),
    ],
    ids=["nothing", "uncompiled"],
)
def test_a_build_that_returns_no_compiled_model_is_refused(returned, message, digits, tmp_path):
    def build(hp, data):
        return returned and keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])

    _, ending = run(job(tmp_path), space(build), digits)

    assert ending.failure.blames == "request"
    assert message in ending.failure.reason


def fault_in_build(hp, data):
    raise ValueError("no such width")


def fault_in_fit(hp, model, *args, **kwargs):
    raise ValueError("no such width")


class FaultInCallback(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        try:
            {}["width"]
        except KeyError as error:
            raise ValueError("no such width") from error


def with_faulty_callback(hp, model, *args, callbacks, **kwargs):
    return model.fit(*args, callbacks=[FaultInCallback(), *callbacks], **kwargs)


@pytest.mark.parametrize(
    ("build", "fit", "users"),
    [
        (fault_in_build, None, "fault_in_build"),
        (None, fault_in_fit, "fault_in_fit"),
        (None, with_faulty_callback, "on_epoch_end"),
    ],
    ids=["build", "fit", "callback"],
)
def test_a_users_exception_is_a_fault_of_the_program_told_in_their_frames(
    build, fit, users, digits, tmp_path
):
    _, ending = run(job(tmp_path), space(build or linear, fit), digits)

    failure = ending.failure
    assert failure.blames == "program"
    assert failure.reason == "ValueError: no such width"
    assert f", in {users}\n" in failure.traceback
    assert failure.traceback.endswith("ValueError: no such width\n")
    assert OURS not in failure.traceback
    assert failure.where.startswith(f"ValueError at {__file__}:")


def test_unwrapped_lets_a_users_exception_through(digits, tmp_path):
    with pytest.raises(ValueError, match="no such width"):
        run(job(tmp_path), space(fault_in_build), digits, unwrapped=True)
    with pytest.raises(RequestError, match="must call model.fit"):
        run(job(tmp_path), space(linear, lambda *args, **kwargs: None), digits, unwrapped=True)


class ResourceExhaustedError(Exception):
    """Called like TensorFlow's."""


@pytest.mark.parametrize("kind", [MemoryError, ResourceExhaustedError])
def test_out_of_memory_is_a_configuration_that_cannot_be_trained(kind, digits, tmp_path):
    def build(hp, data):
        raise kind("8 GiB wanted")

    _, ending = run(job(tmp_path), space(build), digits)

    assert ending.failure.blames == "configuration"
    assert ending.failure.reason == f"out of memory: {kind.__name__}: 8 GiB wanted"


# Storage that fails, files that are damaged.


@pytest.mark.parametrize("name", ["last.npz", "best.npz"])
def test_a_trial_whose_checkpoint_is_damaged_is_trained_again_to_the_same_and_says_so(
    name, digits, tmp_path
):
    undisturbed, _ = run(job(tmp_path / "whole"), space(), digits)
    task = job(tmp_path)
    before, _ = run(task, space(), digits, stop=2)
    path = task.directory / name
    path.write_bytes(path.read_bytes()[:-100])
    after, ending = run(task, space(), digits)

    assert ending.failure is None
    assert_same(after.epochs, undisturbed.epochs)
    said = f"{path} is damaged; trained again from the start"
    assert [u.warning for u in before.updates + after.updates] == ["", "", said, "", "", ""]
    assert (
        Checkpoints(task.directory).best_state()
        == Checkpoints(tmp_path / "whole" / "t0000").best_state()
    )


def rises_and_falls(hp, model, *args, callbacks, **kwargs):
    """A `fit` whose second epoch is the best: what comes after it undoes what was learnt."""
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 2.0 if epoch < 2 else -5.0)
    return model.fit(*args, callbacks=[rate, *callbacks], **kwargs)


@pytest.mark.parametrize("stop", [3, 4])
def test_a_trial_whose_best_weights_are_gone_is_trained_again_to_the_same_and_says_so(
    stop, digits, tmp_path
):
    """At its last epoch too: there is nothing to go on with, but a best epoch to be found."""
    family = space(linear, rises_and_falls)
    undisturbed, _ = run(job(tmp_path / "whole"), family, digits)
    task = job(tmp_path)
    run(task, family, digits, stop=stop)
    path = task.directory / "best.npz"
    path.unlink()
    after, ending = run(task, family, digits)

    assert ending.failure is None
    assert_same(after.epochs, undisturbed.epochs)
    assert after.updates[0].warning == f"{path} is missing; trained again from the start"
    held = Checkpoints(task.directory).best_state()
    assert held == Checkpoints(tmp_path / "whole" / "t0000").best_state() and held.epoch == 2


@pytest.mark.parametrize("damage", ["cut off", "gone"])
@pytest.mark.parametrize("repeats", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_best_model_is_trained_again_where_its_weights_are_damaged(
    repeats, damage, digits, tmp_path
):
    task = job(tmp_path / "trials", repeats=repeats)
    notes = Notes()
    carry_out(task, space(), digits, notes)
    best = min(notes.epochs, key=lambda e: e.objective)
    held = [Checkpoints(directory) for directory in directories(task)]
    states = [checkpoints.best_state() for checkpoints in held]
    path = min(held, key=lambda c: c.best_state().objective).best
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])

    measured = evaluate_best(task, space(), digits, best.epoch, Layout(tmp_path))

    assert [checkpoints.best_state() for checkpoints in held] == states
    lowest = min(state.objective for state in states)
    assert measured["validation"]["loss"] == pytest.approx(lowest, rel=1e-5)


def test_a_trial_whose_checkpoints_cannot_be_saved_trains_on_and_says_so_once(digits, tmp_path):
    undisturbed, _ = run(job(tmp_path / "whole"), space(), digits)
    tmp_path.joinpath("t0000").write_text("a file where the folder should be")
    notes, ending = run(job(tmp_path), space(), digits)

    assert ending.failure is None
    assert_same(notes.epochs, undisturbed.epochs)
    said = f"{tmp_path / 't0000'} could not be written to, trained on: File exists"
    assert [u.warning for u in notes.updates] == ["", said, "", ""]


def test_a_best_model_that_cannot_be_written_is_named(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.records.layout.PAUSES_S", (0.01,))
    task = job(tmp_path / "trials", max_epochs=1)
    run(task, space(), digits)
    tmp_path.joinpath("best").write_text("a file where the folder should be")

    with pytest.raises(
        StorageError,
        match="best/model.keras could not be written for 0 s: File exists. What was rec",
    ):
        evaluate_best(task, space(), digits, 1, Layout(tmp_path))


class Late(keras.Model):
    """Its `build` makes a layer, which only its first call builds."""

    def build(self, shape: Any) -> None:
        self.flat = keras.layers.Flatten()
        self.layer = keras.layers.Dense(10, "softmax")

    def call(self, x: Any) -> Any:
        return self.layer(self.flat(x))


def test_weights_go_back_into_layers_that_only_a_call_builds(digits, tmp_path):
    def late(hp: Any, data: Dataset) -> keras.Model:
        model = Late()
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    notes, ending = run(job(tmp_path, max_epochs=1), space(late), digits)
    assert ending.failure is None
    model, _ = trained(job(tmp_path, max_epochs=1), space(late), digits)
    loss = model.evaluate(digits.x_val, digits.y_val, verbose=0)
    assert loss == pytest.approx(notes.epochs[0].metrics["val_loss"], rel=1e-5)
