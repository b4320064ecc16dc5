"""Execution plans: the results of Keras, whatever carries out the steps; and when which is
chosen."""

import itertools

import keras
import numpy as np
import pytest

from pipeline.worker.backends import batches
from pipeline.worker.backends.backend import BY_ITSELF
from pipeline.worker.backends.jax import Jax
from pipeline.worker.backends.tensorflow import TensorFlow
from pipeline.worker.backends.torch import Torch
from pipeline.worker.fitting import fit
from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.plans import choose, fused_with
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.fused.likeness import NotAlike
from tests.worker import stage

# XLA orders sums differently: after three epochs of 21 float32 updates the losses were apart by
# some 1e-6.
TOLERANCE = 1e-4
COPIED = "it is not trained on shuffled arrays alone, and Keras copies those"
CLASSES = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def digits():
    return stage.dataset("digits", 330)  # 20 full batches of 16, and 10 examples


def dense():
    return [
        keras.layers.Flatten(),
        keras.layers.Dense(16, "relu"),
        keras.layers.BatchNormalization(),
    ]


def convolutions():
    return [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
    ]


def with_dropout():
    return [
        *convolutions(),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(8, "relu"),
        keras.layers.Dropout(0.2),
    ]


def with_everything():
    return [keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), *with_dropout()]


def model(layers, optimizer="adam", seed=3, **compiling):
    if seed is not None:
        keras.utils.set_random_seed(seed)
    made = keras.Sequential([keras.Input((8, 8, 1)), *layers(), keras.layers.Dense(10, "softmax")])
    made.compile(optimizer, CLASSES, **{"metrics": ["accuracy"], **compiling})
    return made


def trained(plan, made, data, **fitting):
    """The history of three epochs, the plan that was carried out, the number of updates."""
    reporter = Reporter()
    with planned_fit(made, 5, reporter, plan, verbose=0):
        history = made.fit(
            data.x_train,
            data.y_train,
            validation_data=(data.x_val[:50], data.y_val[:50]),
            **{"epochs": 3, "batch_size": 16, **fitting},
        )
    return history.history, reporter.fit_plan, int(made.optimizer.iterations.numpy())


def assert_alike(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=TOLERANCE, abs=TOLERANCE), name


def by_keras(made, data):
    """The history of three epochs of Keras's own `fit`, with the examples' order and the seeds that
    ours has."""
    import tensorflow as tf

    history = {}
    for epoch in range(3):
        for place, state in enumerate(
            v for v in made.variables if v.name == "seed_generator_state"
        ):
            words = np.random.SeedSequence([5, epoch, place]).generate_state(2)
            state.assign((words & 0x7FFFFFFF).astype(state.dtype))
        count = len(data.x_train)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(count), seed=tf.constant([5, epoch], tf.int64)
        )
        logs = made.fit(
            data.x_train[order.numpy()],
            data.y_train[order.numpy()],
            shuffle=False,
            batch_size=16,
            verbose=0,
            validation_data=(data.x_val[:50], data.y_val[:50]),
        ).history
        history = {name: history.get(name, []) + values for name, values in logs.items()}
    return history


@pytest.mark.parametrize("plan", BY_ITSELF)
@pytest.mark.parametrize("layers", [dense, pytest.param(convolutions, marks=pytest.mark.slow)])
def test_a_plan_has_the_results_of_kerass_own_fit(plan, layers, digits):
    own, made = model(layers), model(layers)
    expected = by_keras(own, digits)
    history, chosen, updates = trained(plan, made, digits)
    assert (chosen.name, updates, int(own.optimizer.iterations.numpy())) == (plan, 63, 63)
    assert_alike(history, expected)


@pytest.mark.parametrize("plan", BY_ITSELF)
def test_no_chunk_of_an_epoch_is_lost_or_trained_twice(plan, digits, monkeypatch):
    # ten chunks of two batches, and the partial batch
    monkeypatch.setattr(batches, "CHUNK_BATCHES", 3)
    own, made = model(dense), model(dense)
    expected = by_keras(own, digits)
    history, chosen, updates = trained(plan, made, digits)
    assert (chosen.name, updates) == (plan, 63)
    assert_alike(history, expected)


