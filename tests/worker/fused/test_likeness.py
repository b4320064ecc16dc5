"""Which models are alike but for numbers."""

from functools import partial

import keras
import numpy as np
import pytest

from pipeline.worker.fused.likeness import NotAlike, differing
from pipeline.worker.fused.reading import likeness

layers, optimizers, regularizers = keras.layers, keras.optimizers, keras.regularizers


def made(*parts, optimizer=None, loss="mse", shape=(4,), **compiling):
    model = keras.Sequential([keras.Input(shape), *parts, layers.Dense(2)])
    model.compile(optimizer or optimizers.Adam(0.1), loss, **compiling)
    model._symbolic_build(
        data_batch=(np.zeros((3, *shape), "float32"), np.zeros((3, 2), "float32"))
    )
    return model


def functional(second):
    inputs = keras.Input((4,))
    one, two = layers.Dense(2)(inputs), layers.Dense(2, "relu")(inputs)
    model = keras.Model(inputs, layers.Subtract()([one, two] if second else [two, one]))
    model.compile("sgd", "mse")
    model._symbolic_build(data_batch=(np.zeros((3, 4), "float32"), np.zeros((3, 2), "float32")))
    return model


def shifted(axis):
    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, layers.Dense(2)(keras.ops.mean(inputs, axis=axis)))
    model.compile("sgd", "mse")
    batch = (np.zeros((3, 4, 4), "float32"), np.zeros((3, 2), "float32"))
    model._symbolic_build(data_batch=batch)
    return model


def adapted(n):
    layer = layers.Normalization()
    layer.adapt(np.full((3, 4), n, "float32"))
    return layer


def own_loss(y, p):
    return keras.ops.mean(keras.ops.abs(y - p))


def named_after(activation):
    return made(layers.Activation(activation, name=activation))


def wired(first):
    inputs = keras.Input((4,))
    one, two = inputs * 2.0, inputs * 3.0
    chosen = layers.Concatenate()([one, two, one if first else two])
    model = keras.Model(inputs, layers.Dense(2)(chosen))
    model.compile("sgd", "mse")
    model._symbolic_build(data_batch=(np.zeros((3, 4), "float32"), np.zeros((3, 2), "float32")))
    return model


def closing_over(n):
    def activation(x):
        return x * n

    return activation


class Own(keras.Sequential):
    pass


class OwnConstraint(keras.constraints.Constraint):
    pass


class OwnRegularizer(keras.regularizers.Regularizer):
    def __call__(self, x):
        return keras.ops.sum(x)

    def get_config(self):
        return {}


class OwnOptimizer(keras.optimizers.SGD):
    pass


