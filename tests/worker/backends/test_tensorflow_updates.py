"""Optimizers' updates by TensorFlow's own kernels: which are, and that they are Keras's."""

import keras
import numpy as np
import pytest

from pipeline.worker.backends.tensorflow_updates import fused

optimizers = keras.optimizers


class Bounded(optimizers.SGD):
    """Keeps weights within bounds."""

    def assign_sub(self, variable, value):
        variable.assign(keras.ops.clip(variable - value, -0.5, 0.5))


class Halved(optimizers.Adam):
    """Has an update of its own."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate / 2)


def operations(optimizer, model):
    """The kinds of operations of one `apply`, traced inside `fused`; what calls it for three
    updates."""
    import tensorflow as tf

    gradients = [
        tf.constant(np.random.default_rng(i).normal(size=v.shape), v.dtype)
        for i, v in enumerate(model)
    ]
    scratch = {}

    @tf.function(autograph=False)
    def update():
        with fused(type("Model", (), {"optimizer": optimizer}), scratch):
            optimizer.apply(gradients, model)

    names = {op.type for op in update.get_concrete_function().graph.get_operations()}
    names |= {
        n.op
        for f in update.get_concrete_function().graph.as_graph_def().library.function
        for n in f.node_def
    }

    def three():
        for _ in range(3):
            update()

    return names, three


def variables():
    rng = np.random.default_rng(9)
    return [keras.Variable(rng.normal(size=shape).astype("float32")) for shape in ((7, 5), (5,))]


def updated(optimizer):
    """The same without `fused`: weights and what the optimizer holds."""
    weights = variables()
    optimizer.build(weights)
    gradients = [
        np.random.default_rng(i).normal(size=v.shape).astype("float32")
        for i, v in enumerate(weights)
    ]
    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], weights)
    return [np.array(v) for v in [*weights, *optimizer.variables]]


@pytest.mark.parametrize(
    ("make", "kernel"),
    [
        (lambda: optimizers.Adam(0.01), "ResourceApplyAdam"),
        (
            lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)),
            "ResourceApplyAdam",
        ),
        (
            lambda: optimizers.Adam(0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-3, clipnorm=0.1),
            "ResourceApplyAdam",
        ),
        (lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2), "ResourceApplyAdam"),
        (lambda: optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True), "ResourceApplyAdam"),
        (lambda: optimizers.SGD(0.1), "ResourceApplyGradientDescent"),
        (lambda: optimizers.SGD(0.1, momentum=0.9), "ResourceApplyKerasMomentum"),
        (lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=1), "ResourceApplyKerasMomentum"),
        (lambda: optimizers.RMSprop(0.01), "ResourceApplyRMSProp"),
        (
            lambda: optimizers.RMSprop(0.01, rho=0.5, momentum=0.9, epsilon=1e-3),
            "ResourceApplyRMSProp",
        ),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01), initial_scale=2.0),
            "ResourceApplyAdam",
        ),
    ],
)
def test_one_operation_makes_the_update_of_keras(make, kernel):
    expected, optimizer, weights = updated(make()), make(), variables()
    optimizer.build(weights)
    found, three = operations(optimizer, weights)
    assert kernel in found
    three()
    got = [np.array(v) for v in [*weights, *optimizer.variables]]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)
    assert not np.allclose(got[0], np.array(variables()[0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam(0.01, amsgrad=True),
        lambda: optimizers.RMSprop(0.01, centered=True),
        lambda: optimizers.Adagrad(0.01),
        lambda: Halved(0.01),
        lambda: Bounded(0.1),
    ],
    ids=[
        "amsgrad",
        "centered",
        "no such kernel",
        "an update of its own",
        "an assignment of its own",
    ],
)
def test_what_has_no_such_operation_is_updated_by_keras(make):
    expected, optimizer, weights = updated(make()), make(), variables()
    optimizer.build(weights)
    found, three = operations(optimizer, weights)
    assert not any(name.startswith("ResourceApply") for name in found)
    three()
    np.testing.assert_allclose(np.array(weights[0]), expected[0], rtol=2e-5)


def test_rows_of_an_embedding_are_updated_by_keras():
    import tensorflow as tf

    held = []
    for inside in (False, True):
        optimizer, table = optimizers.Adam(0.01), keras.Variable(np.ones((6, 2), "float32"))
        optimizer.build([table])
        rows = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 4]), tf.constant([6, 2]))
        with fused(type("Model", (), {"optimizer": optimizer if inside else None}), {}):
            optimizer.apply([rows], [table])
        held.append(np.array(table))
    np.testing.assert_array_equal(*held)


def test_the_optimizer_is_as_it_was_afterwards():
    optimizer = optimizers.Adam(0.01)
    with fused(type("Model", (), {"optimizer": optimizer}), {}):
        assert "update_step" in vars(optimizer)
    assert "update_step" not in vars(optimizer)
