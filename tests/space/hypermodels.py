"""Whole hypermodels as KerasTuner's users write them, on small inputs; each is built with the `hp`
it gets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
from keras import layers
from keras_tuner.src.applications import efficientnet


@dataclass(frozen=True)
class Hypermodel:
    """`build_and_fit(hp)` gives what tells one model from another."""

    name: str
    build_and_fit: Callable[[Any], Any]
    seeds: range = range(3)
    slow: bool = False
    may_fail: bool = False


HYPERMODELS: list[Hypermodel] = []
RNG = np.random.default_rng(0)
X, Y = RNG.random((24, 4), np.float32), RNG.integers(0, 3, 24)


def described(model: Any) -> Any:
    names = [type(layer).__name__ for layer in model.layers]
    optimizer = type(model.optimizer).__name__ if model.compiled else None
    return names, model.count_params() if model.built else None, optimizer


def hypermodel(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    may_fail = build.__name__.startswith("one_that_cannot")
    HYPERMODELS.append(
        Hypermodel(build.__name__, lambda hp: described(build(hp)), may_fail=may_fail)
    )
    return build


def classifier(*hidden: Any, optimizer: Any = "adam", metrics: Any = ("accuracy",)) -> Any:
    model = keras.Sequential([keras.Input((4,)), *hidden, layers.Dense(3, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


# Functions.


@hypermodel
def plain_mlp_in_a_loop(hp):
    model = keras.Sequential([keras.Input((4,))])
    for i in range(hp.Int("num_layers", 1, 5)):
        model.add(
            layers.Dense(
                hp.Int(f"units_{i}", min_value=32, max_value=512, step=32), activation="relu"
            )
        )
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(
        optimizer=hp.Choice("optimizer", ["adam", "sgd", "rmsprop"]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


@hypermodel
def activation_shared_by_the_layers_of_a_loop(hp):
    hidden = [
        layers.Dense(
            hp.Int(f"units_{i}", 4, 16, step=4), hp.Choice("activation", ["relu", "tanh", "elu"])
        )
        for i in range(hp.Int("num_layers", 2, 4))
    ]
    return classifier(
        *hidden, optimizer=keras.optimizers.Adam(hp.Float("lr", 1e-4, 1e-2, sampling="log"))
    )


@hypermodel
def width_asked_for_twice_a_layer(hp):
    hidden = []
    for i in range(hp.Int("blocks", 1, 3)):
        hidden.append(layers.Dense(hp.Int(f"filters_{i}", 8, 32, step=8), "relu"))
        hidden.append(layers.BatchNormalization())
        hidden.append(layers.Dense(hp.Int(f"filters_{i}", 8, 64, step=8), "relu"))
    return classifier(*hidden)


@hypermodel
def dropout_that_may_be_there(hp):
    hidden = [
        layers.Dense(
            units=hp.Int("units", 8, 64, step=8),
            activation=hp.Choice("activation", ["relu", "tanh"]),
        )
    ]
    if hp.Boolean("dropout"):
        hidden.append(layers.Dropout(rate=hp.Float("rate", 0.1, 0.5, step=0.1, default=0.25)))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    return classifier(*hidden, optimizer=keras.optimizers.Adam(learning_rate=learning_rate))


@hypermodel
def model_type_in_conditional_scopes(hp):
    model_type = hp.Choice("model_type", ["wide", "deep"])
    hidden = []
    with hp.conditional_scope("model_type", ["wide"]):
        if model_type == "wide":
            hidden.append(layers.Dense(hp.Int("width", 64, 256, step=64), "relu"))
    with hp.conditional_scope("model_type", ["deep"]):
        if model_type == "deep":
            for i in range(hp.Int("depth", 1, 3)):
                hidden.append(layers.Dense(hp.Int(f"units_{i}", 8, 32, step=8), "relu"))
    return classifier(*hidden)


@hypermodel
def conditional_scopes_without_an_if(hp):
    hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", "sgd"):
        momentum = hp.Float("momentum", 0.0, 0.9, step=0.3)
        nesterov = hp.Boolean("nesterov")
    with hp.conditional_scope("optimizer", "adam"):
        beta = hp.Float("beta_1", 0.8, 0.99)
    if hp.get("optimizer") == "sgd":
        optimizer = keras.optimizers.SGD(0.1, momentum=momentum, nesterov=nesterov)
    else:
        optimizer = keras.optimizers.Adam(0.1, beta_1=beta)
    return classifier(layers.Dense(8), optimizer=optimizer)


@hypermodel
def layers_conditional_on_their_number(hp):
    hp.Int("num_layers", 1, 3)
    hidden = []
    for i in range(3):
        with hp.conditional_scope("num_layers", list(range(i + 1, 4))):
            units = hp.Int(f"units_{i}", 8, 32, step=8)
        if units is not None:
            hidden.append(layers.Dense(units, "relu"))
    return classifier(*hidden)


@hypermodel
def scopes_within_scopes(hp):
    hidden = []
    kind = hp.Choice("kind", ["dense", "gated"], default="gated")
    with hp.conditional_scope("kind", ["gated"]):
        gate = hp.Choice("gate", ["sigmoid", "tanh"])
        with hp.conditional_scope("gate", ["tanh"]):
            scale = hp.Float("scale", 0.5, 2.0)
        if kind == "gated":
            hidden.append(layers.Dense(8, gate))
            if scale is not None:
                hidden.append(layers.Rescaling(scale))
    with hp.conditional_scope("kind", ["dense"]):
        units = hp.Int("units", 4, 16, sampling="log")
        if units:
            hidden.append(layers.Dense(units))
    return classifier(*hidden)


def _block(hp, depth_by_default):
    depth = hp.Int("depth", 1, 3, default=depth_by_default)
    return [layers.Dense(hp.Int(f"units_{i}", 4, 32, step=4), "relu") for i in range(depth)]


@hypermodel
def blocks_under_name_scopes(hp):
    hidden = []
    for name in ("bottom", "top"):
        with hp.name_scope(name):
            hidden += _block(hp, 2)
    return classifier(*hidden, optimizer=hp.Choice("optimizer", ["adam", "sgd"]))


@hypermodel
def name_scopes_with_conditions_inside(hp):
    hidden = []
    for name in ("bottom", "top"):
        with hp.name_scope(name):
            kind = hp.Choice("kind", ["dense", "norm"])
            with hp.conditional_scope("kind", "dense"):
                units = hp.Int("units", 4, 16, step=4)
            hidden.append(layers.Dense(units) if kind == "dense" else layers.LayerNormalization())
    return classifier(*hidden)


@hypermodel
def conditions_with_name_scopes_inside(hp):
    encoder = hp.Choice("encoder", ["small", "large"])
    hidden = []
    with hp.conditional_scope("encoder", ["small"]), hp.name_scope("small"):
        units = hp.Int("units", 2, 8)
        if encoder == "small":
            hidden.append(layers.Dense(units))
    with hp.conditional_scope("encoder", ["large"]), hp.name_scope("large"):
        units = hp.Int("units", 32, 64, step=16)
        dropout = hp.Float("dropout", 0.0, 0.5)
        if encoder == "large":
            hidden += [layers.Dense(units), layers.Dropout(dropout)]
    return classifier(*hidden)


@hypermodel
def parents_named_in_arguments(hp):
    optimizer = hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    momentum = hp.Float(
        "momentum", 0.0, 0.9, parent_name="optimizer", parent_values=["sgd", "rmsprop"]
    )
    amsgrad = hp.Boolean("amsgrad", parent_name="optimizer", parent_values="adam")
    kinds = {
        "adam": keras.optimizers.Adam,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }
    settings = {"amsgrad": amsgrad} if optimizer == "adam" else {"momentum": momentum}
    return classifier(layers.Dense(4), optimizer=kinds[optimizer](0.01, **settings))


@hypermodel
def learning_rate_of_each_optimizer_under_one_name(hp):
    optimizer = hp.Choice("optimizer", ["adam", "sgd"])
    rates = [
        hp.Float(
            "learning_rate",
            1e-5,
            1e-3,
            sampling="log",
            parent_name="optimizer",
            parent_values=["adam"],
        ),
        hp.Float(
            "learning_rate",
            1e-3,
            1e-1,
            sampling="log",
            parent_name="optimizer",
            parent_values=["sgd"],
        ),
    ]
    rate = next(rate for rate in rates if rate is not None)
    return classifier(
        optimizer=(keras.optimizers.Adam if optimizer == "adam" else keras.optimizers.SGD)(rate)
    )


@hypermodel
def convolutions_in_a_loop(hp):
    inputs = x = keras.Input((16, 16, 1))
    for i in range(hp.Int("conv_blocks", 1, 3, default=2)):
        filters = hp.Int(f"filters_{i}", 4, 16, step=4)
        for _ in range(2):
            x = layers.Conv2D(filters, kernel_size=hp.Choice("kernel", [3, 5]), padding="same")(x)
            x = layers.ReLU()(x)
        if hp.Choice(f"pooling_{i}", ["avg", "max"]) == "max":
            x = layers.MaxPool2D(2)(x)
        else:
            x = layers.AvgPool2D(2)(x)
    x = layers.GlobalAvgPool2D()(x)
    x = layers.Dense(hp.Int("hidden_size", 10, 50, step=10, default=30), activation="relu")(x)
    x = layers.Dropout(hp.Float("dropout", 0, 0.5, step=0.1, default=0.5))(x)
    model = keras.Model(inputs, layers.Dense(10, activation="softmax")(x))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


@hypermodel
def preprocessing_as_a_choice(hp):
    inputs = x = keras.Input((4,))
    if hp.Boolean("normalize", default=True):
        x = layers.LayerNormalization()(x)
    regularizer = {"l1": "l1", "l2": "l2", "none": None}[
        hp.Choice("regularizer", ["none", "l1", "l2"])
    ]
    x = layers.Dense(hp.Choice("units", [8, 16, 32]), kernel_regularizer=regularizer)(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(optimizer="adam", loss=hp.Choice("loss", ["mse", "mae"]))
    return model


@hypermodel
def two_inputs(hp):
    left, right = keras.Input((4,)), keras.Input((3,))
    branches = []
    for name, x in (("left", left), ("right", right)):
        for i in range(hp.Int(f"{name}_layers", 1, 2)):
            x = layers.Dense(hp.Int(f"{name}_units_{i}", 4, 12, step=4))(x)
        branches.append(x)
    if hp.Choice("merge", ["concat", "first"]) == "concat":
        x = layers.Concatenate()(branches)
    else:
        x = layers.Concatenate()([branches[0], right])
    model = keras.Model([left, right], [layers.Dense(1, name="a")(x), layers.Dense(2, name="b")(x)])
    model.compile(
        "adam",
        {"a": "mse", "b": "mse"},
        loss_weights={"a": hp.Float("weight", 0.1, 0.9, step=0.2), "b": 1.0},
    )
    return model


@hypermodel
def metric_and_learning_rate_schedule(hp):
    schedule = keras.optimizers.schedules.ExponentialDecay(
        hp.Choice("initial_rate", [1e-1, 1e-2, 1e-3]),
        decay_steps=hp.Int("decay_steps", 10, 1000, 10, "log"),
        decay_rate=0.9,
    )
    metric = keras.metrics.SparseTopKCategoricalAccuracy(k=hp.Int("k", 1, 3))
    return classifier(layers.Dense(8), optimizer=keras.optimizers.SGD(schedule), metrics=[metric])


class Residual(keras.Model):
    def __init__(self, units, depth):
        super().__init__()
        self.hidden = [layers.Dense(units, "relu") for _ in range(depth)]
        self.project, self.head = layers.Dense(units), layers.Dense(3, "softmax")

    def call(self, inputs):
        x = self.project(inputs)
        for layer in self.hidden:
            x = x + layer(x)
        return self.head(x)


@hypermodel
def subclassed_model(hp):
    model = Residual(hp.Int("units", 4, 16, step=4), hp.Int("depth", 1, 3))
    model.compile("adam", "sparse_categorical_crossentropy")
    model(X[:1])
    return model


@hypermodel
def earlier_ones_read_again(hp):
    hp.Int("units", 8, 64, step=8)
    hp.Choice("activation", ["relu", "tanh"])
    hidden = [
        layers.Dense(hp.get("units"), hp["activation"]),
        layers.Dense(hp["units"] // 2, hp.get("activation")),
    ]
    if "dropout" in hp:
        hidden.append(layers.Dropout(hp.get("dropout")))
    if "units" in hp:
        hidden.append(layers.Dense(4))
    return classifier(*hidden)


@hypermodel
def bounds_that_depend_on_earlier_ones(hp):
    first = hp.Int("first", 8, 64, step=8)
    second = hp.Int("second", 4, first, step=4)
    third = hp.Int(f"third_of_{second}", 1, second)
    return classifier(layers.Dense(first), layers.Dense(second), layers.Dense(third))


@hypermodel
def text_classifier(hp):
    model = keras.Sequential([keras.Input((6,), dtype="int32")])
    model.add(layers.Embedding(50, hp.Int("embedding", 4, 16, step=4)))
    cell = hp.Choice("cell", ["pool", "conv"])
    with hp.conditional_scope("cell", ["conv"]):
        width = hp.Choice("width", [2, 3])
        if cell == "conv":
            model.add(layers.Conv1D(hp.Int("filters", 4, 8), width))
    model.add(layers.GlobalMaxPool1D())
    model.add(layers.Dense(1, "sigmoid"))
    model.compile(hp.Choice("optimizer", ["adam", "rmsprop"]), "binary_crossentropy")
    return model


@hypermodel
def everything_fixed(hp):
    rate = hp.Fixed("learning_rate", 1e-3)
    units = hp.Fixed("units", 16)
    return classifier(
        layers.Dense(units, hp.Fixed("activation", "relu")), optimizer=keras.optimizers.Adam(rate)
    )


@hypermodel
def one_that_cannot_be_built(hp):
    units = hp.Int("units", 1, 4)
    return classifier(
        layers.Dense(units, hp.Choice("activation", ["relu", "no such activation"], default="relu"))
    )


@hypermodel
def one_that_cannot_ask_so(hp):
    hp.Int("units", 4, 8)
    return classifier(layers.Dense(hp.Int("more", hp.get("units") + 5, hp.get("units"))))


# Classes.


def trained(made: Any, seeds: range = range(2), **arguments: Any) -> None:
    def build_and_fit(hp: Any) -> Any:
        model = made.build(hp)
        model.run_eagerly = True
        result = made.fit(hp, model, X, Y, verbose=0, **arguments)
        return described(model), type(result).__name__, getattr(result, "params", None)

    HYPERMODELS.append(Hypermodel(type(made).__name__, build_and_fit, seeds))


class BatchSizeAndEpochsInFit(kt.HyperModel):
    def build(self, hp):
        return classifier(layers.Dense(hp.Int("units", 4, 16, step=4)))

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(
            *args,
            batch_size=hp.Choice("batch_size", [8, 12, 24]),
            epochs=hp.Int("epochs", 1, 2),
            **kwargs,
        )


class ShuffleAndNormaliseInFit(kt.HyperModel):
    def build(self, hp):
        return classifier(
            layers.Dense(hp.Int("units", 4, 16, step=4)),
            *[layers.Dropout(0.5)] * hp.Boolean("dropout"),
        )

    def fit(self, hp, model, x, y, **kwargs):
        if hp.Boolean("normalize"):
            x = (x - x.mean()) / x.std()
        return model.fit(x, y, shuffle=hp.Boolean("shuffle"), **kwargs)


class LoopOfItsOwnInFit(kt.HyperModel):
    def build(self, hp):
        self.depth = hp.Int("depth", 1, 2)
        return classifier(*[layers.Dense(4) for _ in range(self.depth)])

    def fit(self, hp, model, x, y, **kwargs):
        size = hp.Int("batch_size", 8, 24, step=8, default=16)
        with hp.name_scope("augment"):
            hp.Boolean("noise")
            with hp.conditional_scope("noise", [True]):
                spread = hp.Float("spread", 0.1, 0.2)
        losses = [
            model.train_on_batch(x[i : i + size] + (spread or 0.0), y[i : i + size])
            for i in range(0, 24, size)
        ]
        return float(len(losses))


class NoneOfItTunable(kt.HyperModel):
    def build(self, hp):
        hidden = [
            layers.Dense(hp.Int("units", 4, 16, step=4, default=8))
            for _ in range(hp.Int("depth", 1, 3))
        ]
        return classifier(*hidden)


trained(BatchSizeAndEpochsInFit())
trained(ShuffleAndNormaliseInFit())
trained(LoopOfItsOwnInFit())
trained(NoneOfItTunable(tunable=False), seeds=range(0))


# KerasTuner's own.


class WithoutWeights(kt.applications.HyperEfficientNet):
    """HyperEfficientNet without the weights that it would download."""

    def build(self, hp):
        ready = efficientnet.EFFICIENTNET_MODELS
        efficientnet.EFFICIENTNET_MODELS = {
            name: partial(model, weights=None) for name, model in ready.items()
        }
        try:
            return super().build(hp)
        finally:
            efficientnet.EFFICIENTNET_MODELS = ready


def ready(name: str, made: Any, seeds: range, slow: bool = False) -> None:
    HYPERMODELS.append(Hypermodel(name, lambda hp: described(made.build(hp)), seeds, slow))


images = {"input_shape": (32, 32, 3), "classes": 10}
ready("HyperImageAugment", kt.applications.HyperImageAugment(input_shape=(32, 32, 3)), range(3))
ready(
    "HyperImageAugment of every transform",
    kt.applications.HyperImageAugment(
        input_shape=(32, 32, 3), augment_layers=0, rotate=[0.2, 0.3], contrast=None
    ),
    range(3),
)
ready("HyperXception", kt.applications.HyperXception(**images), range(1))
ready("HyperResNet", kt.applications.HyperResNet(**images), range(2), slow=True)
augmented = kt.applications.HyperImageAugment(input_shape=(32, 32, 3))
ready(
    "HyperEfficientNet", WithoutWeights(**images, augmentation_model=augmented), range(1), slow=True
)
