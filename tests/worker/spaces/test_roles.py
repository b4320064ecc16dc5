"""What a hyperparameter decides is found by building, whatever it is called."""

import keras
import pytest

from pipeline.space.hyperparameters import HyperParameters
from pipeline.worker.spaces.loading import load_search_space
from pipeline.worker.spaces.roles import fits, roles
from pipeline.worker.training.trial import build
from tests.worker.stage import dataset, space

layers = keras.layers


@pytest.fixture(scope="module")
def digits():
    return dataset("digits")


def compiled(*parts, optimizer="sgd", loss="sparse_categorical_crossentropy"):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), *parts, layers.Flatten(), layers.Dense(10, "softmax")]
    )
    model.compile(optimizer, loss, run_eagerly=True)
    return model


def kinds_of(make, digits, **configuration):
    """Of what `make(hp)` asks for, under its defaults where nothing else is given."""
    family = space(lambda hp, data: make(hp))
    hp = HyperParameters(configuration)
    build(family, hp, digits)
    return roles(family, digits, {spec.name: value for spec, value in hp.requested})


def of(names, kind):
    return dict.fromkeys(names, kind)


@pytest.mark.parametrize(
    ("family", "model", "algorithm"),
    [
        (
            "mlp",
            ["num_layers", "activation", "units_0", "units_1", "optimizer"],
            ["dropout", "learning_rate"],
        ),
        (
            "cnn",
            ["kernel_size", "num_blocks", "filters_0", "filters_1", "dense_units"],
            ["augmentation", "dropout", "learning_rate"],
        ),
    ],
)
def test_the_kinds_in_our_families(family, model, algorithm, digits):
    from pipeline import names

    own = load_search_space(names.resolve("search space", family))
    hp = HyperParameters()
    build(own, hp, digits)
    found = roles(own, digits, {spec.name: value for spec, value in hp.requested})
    assert found == of(model, "model") | of(algorithm, "algorithm")


# The hyperparameter `x`, in a place where it makes another model, and in one where it does not.
MODEL = {
    "width": lambda hp: compiled(layers.Flatten(), layers.Dense(hp.Int("x", 4, 16, step=4))),
    "depth": lambda hp: compiled(
        layers.Flatten(), *(layers.Dense(64) for _ in range(hp.Int("x", 1, 3)))
    ),
    "activation": lambda hp: compiled(
        layers.Flatten(), layers.Dense(8, hp.Choice("x", ["relu", "tanh"]))
    ),
    "optimizer": lambda hp: compiled(optimizer=hp.Choice("x", ["sgd", "adam"])),
    "momentum, or none": lambda hp: compiled(
        optimizer=keras.optimizers.SGD(0.1, momentum=hp.Choice("x", [0.0, 0.9]))
    ),
    "momentum, or none between": lambda hp: compiled(
        optimizer=keras.optimizers.SGD(0.1, momentum=hp.Choice("x", [0.5, 0.0, 0.9], default=0.5))
    ),
    "a threshold at zero": lambda hp: compiled(
        *([layers.Activation("relu")] if hp.Float("x", -1.0, 1.0) == 0 else [])
    ),
    "strides": lambda hp: compiled(
        layers.Conv2D(4, 3, strides=hp.Choice("x", [1, 2]), padding="same")
    ),
    "strides that global pooling hides from the weights": lambda hp: compiled(
        layers.Conv2D(4, 3, strides=hp.Choice("x", [1, 2])), layers.GlobalMaxPooling2D()
    ),
    "pooling": lambda hp: compiled(
        {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[
            hp.Choice("x", ["max", "average"])
        ]()
    ),
    "padding": lambda hp: compiled(layers.Conv2D(4, 3, padding=hp.Choice("x", ["same", "valid"]))),
    "normalisation": lambda hp: compiled(
        *([layers.BatchNormalization()] if hp.Boolean("x") else [])
    ),
    "precision": lambda hp: compiled(
        layers.Dense(8, dtype=hp.Choice("x", ["float32", "mixed_bfloat16"])),
        layers.Dense(8, dtype="float32"),
    ),
    "frozen": lambda hp: compiled(layers.Dense(8, trainable=hp.Boolean("x"))),
    "direction of a wrapped layer": lambda hp: compiled(
        layers.Reshape((8, 8)),
        layers.Bidirectional(layers.SimpleRNN(4), merge_mode=hp.Choice("x", ["sum", "mul"])),
    ),
    "within a nested model": lambda hp: compiled(
        keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Dense(4, hp.Choice("x", ["relu", "tanh"]))]
        )
    ),
    "an operation that is no layer": lambda hp: functional(hp.Choice("x", ["relu", "tanh"])),
    "held by a subclassed model": lambda hp: subclassed(
        activation=hp.Choice("x", ["relu", "tanh"])
    ),
    "width in a subclassed model": lambda hp: subclassed(width=hp.Int("x", 4, 8)),
    "nothing else can be built": lambda hp: compiled(
        layers.Dense(8 if hp.Boolean("x", default=True) else -1)
    ),
}
ALGORITHM = {
    "learning rate": lambda hp: compiled(
        optimizer=keras.optimizers.Adam(hp.Float("x", 1e-4, 1e-1, sampling="log"))
    ),
    "momentum": lambda hp: compiled(
        optimizer=keras.optimizers.SGD(0.1, momentum=hp.Float("x", 0.5, 0.9))
    ),
    "decay": lambda hp: compiled(
        optimizer=keras.optimizers.AdamW(0.1, weight_decay=hp.Float("x", 0.0, 0.1))
    ),
    "dropout that zero leaves out": lambda hp: compiled(
        *([layers.Dropout(rate)] if (rate := hp.Float("x", 0.0, 0.5)) else [])
    ),
    "dropout at the end of a nested model": lambda hp: compiled(
        keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Dense(4),
                *([layers.Dropout(0.5)] if hp.Boolean("x") else []),
            ]
        )
    ),
    "noise": lambda hp: compiled(layers.GaussianNoise(hp.Float("x", 0.0, 1.0))),
    "augmentation": lambda hp: compiled(*([layers.RandomRotation(0.1)] if hp.Boolean("x") else [])),
    "strength of L2": lambda hp: compiled(
        layers.Dense(
            4, kernel_regularizer=keras.regularizers.L2(hp.Float("x", 1e-6, 1e-2, sampling="log"))
        )
    ),
    "loss": lambda hp: compiled(loss=hp.Choice("x", ["sparse_categorical_crossentropy", "mse"])),
    "loss of a subclassed model": lambda hp: subclassed(
        loss=hp.Choice("x", ["sparse_categorical_crossentropy", "mse"])
    ),
    "dropout in a subclassed model": lambda hp: subclassed(rate=hp.Float("x", 0.0, 0.5)),
    "a single value": lambda hp: compiled(layers.Dense(hp.Fixed("x", 8))),
    "a seed of a long range": lambda hp: compiled(
        layers.Dropout(0.1, seed=hp.Int("x", 0, 2**31 - 1))
    ),
    "asked for and not used": lambda hp: (hp.Int("x", 1, 9), compiled())[1],
}