@pytest.mark.parametrize("plan", BY_ITSELF)
def test_a_plan_has_the_weights_of_kerass_own_fit(plan, digits):
    # Adam would make a whole step of a gradient that is nothing but rounding.
    own, made = (model(dense, keras.optimizers.SGD(0.05, momentum=0.9)) for _ in range(2))
    by_keras(own, digits)
    trained(plan, made, digits)
    for ours, theirs in zip(made.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("plan", ["plain", "looped"])
def test_convolutions_batch_norm_and_dropout_draw_and_give_what_they_do_in_kerass_own_fit(
    plan, digits
):
    # A bias before batch norm has a gradient of nothing but rounding, of which Adam would make a
    # whole step.
    own, made = (model(with_everything, keras.optimizers.SGD(0.05, momentum=0.9)) for _ in range(2))
    expected = by_keras(own, digits)
    history, chosen, updates = trained(plan, made, digits)
    assert (chosen.name, updates) == (plan, 63)
    assert_alike(history, expected)


def test_a_model_without_an_input_is_built_before_the_choice(digits):
    keras.utils.set_random_seed(3)
    made = keras.Sequential([*dense(), keras.layers.Dense(10, "softmax")])
    made.compile("adam", CLASSES, metrics=["accuracy"])
    assert trained("auto", made, digits)[1].name == "looped"
    unbuilt = keras.Sequential([*convolutions(), keras.layers.Dense(10, "softmax")])
    unbuilt.compile("adam", CLASSES)
    assert (
        str(trained("auto", unbuilt, digits)[1])
        == "looped: bound by arithmetic, not by the cost of a step"
    )


def test_what_cannot_be_built_on_a_batch_is_plain_and_says_so(digits):
    calls = []

    def late(y_true, y_pred):  # fails when it is first called
        calls.append(1)
        if len(calls) == 1:
            raise ValueError
        return keras.ops.mean(y_pred)

    _, chosen, updates = trained("looped", model(dense, metrics=[late]), digits)
    assert (str(chosen), updates) == ("plain: it cannot be built before it is trained", 63)


@pytest.mark.slow
def test_compiled_trains_with_dropout_of_its_own(digits):
    history, chosen, updates = trained("compiled", model(with_everything), digits)
    assert (chosen.name, updates) == ("compiled", 63)
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_weights_of_examples_and_classes_count(plan, digits):
    weights = np.linspace(0.1, 2, len(digits.x_train)).astype("float32")
    for fitting in ({"sample_weight": weights}, {"class_weight": {0: 5.0, 3: 0.5}}):
        expected, _, _ = trained("plain", model(dense), digits, **fitting)
        history, _, _ = trained(plan, model(dense), digits, **fitting)
        assert_alike(history, expected)
        assert history["loss"] != pytest.approx(
            trained("plain", model(dense), digits)[0]["loss"], rel=1e-2
        )


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_a_learning_rate_schedule_counts_updates(plan, digits):
    def scheduled():
        return model(
            dense, keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5))
        )

    expected, _, _ = trained("plain", scheduled(), digits)
    assert_alike(trained(plan, scheduled(), digits)[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_callbacks_see_every_epoch_and_may_end_training(plan, digits):
    made = model(dense)
    seen = []
    noting = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs)))
    )
    stopping = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: setattr(made, "stop_training", epoch == 1)
    )
    history, _, _ = trained(plan, made, digits, callbacks=[noting, stopping])
    assert [epoch for epoch, _ in seen] == [0, 1] and len(history["loss"]) == 2
    assert seen[0][1] == ["accuracy", "loss", "val_accuracy", "val_loss"]


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_a_trial_that_is_cut_off_goes_on_as_it_would_have(plan, digits, tmp_path):
    family = stage.space(lambda hp, data: model(dense, seed=None, metrics=["accuracy"]), None)
    task = stage.job(tmp_path, max_epochs=3, fit_plan=plan)
    whole, _ = stage.run(stage.replace(task, directory=tmp_path / "whole"), family, digits)
    stage.assert_same(whole.epochs, stage.interrupted(task, family, digits))
    assert whole.updates[0].facts.fit_plan.startswith(f"{plan}: asked for")


