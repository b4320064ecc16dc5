"""What the families share: the input, the output layer with its loss, the batch size."""

from typing import Any

import keras

from pipeline.data import Dataset


def compiled(layers: list[keras.Layer], data: Dataset, optimizer: keras.optimizers.Optimizer) -> keras.Model:
    """Return `layers` between the input and the output layer that `data` needs, compiled.

    (batch, *data.shape) -> (batch, 1) probability of class 1 for two classes, (batch, data.classes)
    probabilities for more or for one-hot labels, (batch, targets) real numbers for a regression.
    """
    inputs: list[Any] = [keras.Input(data.shape)]
    if data.dtype == "uint8":
        # Raw pixels: dense and convolutional layers are initialised for inputs around 1, not 255.
        inputs.append(keras.layers.Rescaling(1 / 255))
    units, activation, loss, metric = _output(data)
    # float32, whatever the policy: softmax and loss lose small probabilities in half precision.
    output = keras.layers.Dense(units, activation=activation, dtype="float32", name="output")
    model = keras.Sequential([*inputs, *layers, output])
    model.compile(optimizer=optimizer, loss=loss, metrics=[metric])
    return model


def batch_size(x: Any) -> int:
    """Return 128 for a training split of 10,000 examples or more, else 32.

    Batches of 128 cost a quarter of the steps on MNIST; a small table needs its many updates.
    """
    return 128 if len(x) >= 10_000 else 32


def _output(data: Dataset) -> tuple[int, str, str, str]:
    if data.task == "regression":
        return (data.target_shape or (1,))[0], "linear", "mse", "mae"
    assert data.classes is not None  # a classification has them: `Dataset` checks it
    if data.target_shape:
        return data.classes, "softmax", "categorical_crossentropy", "accuracy"
    if data.classes == 2:
        return 1, "sigmoid", "binary_crossentropy", "accuracy"
    return data.classes, "softmax", "sparse_categorical_crossentropy", "accuracy"