def functional(operation):
    inputs = keras.Input((8, 8, 1))
    hidden = getattr(keras.ops, operation)(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(10, "softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Own(keras.Model):
    """As people write them: no `get_config`, weights at the first call."""

    def __init__(self, activation, width, rate):
        super().__init__()
        self.activation = activation
        self.flat, self.hidden, self.out = (
            layers.Flatten(),
            layers.Dense(width),
            layers.Dense(10, "softmax"),
        )
        self.dropout = layers.Dropout(rate)

    def call(self, inputs, training=False):
        hidden = keras.activations.get(self.activation)(self.hidden(self.flat(inputs)))
        return self.out(self.dropout(hidden, training=training))


def subclassed(activation="relu", width=4, rate=0.1, loss="sparse_categorical_crossentropy"):
    model = Own(activation, width, rate)
    model.compile("sgd", loss, run_eagerly=True)
    return model


@pytest.mark.parametrize("make", MODEL.values(), ids=MODEL)
def test_what_makes_another_model_is_of_the_models_kind(make, digits):
    assert kinds_of(make, digits) == {"x": "model"}


@pytest.mark.parametrize("make", ALGORITHM.values(), ids=ALGORITHM)
def test_what_leaves_the_model_as_it_is_is_of_the_algorithms_kind(make, digits):
    assert kinds_of(make, digits) == {"x": "algorithm"}


def test_names_mean_nothing(digits):
    def misleading(hp):
        wide = layers.Dense(hp.Int("learning_rate", 4, 8), hp.Choice("dropout", ["relu", "tanh"]))
        optimizer = keras.optimizers.SGD(hp.Float("units", 1e-3, 1e-1, sampling="log"))
        return compiled(wide, layers.Dropout(hp.Float("num_layers", 0.1, 0.5)), optimizer=optimizer)

    assert kinds_of(misleading, digits) == {
        "learning_rate": "model",
        "dropout": "model",
        "units": "algorithm",
        "num_layers": "algorithm",
    }


def test_a_conditional_one_is_told_where_it_is_asked_for_and_its_parent_too(digits):
    def conditional(hp):
        parts = [layers.Dense(hp.Int("units", 4, 8))] if hp.Boolean("hidden") else []
        rate = 0.1
        if hp.Boolean("tuned_rate"):
            rate = hp.Float("rate", 0.01, 0.1)
        return compiled(*parts, optimizer=keras.optimizers.SGD(rate))

    assert kinds_of(conditional, digits) == {"hidden": "model", "tuned_rate": "algorithm"}
    assert kinds_of(conditional, digits, hidden=True, tuned_rate=True) == {
        "hidden": "model",
        "units": "model",
        "tuned_rate": "algorithm",
        "rate": "algorithm",
    }


def test_what_is_known_is_not_looked_for_again(digits):
    family = space(
        lambda hp, data: compiled(layers.Dense(hp.Int("a", 4, 8)), layers.Dense(hp.Int("b", 4, 8)))
    )
    assert roles(family, digits, {"a": 4, "b": 4}, known={"a"}) == {"b": "model"}


def test_layers_that_were_built_before_are_not_counted(digits):
    """Keras numbers its layers; a nested model's configuration holds these names."""
    make = ALGORITHM["dropout at the end of a nested model"]
    for _ in range(3):
        layers.Dropout(0.5)
    assert kinds_of(make, digits) == {"x": "algorithm"}


def test_whether_a_model_can_go_on_with_anothers_weights(digits):
    """Two values that each leave the model as it is, and together do not."""

    def build_pair(hp, data):
        both = hp.Float("a", 0.0, 1.0) > 0.5 and hp.Float("b", 0.0, 1.0) > 0.5
        return compiled(layers.Dense(8 if both else 4))

    family = space(build_pair)
    assert fits(family, digits, {"a": 0.1, "b": 0.1}, {"a": 0.9, "b": 0.1})
    assert not fits(family, digits, {"a": 0.1, "b": 0.1}, {"a": 0.9, "b": 0.9})
    broken = space(lambda hp, data: 1 / 0)
    assert not fits(broken, digits, {}, {})