def around(plan, made, fit):
    """What `fit` does in the place of a search space's own."""
    reporter = Reporter()
    with planned_fit(made, 5, reporter, plan, verbose=0):
        fit(made)
    return reporter.fit_plan.name


@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_after_a_fit_the_model_trains_on_a_batch_as_ever(plan, digits):
    made = model(dense)

    def fit(made):
        made.fit(digits.x_train, digits.y_train, batch_size=16)
        made.train_on_batch(digits.x_train[:320], digits.y_train[:320])

    assert around(plan, made, fit) == plan
    made.train_on_batch(digits.x_train[:320], digits.y_train[:320])
    assert int(np.array(made.optimizer.iterations)) == 21 + 1 + 1


@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_several_fits_are_traced_once_until_the_model_is_compiled_anew(plan, digits):
    traced = []

    def counting(y_true, y_pred):
        traced.append(1)
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    made = model(dense, metrics=[])
    made.compile("adam", counting)
    seen = []

    def fit(made):
        for again in range(3):
            made.fit(digits.x_train, digits.y_train, batch_size=16)
            seen.append(len(traced))
            if again == 1:
                made.compile("sgd", counting)
        made.fit(digits.x_train, digits.y_train, batch_size=11)
        seen.append(len(traced))

    around(plan, made, fit)
    assert seen[0] == seen[1] < seen[2] < seen[3]
    assert int(np.array(made.optimizer.iterations)) == 21 + 30


@pytest.mark.parametrize("plan", ["looped", "compiled"])
def test_a_callback_may_have_the_train_function_made_anew(plan, digits):
    steps = []

    def thaw(epoch, logs):
        steps.append(made.history.params["steps"])
        made.layers[1].trainable = True
        made.make_train_function(force=True)

    made = model(lambda: [keras.layers.Flatten(), keras.layers.Dense(16, "relu")])
    made.layers[1].trainable = False
    made.compile("sgd", CLASSES)
    made.optimizer.build([*made.layers[1].variables, *made.layers[2].variables])
    before = made.layers[1].get_weights()[0]
    trained(
        plan, made, digits, epochs=2, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=thaw)]
    )
    assert not np.allclose(made.layers[1].get_weights()[0], before)
    assert int(np.array(made.optimizer.iterations)) == 42
    assert steps == [21, 21], "of batches, and not of chunks"


def test_a_test_step_of_its_own_gets_batches_of_the_size_asked_for(digits):
    class Sized(keras.Sequential):
        def test_step(self, data):
            return super().test_step(data) | {"size": keras.ops.shape(data[0])[0]}

    made = Sized(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )
    made.compile("sgd", CLASSES)
    history, _, _ = trained("looped", made, digits, epochs=1, batch_size=8, validation_steps=2)
    assert history["val_size"] == [8]


class OwnMetrics(keras.Sequential):
    def compute_metrics(self, *args, **kwargs):
        return super().compute_metrics(*args, **kwargs) | {"own": 1.0}


def own_metrics():
    made = OwnMetrics(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )
    made.compile("sgd", CLASSES)
    return made


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


def own_step():
    made = OwnStep(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )
    made.compile("sgd", CLASSES)
    return made


@pytest.mark.parametrize(
    ("made", "fitting", "reason"),
    [
        (own_step, {}, "a train_step of its own"),
        (own_metrics, {}, "a compute_metrics of its own"),
        (lambda: model(dense, run_eagerly=True), {}, "it runs eagerly"),
        (lambda: model(dense, steps_per_execution=5), {}, "steps_per_execution was set"),
        (lambda: model(dense), {"callbacks": [stage.OnBatches()]}, "a callback acts on each batch"),
        (lambda: model(dense), {"steps_per_epoch": 3}, COPIED),
        (lambda: model(dense), {"shuffle": False}, COPIED),
    ],
)
def test_what_a_plan_cannot_serve_goes_to_keras_and_says_why(made, fitting, reason, digits):
    _, chosen, _ = trained("looped", made(), digits, epochs=1, **fitting)
    assert (chosen.name, chosen.reason) == ("plain", reason)


