"""What the families share.

The input, the output layer with its loss, the optimizer, the batch size.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from pipeline.data import Dataset

OPTIMIZERS = ("adam", "sgd", "rmsprop")


def compiled(
    layers: Sequence[Callable[[Any], Any]], data: Dataset, optimizer: keras.optimizers.Optimizer
) -> keras.Model:
    """Return `layers` between the input and the output layer that `data` needs, compiled.

    (batch, *data.shape) -> (batch, 1) probability of class 1 for two classes, (batch, data.classes)
    probabilities for more or for one-hot labels, (batch, targets) real numbers for a regression.

    Args:
        layers: Keras layers, or functions of a tensor such as a residual block, one after the
            other.
        data: says the shapes of input and output.
        optimizer: trains it.
    """
    x = inputs = keras.Input(data.shape)
    if data.dtype == "uint8":
        # Raw pixels: dense and convolutional layers are initialised for inputs around 1, not 255.
        x = keras.layers.Rescaling(1 / 255)(x)
    for layer in layers:
        x = layer(x)
    units, activation, loss, metric = _output(data)
    scale = getattr(data, "target_scale", None)
    # float32, whatever the policy: softmax and loss lose small probabilities in half precision.
    output = keras.layers.Dense(units, activation=activation, dtype="float32", name="output")
    x = output(x)
    weight = None
    if scale is not None:
        # The model learns the target at mean 0 and standard deviation 1, and tells it in its unit.
        mean, std = scale
        x = keras.layers.Rescaling(std, mean, dtype="float32", name="in_units")(x)
        weight = 1 / std**2
    model = keras.Model(inputs, x)
    model.compile(optimizer=optimizer, loss=loss, loss_weights=weight, metrics=[metric])
    return model


def optimizer(
    hp: Any, *, fastest: float = 1e-2, default: float = 1e-3, momentum: float = 0.0
) -> keras.optimizers.Optimizer:
    """Return the optimizer that `hp` chooses, at a learning rate from 1e-4 to `fastest`.

    `momentum` is SGD's.
    """
    kind = hp.Choice("optimizer", list(OPTIMIZERS))
    learning_rate = hp.Float("learning_rate", 1e-4, fastest, sampling="log", default=default)
    if kind == "sgd":
        return keras.optimizers.SGD(learning_rate=learning_rate, momentum=momentum)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[kind](
        learning_rate=learning_rate
    )


def fit(hp: Any, model: keras.Model, x: Any, y: Any, **kwargs: Any) -> keras.callbacks.History:
    """Train in batches of 128 on a training split of 10,000 examples or more, else of 32.

    Batches of 128 cost a quarter of the steps on MNIST; a small table needs its many updates.
    """
    return model.fit(x, y, **{"batch_size": 128 if len(x) >= 10_000 else 32, **kwargs})


def _output(data: Dataset) -> tuple[int, str, str, str]:
    if data.task == "regression":
        return (data.target_shape or (1,))[0], "linear", "mse", "mae"
    assert data.classes is not None  # a classification has them: `Dataset` checks it
    if data.target_shape:
        return data.classes, "softmax", "categorical_crossentropy", "accuracy"
    if data.classes == 2:
        return 1, "sigmoid", "binary_crossentropy", "accuracy"
    return data.classes, "softmax", "sparse_categorical_crossentropy", "accuracy"