class Warm(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


def leaving_out():
    optimizer = optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def of_own_class():
    model = Own([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model._symbolic_build(data_batch=(np.zeros((3, 4), "float32"), np.zeros((3, 2), "float32")))
    return model


class Losses:
    def own(self, y, p):
        return keras.ops.mean(keras.ops.abs(y - p))


class OwnLoss(keras.losses.Loss):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, y, p):
        return self.factor * keras.ops.mean(keras.ops.square(y - p), -1)


class Scaled(layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self._factor = factor

    def call(self, inputs):
        return inputs * (self._factor if isinstance(self._factor, float) else 1.0)

    def get_config(self):
        return {}  # a layer that does not tell all of its settings


ALIKE = {
    "the same": lambda n: made(layers.Dense(3)),
    "the learning rate": lambda n: made(optimizer=optimizers.Adam(n)),
    "dropout": lambda n: made(layers.Dropout(n)),
    "regularisation": lambda n: made(layers.Dense(3, kernel_regularizer=regularizers.L2(n))),
    "momentum": lambda n: made(optimizer=optimizers.SGD(0.1, momentum=n)),
    "clipping": lambda n: made(optimizer=optimizers.SGD(0.1, clipnorm=n)),
    "loss weights": lambda n: made(loss_weights=[n]),
    "a schedule": lambda n: made(
        optimizer=optimizers.SGD(optimizers.schedules.ExponentialDecay(n, 10, 0.5))
    ),
    "a loss function": lambda n: made(loss=keras.losses.mean_absolute_error),
    "a layer adapted to the same": lambda n: made(adapted(0.5)),
    "initial values": lambda n: made(
        layers.Dense(3, kernel_initializer=keras.initializers.Constant(n))
    ),
}
UNLIKE = {
    "units": lambda n: made(layers.Dense(3 + (n == 0.3))),
    "activation": lambda n: made(layers.Dense(3, "relu" if n == 0.3 else "tanh")),
    "with and without dropout": lambda n: made(layers.Dropout(0.0 if n == 0.3 else 0.5)),
    "with and without momentum": lambda n: made(
        optimizer=optimizers.SGD(0.1, momentum=0.0 if n == 0.3 else 0.5)
    ),
    "with and without clipping": lambda n: made(
        optimizer=optimizers.SGD(0.1, clipnorm=None if n == 0.3 else 0.5)
    ),
    "optimizers": lambda n: made(optimizer=optimizers.SGD() if n == 0.3 else optimizers.Lion()),
    "amsgrad": lambda n: made(optimizer=optimizers.Adam(amsgrad=n == 0.3)),
    "losses": lambda n: made(loss="mse" if n == 0.3 else "mae"),
    "loss functions": lambda n: made(
        loss=keras.losses.mean_absolute_error if n == 0.3 else keras.losses.mean_squared_error
    ),
    "activations that layers are named after": lambda n: named_after(
        "relu" if n == 0.3 else "tanh"
    ),
    "a metric's name": lambda n: made(metrics=[keras.metrics.MeanSquaredError(name=f"m_{n}")]),
    "which of two operations is taken": lambda n: wired(n == 0.3),
    "a loss's reduction": lambda n: made(
        loss=keras.losses.MeanSquaredError(reduction="sum" if n == 0.3 else "sum_over_batch_size")
    ),
    "rates beside 16 bits": lambda n: made(layers.Dropout(n, dtype="mixed_float16")),
    "a number of a loss": lambda n: made(loss=keras.losses.Huber(n)),
    "a number of a metric": lambda n: made(metrics=[keras.metrics.BinaryAccuracy(threshold=n)]),
    "metrics": lambda n: made(metrics=["mae"] if n == 0.3 else ["mape"]),
    "what is frozen": lambda n: made(layers.Dense(3, trainable=n == 0.3)),
    "how layers are called": lambda n: functional(n == 0.3),
    "an operation's setting": lambda n: shifted(1 if n == 0.3 else 2),
    "a setting that is not in the table": lambda n: made(layers.GaussianDropout(n)),
    "constraints": lambda n: made(layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(n))),
    "what a layer was adapted to": lambda n: made(adapted(n)),
    "boundaries": lambda n: made(
        optimizer=optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([5], [n, 0.1]))
    ),
}


@pytest.mark.parametrize("build", ALIKE.values(), ids=ALIKE)
def test_models_are_alike_that_differ_by(build):
    one, other = likeness(build(0.3)), likeness(build(0.4))
    assert one.key == other.key and hash(one.key) == hash(other.key)


@pytest.mark.parametrize("build", UNLIKE.values(), ids=UNLIKE)
def test_models_are_not_alike_that_differ_by(build):
    assert likeness(build(0.3)).key != likeness(build(0.4)).key


def test_the_numbers_that_differ_are_known_by_their_places():
    built = [
        made(
            layers.Dropout(rate),
            layers.Dense(3, kernel_regularizer=regularizers.L1L2(0.1, l2)),
            loss_weights=[weight],
        )
        for rate, l2, weight in ((0.3, 0.2, 1.5), (0.4, 0.2, 2.5))
    ]
    found = [likeness(model) for model in built]
    places = found[0].places
    varying = [places[index] for index in sorted(differing(found))]
    assert [(type(p.owner).__name__, p.attribute) for p in varying] == [
        ("Dropout", "rate"),
        ("CompileLoss", "_flat_losses"),
    ]
    assert [p.get() for p in varying] == [0.3, 1.5]
    with found[0].with_numbers(dict.fromkeys(differing(found), 9.0)):
        assert [p.get() for p in varying] == [9.0, 9.0]
    assert [p.get() for p in varying] == [0.3, 1.5]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: made(layers.Lambda(lambda x: x, name="l")), "layer 'l' is a Lambda"),
        (
            lambda: made(layers.Discretization([0.5], name="d")),
            "layer 'd' is adapted to data",
        ),
        (lambda: made(optimizer=optimizers.SGD(lambda: 0.1)), "its learning rate is a function"),
        (lambda: made(Scaled(2.0)), "layer 'scaled.*' is your own"),
        (lambda: made(loss=own_loss), "compile.loss=.* is your own"),
        (lambda: made(loss=Losses().own), "compile.loss=.* is your own"),
        (lambda: made(loss=OwnLoss(2.0)), "compile.loss=.* is your own"),
        (
            lambda: made(metrics=[keras.metrics.MeanMetricWrapper(own_loss)]),
            "metrics=.* is your own",
        ),
        (lambda: made(layers.Dense(3, closing_over(2.0))), "activation of layer 'd.*' is your own"),
        (
            lambda: made(layers.Dense(3, partial(keras.activations.relu, negative_slope=0.1))),
            "cannot be read|your own",
        ),
        (
            lambda: made(layers.Dense(3, kernel_constraint=OwnConstraint())),
            "constraint .* is your own",
        ),
        (
            lambda: made(layers.Dense(3, kernel_regularizer=OwnRegularizer())),
            "regularizer .* is your own",
        ),
        (lambda: made(optimizer=OwnOptimizer()), "its optimizer is your own"),
        (lambda: made(optimizer=optimizers.SGD(Warm())), "its learning rate is your own"),
        (lambda: made(optimizer=leaving_out()), "leaves weights out of weight decay"),
        (of_own_class, "layer 'own.*' is your own"),
    ],
)
def test_what_cannot_be_compared_is_like_no_other(build, reason):
    with pytest.raises(NotAlike, match=reason):
        likeness(build())


def test_a_method_put_on_a_layer_is_like_no_other():
    layer = layers.Dense(3, name="d")
    model = made(layer)
    object.__setattr__(layer, "call", lambda inputs: inputs)
    with pytest.raises(NotAlike, match="layer 'd' has a method of its own"):
        likeness(model)