def test_batches_as_large_as_a_chunk_are_trained_one_by_one(digits, monkeypatch):
    # two batches of images, no labels
    monkeypatch.setattr(batches, "CHUNK_BYTES", 2 * 16 * digits.x_train[0].nbytes)
    _, chosen, updates = trained("compiled", model(dense), digits)
    assert (str(chosen), updates) == ("plain: its batches are as large as chunks", 63)
    assert str(trained("plain", model(dense), digits)[1]) == "plain: asked for"


def test_an_epoch_of_less_than_two_full_batches_is_kerass_own(digits):
    _, chosen, updates = trained("compiled", model(dense), digits, batch_size=200)
    assert (str(chosen), updates) == ("plain: an epoch has no two full batches", 6)


class Switching(Reporter):
    """Of a trial whose first rung comes after one epoch, and none after that."""

    def __init__(self):
        super().__init__()
        self.epoch, self.plans = 0, []

    def stage(self):
        return 1 if self.epoch == 0 else 1000

    def on_epoch_end(self, epoch, logs=None):
        self.epoch += 1
        self.plans.append(self.fit_plan.name)


def switching(made, data, *callbacks):
    """The history of three epochs, of which the first is looped and the others are compiled."""
    reporter = Switching()
    with planned_fit(made, 5, reporter, "auto", verbose=0):
        history = made.fit(
            data.x_train,
            data.y_train,
            validation_data=(data.x_val[:50], data.y_val[:50]),
            epochs=3,
            batch_size=16,
            callbacks=list(callbacks),
        )
    assert reporter.plans == ["looped", "compiled", "compiled"]
    return history.history


def test_a_plan_that_changes_between_epochs_has_the_results_of_kerass_own_fit(digits):
    own, made = model(dense), model(dense)
    assert_alike(switching(made, digits), by_keras(own, digits))
    assert int(made.optimizer.iterations.numpy()) == 63


def test_each_epochs_plan_is_chosen_for_the_batch_size_that_was_asked_for(digits, monkeypatch):
    sizes = []

    def noting(model, asked, steps, batch_size, *others):
        sizes.append(batch_size)
        return choose(model, asked, steps, batch_size, *others)

    monkeypatch.setattr(fit, "choose", noting)
    trained("looped", model(dense), digits, batch_size=16)
    assert sizes == [16] * 4, "before the first epoch, and at the beginning of each"


@pytest.mark.parametrize("thaws", [True, False])
def test_what_a_callback_sets_on_a_layer_has_no_effect_before_the_model_is_compiled(thaws, digits):
    """As in Keras, whose `fit` runs the Python code of a step once: also where the plan changes
    later."""

    def setting(epoch, logs):
        made.layers[1].trainable = thaws

    made = model(dense)
    made.layers[1].trainable = not thaws
    made.compile("sgd", CLASSES)
    weights = [made.layers[1].get_weights()[0]]
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(made.layers[1].get_weights()[0])
    )
    switching(made, digits, keras.callbacks.LambdaCallback(on_epoch_end=setting), keep)
    assert [np.array_equal(*pair) for pair in itertools.pairwise(weights)] == [thaws] * 3


@pytest.mark.slow
def test_what_xla_cannot_compile_is_looped(digits):
    def layers():
        import tensorflow as tf

        def shown(x):  # XLA has no strings
            return x + 0 * tf.cast(
                tf.strings.length(tf.strings.as_string(tf.reduce_sum(x))), x.dtype
            )

        return [keras.layers.Lambda(shown), keras.layers.Flatten(), keras.layers.Dense(8, "relu")]

    expected, _, _ = trained("plain", model(layers), digits)
    made = model(layers)
    history, chosen, _ = trained("compiled", made, digits)
    assert_alike(history, expected)
    assert str(chosen) == "looped: XLA cannot compile it"
    assert choose(made, "compiled", 10**5, 16, []) == chosen, "not tried again"
    made.compile("sgd", CLASSES)
    assert choose(made, "compiled", 10**5, 16, []).name == "compiled"


