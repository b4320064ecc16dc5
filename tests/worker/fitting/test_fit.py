"""Our `fit` does what Keras's does: the same updates, on the same examples, to the same metrics."""

import keras
import numpy as np
import pytest

from pipeline.worker.backends.batches import Chunks, OrderedBatches
from pipeline.worker.backends.known import current
from pipeline.worker.backends.tensorflow import TensorFlow
from pipeline.worker.fitting.call import FitCall
from pipeline.worker.fitting.fit import planned_fit, set_steps_per_call
from pipeline.worker.fitting.order import Order
from pipeline.worker.fitting.plans import FitPlan
from pipeline.worker.fitting.reporter import Reporter
from tests.worker.stage import dataset


@pytest.fixture(scope="module")
def digits():
    return dataset("digits", 70)


def classifier(optimizer="sgd", **settings):
    """From the same weights each time."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    defaults = {"metrics": ["accuracy"], "weighted_metrics": [], "run_eagerly": True}
    model.compile(optimizer, "sparse_categorical_crossentropy", **defaults | settings)
    return model


def fit(model, *args, seed=1, reporter=None, plan="auto", **kwargs):
    """Our `fit`, through `planned_fit`."""
    with planned_fit(model, seed, reporter or Reporter(), plan):
        return model.fit(*args, **{"verbose": 0} | kwargs)


class Witness(keras.layers.Layer):
    """Counts, in the graph too, how often it saw each example in training and in which step."""

    def build(self, shape):
        new = {"shape": (70,), "initializer": "zeros", "trainable": False}
        self.times, self.step_of = (
            self.add_weight(**new, name="times"),
            self.add_weight(**new, name="step_of"),
        )
        self.step = self.add_weight(shape=(), initializer="zeros", trainable=False, name="step")

    def call(self, x, training=False):
        if training:
            ops = keras.ops
            self.step.assign_add(1.0)
            here = ops.sum(ops.one_hot(ops.cast(x[:, 0], "int32"), 70), axis=0)
            self.times.assign_add(here)
            self.step_of.assign_add(here * (self.step - self.step_of))
        return x


class Epochs(Reporter):
    """What the witness knows after each epoch."""

    def __init__(self):
        super().__init__()
        self.times, self.order, self.before = [], [], 0

    def on_epoch_end(self, epoch, logs=None):
        witness = self.model.layers[0]
        self.times.append(np.array(witness.times) - sum(self.times))
        self.order.append((np.array(witness.step_of) - self.before).tolist())
        self.before = float(np.array(witness.step))


def witnessed(seed=1, eager=True, **kwargs):
    model = keras.Sequential([keras.Input((1,)), Witness(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=eager, jit_compile=False)
    epochs, x = Epochs(), np.arange(70, dtype="float32")[:, None]
    fit(model, x, x[:, 0] / 70, seed=seed, reporter=epochs, **kwargs)
    return epochs, model


@pytest.mark.parametrize(("plan", "a_call"), [("plain", TensorFlow.steps_per_call), ("looped", 1)])
@pytest.mark.parametrize("batch_size", [2, 32], ids=["35 steps", "3 steps"])
def test_each_epoch_sees_each_example_once_and_updates_as_often_as_keras(batch_size, plan, a_call):
    """Plain, 35 steps are one call of 32 and one of 3; of 3 steps the last has 6 examples."""
    epochs, model = witnessed(eager=False, batch_size=batch_size, epochs=3, plan=plan)

    assert model.steps_per_execution == a_call
    assert len(epochs.times) == 3
    for times in epochs.times:
        assert times.tolist() == [1.0] * 70
    assert int(model.optimizer.iterations) == 3 * -(-70 // batch_size)
    sizes = np.bincount(np.array(epochs.order[1], int))[1:]
    assert sizes.tolist() == [batch_size] * (70 // batch_size) + [70 % batch_size] * (
        70 % batch_size > 0
    )


def test_order_differs_between_epochs_and_follows_from_seed_and_epoch():
    (a, _), (b, _), (other, _) = (witnessed(seed, batch_size=25, epochs=2) for seed in (1, 1, 2))
    late, _ = witnessed(1, batch_size=25, initial_epoch=1, epochs=2)

    assert len({tuple(order) for order in a.order + other.order}) == 4
    assert a.order == b.order
    assert late.order == a.order[1:]


@pytest.mark.parametrize(
    ("chunks", "sizes"),
    [
        (Chunks(0, 0, 32), [32, 32, 6]),
        (Chunks(2, 3, 10), [30, 30, 10]),
        (Chunks(1, 2, 32), [64, 6]),
    ],
)
def test_batches_of_other_backends_keep_the_same_promises(chunks, sizes):
    order = Order(5)
    batches = OrderedBatches([np.arange(70), np.arange(70) * 2], chunks, order)

    def epoch(number):
        order.epoch = number
        x, y = (
            np.concatenate(parts)
            for parts in zip(*(batches[i] for i in range(len(batches))), strict=True)
        )
        assert (y == 2 * x).all()
        return x.tolist()

    assert [len(batches[i][0]) for i in range(len(batches))] == sizes
    assert sorted(epoch(0)) == sorted(epoch(1)) == list(range(70))
    first, second = epoch(0), epoch(1)
    assert first != second
    assert [epoch(1), epoch(0)] == [second, first]


def test_a_batch_of_everything_gives_keras_own_weights_and_logs(digits):
    """In one batch the order is nothing but the order of a sum."""
    given = {"batch_size": 70, "epochs": 3, "validation_data": (digits.x_val, digits.y_val)}
    ours, plain = classifier("adam"), classifier("adam")

    history = fit(ours, digits.x_train, digits.y_train, **given).history
    expected = plain.fit(digits.x_train, digits.y_train, verbose=0, **given).history

    assert history.keys() == expected.keys()
    for name in history:
        assert history[name] == pytest.approx(expected[name], rel=1e-4)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("weights", ["sample_weight", "class_weight"])
def test_weights_are_respected(weights, digits):
    """Nothing is learnt at a rate of 0, so the logs depend on no order."""
    rng = np.random.default_rng(0)
    given = {
        weights: {"sample_weight": rng.random(70), "class_weight": {0: 5.0, 3: 0.0, 9: 2.5}}[
            weights
        ]
    }
    x, y = digits.x_train, digits.y_train

    def still():
        return classifier(keras.optimizers.SGD(0.0), weighted_metrics=["accuracy"])

    ours = fit(still(), x, y, **given).history
    plain = still().fit(x, y, verbose=0, **given).history
    unweighted = fit(still(), x, y).history

    assert ours.keys() == plain.keys()
    for name in ours:
        assert ours[name] == pytest.approx(plain[name], rel=1e-5)
    assert abs(ours["loss"][0] - unweighted["loss"][0]) > 0.01


def test_weights_of_samples_and_classes_together_are_refused_as_keras_does(digits):
    with pytest.raises(ValueError, match="at the same time"):
        fit(
            classifier(),
            digits.x_train,
            digits.y_train,
            class_weight={0: 2.0},
            sample_weight=np.ones(70),
        )


def test_one_hot_labels_take_class_weights(digits):
    labels = np.eye(10)[digits.y_train]

    def weighted(call):
        model = classifier()
        model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", run_eagerly=True)
        return call(model, digits.x_train, labels, class_weight={1: 9.0}, verbose=0).history["loss"]

    assert weighted(fit) == pytest.approx(
        weighted(lambda model, *a, **k: model.fit(*a, **k)), rel=1e-5
    )


def test_wide_floats_are_narrowed_as_keras_does_with_arrays(digits):
    seen = []

    class Spying(keras.Model):
        def train_step(self, data):
            seen.extend(str(part.dtype.name) for part in data)
            return super().train_step(data)

    inputs = keras.Input((8, 8, 1))
    model = Spying(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    model.compile("sgd", "mse", run_eagerly=True)
    fit(
        model,
        digits.x_train.astype("float64"),
        digits.y_train.astype("float64"),
        sample_weight=np.ones(70),
    )

    assert set(seen) == {"float32"}


def test_validation_metrics_are_those_of_evaluate(digits):
    model = classifier("adam")
    history = fit(
        model, digits.x_train, digits.y_train, validation_data=(digits.x_val, digits.y_val)
    ).history

    measured = model.evaluate(digits.x_val, digits.y_val, batch_size=7, verbose=0, return_dict=True)
    assert history["val_accuracy"][0] == pytest.approx(measured["accuracy"])
    assert history["val_loss"][0] == pytest.approx(measured["loss"], rel=1e-5)


def test_validation_steps_and_batches_of_the_user_are_kept(digits):
    """Batches wider than asked would show more than the asked number of examples."""
    model = classifier(keras.optimizers.SGD(0.0))
    few = fit(
        model,
        digits.x_train,
        digits.y_train,
        batch_size=8,
        validation_steps=2,
        validation_data=(digits.x_val, digits.y_val),
    ).history

    expected = model.evaluate(digits.x_val[:16], digits.y_val[:16], verbose=0, return_dict=True)
    assert few["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-5)


def test_validation_split_goes_to_keras_unchanged(digits):
    model = classifier(keras.optimizers.SGD(0.0))
    history = fit(model, digits.x_train, digits.y_train, validation_split=0.5, batch_size=5)

    expected = model.evaluate(digits.x_train[35:], digits.y_train[35:], verbose=0, return_dict=True)
    assert history.history["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-5)
    assert history.params["steps"] == 7


def test_a_users_dataset_goes_to_keras_unchanged(digits):
    import tensorflow as tf

    model = classifier()
    data = tf.data.Dataset.from_tensor_slices((digits.x_train, digits.y_train)).batch(20)
    history = fit(model, data, epochs=2, shuffle=False)

    assert int(model.optimizer.iterations) == 8
    assert len(history.history["loss"]) == 2


def test_steps_per_epoch_are_as_many_as_asked(digits):
    """With 32 steps a call Keras would run 32 of an endless dataset where 3 are asked for."""
    import tensorflow as tf

    model = classifier(run_eagerly=False)
    data = tf.data.Dataset.from_tensor_slices((digits.x_train, digits.y_train)).batch(2).repeat()
    fit(model, data, epochs=2, steps_per_epoch=3, shuffle=False)

    assert int(model.optimizer.iterations) == 6


def test_steps_per_execution_of_the_user_are_kept(digits):
    model = classifier(run_eagerly=False, steps_per_execution=5)
    fit(model, digits.x_train, digits.y_train, batch_size=10)

    assert model.steps_per_execution == 5
    assert int(model.optimizer.iterations) == 7


def test_a_callback_that_acts_on_batches_is_called_on_each(digits):
    calls = []

    class EachBatch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            calls.append(batch)

    model = classifier(run_eagerly=False)
    fit(model, digits.x_train, digits.y_train, batch_size=10, callbacks=[EachBatch()])

    assert calls == [0, 1, 2, 3, 4, 5, 6]


def test_keras_own_callbacks_do_not_slow_the_steps(digits):
    model = classifier(run_eagerly=False)
    own = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ]
    plain = FitPlan("plain", "asked for")

    def fits(arguments, callbacks):
        set_steps_per_call(model, current(), FitCall(arguments), callbacks, plain)

    fits({}, [*own, Reporter()])
    assert model.steps_per_execution == TensorFlow.steps_per_call

    fits({}, [keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)])
    assert model.steps_per_execution == 1
    fits({"steps_per_epoch": 3}, [])
    assert model.steps_per_execution == 1
    fits({}, [])
    assert model.steps_per_execution == TensorFlow.steps_per_call


def test_batch_size_and_epochs_may_be_given_by_position(digits):
    model = classifier()
    fit(model, digits.x_train, digits.y_train, 35, 2)

    assert int(model.optimizer.iterations) == 4


def test_callbacks_given_as_one_or_with_the_reporter_among_them_are_called_once(digits):
    ends = []

    class Counting(Reporter):
        def on_epoch_end(self, epoch, logs=None):
            ends.append([type(other).__name__ for other in self.others])

    reporter, early = Counting(), keras.callbacks.EarlyStopping("loss")
    fit(classifier(), digits.x_train, digits.y_train, reporter=reporter, callbacks=early)
    fit(
        classifier(), digits.x_train, digits.y_train, reporter=reporter, callbacks=[reporter, early]
    )

    assert ends == [["EarlyStopping"], ["EarlyStopping"]]


def test_afterwards_the_models_fit_is_keras_own(digits):
    model = classifier()
    with pytest.raises(ZeroDivisionError), planned_fit(model, 0, Reporter()):
        assert "fit" in vars(model)
        _ = 1 / 0

    assert "fit" not in vars(model)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Dropout(0.5),
        lambda: keras.layers.GaussianNoise(0.5),
        lambda: keras.layers.RandomTranslation(0.3, 0.3),
        lambda: keras.layers.RandomFlip(),
        lambda: keras.layers.Pipeline([keras.layers.RandomRotation(0.5)]),
        lambda: keras.Sequential([keras.layers.Dropout(0.5)]),
    ],
    ids=["Dropout", "GaussianNoise", "RandomTranslation", "RandomFlip", "Pipeline", "nested"],
)
def test_what_a_random_layer_does_follows_from_seed_and_epoch(layer, digits):
    def third_epoch(seed, start):
        # else the weights of the seed generators are the same anyway
        keras.utils.set_random_seed(start)
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), layer(), keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        model.set_weights([np.linspace(0, 1, w.size).reshape(w.shape) for w in model.get_weights()])
        model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
        history = fit(
            model, digits.x_train, digits.y_train, seed=seed, initial_epoch=start, epochs=3
        )
        return history.history["loss"][-1]

    assert third_epoch(seed=1, start=0) == pytest.approx(third_epoch(seed=1, start=2), rel=1e-6)
    assert abs(third_epoch(seed=1, start=2) - third_epoch(seed=2, start=2)) > 1e-5