def wide():
    # 2.1 million
    return [
        keras.layers.Flatten(),
        keras.layers.Dense(2000, "relu"),
        keras.layers.Dense(1000, "relu"),
    ]


@pytest.mark.parametrize(
    ("layers", "steps", "batch_size", "plan"),
    [
        (dense, 10**5, 32, "compiled"),
        (dense, 50, 32, "looped"),
        (wide, 10**5, 16, "compiled"),
        (wide, 10**5, 64, "looped"),
        (with_dropout, 10**5, 32, "looped"),
        (convolutions, 10**5, 32, "looped"),
        (lambda: [*dense(), keras.layers.Dropout(0.1)], 10**5, 32, "looped"),
    ],
    ids=[
        "dense",
        "few steps",
        "wide",
        "wide, many examples a step",
        "convolutions and dropout",
        "convolutions",
        "with dropout",
    ],
)
def test_auto_follows_what_was_measured(layers, steps, batch_size, plan):
    assert choose(model(layers), "auto", steps, batch_size, []).name == plan


class LikeJax(Jax):
    """JAX as it is on a GPU."""

    def on_gpu(self):
        return True


class LikeTensorFlow(TensorFlow):
    def on_gpu(self):
        return True


@pytest.mark.parametrize(
    ("backend", "measured", "plan"),
    [
        (LikeJax(), "compiled", "compiled: fastest where it was measured"),
        (LikeJax(), "plain", "plain: fastest where it was measured"),
        (LikeJax(), "", "plain: a GPU, on which no plan was measured"),
        (
            LikeTensorFlow(),
            "",
            "plain: a GPU, on which TensorFlow's other plans were never run",
        ),
    ],
)
@pytest.mark.parametrize("layers", [dense, convolutions])
def test_on_a_gpu_a_plan_is_chosen_by_what_was_measured_there(layers, backend, measured, plan):
    made = model(layers, jit_compile=True)
    examples = (np.zeros((32, 8, 8, 1)), np.zeros(32))
    assert str(choose(made, "auto", 10, 32, [], examples, backend, measured)) == plan
    asked = choose(made, "compiled", 10, 32, [], examples, backend, measured)
    assert str(asked) == "compiled: asked for"


@pytest.mark.parametrize(("layers", "plan"), [(convolutions, "plain"), (dense, "compiled")])
def test_what_the_user_had_compiled_by_xla_is_not_looped_without_it(layers, plan):
    chosen = choose(model(layers, jit_compile=True), "auto", 10, 32, [])
    assert str(chosen) == f"{plan}: jit_compile was set"


@pytest.mark.parametrize(
    ("backend", "asked", "compiling", "layers", "reason"),
    [
        (TensorFlow(), "auto", {}, dense, ""),
        (TensorFlow(), "auto", {}, convolutions, ""),
        (TensorFlow(), "auto", {"jit_compile": True}, dense, "jit_compile was set"),
        (TensorFlow(), "looped", {}, dense, "looped was asked for"),
        (
            LikeTensorFlow(),
            "auto",
            {},
            dense,
            "a GPU, on which TensorFlow's other plans were never run",
        ),
        (LikeTensorFlow(), "fused", {}, dense, ""),
        (
            Jax(),
            "auto",
            {"jit_compile": True},
            convolutions,
            "bound by arithmetic, not by the cost of a step",
        ),
        (LikeJax(), "auto", {"jit_compile": True}, convolutions, ""),
        (Torch(), "fused", {}, dense, "PyTorch has no program for several models"),
    ],
)
def test_models_are_fused_where_one_trace_or_one_step_is_worth_sharing(
    backend, asked, compiling, layers, reason
):
    examples = (np.zeros((32, 8, 8, 1)), np.zeros(32))

    def alike():
        fused_with(model(layers, **compiling), asked, 32, [], examples, backend)

    if not reason:
        return alike()
    with pytest.raises(NotAlike, match=reason):
        alike()


def test_plans_are_those_that_can_be_asked_for():
    from pipeline import Experiment

    for plan in ("auto", *BY_ITSELF):
        assert Experiment(dataset="digits", fit_plan=plan).fit_plan == plan
