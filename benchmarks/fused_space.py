"""The search space of `fused.py`: a small dense model, its learning rate and dropout rate.

`SIDE` in the environment is how many values each has, `UNITS` and `BATCH` what the model is.
"""

import os

import keras

SIDE = int(os.environ.get("SIDE", "3"))
UNITS = int(os.environ.get("UNITS", "64"))
BATCH = int(os.environ.get("BATCH", "32"))
RATES = [1e-4, 1e-3, 1e-2, 5e-3][:SIDE]
DROPOUTS = [0.1, 0.2, 0.3, 0.5][:SIDE]


def model(shape, classes, rate, dropout):
    last = (
        keras.layers.Dense(1, "sigmoid") if classes == 2 else keras.layers.Dense(classes, "softmax")
    )
    made = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(UNITS, "relu"),
            keras.layers.Dropout(dropout),
            last,
        ]
    )
    loss = "binary_crossentropy" if classes == 2 else "sparse_categorical_crossentropy"
    made.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return made


def build(hp, data):
    rate, dropout = hp.Choice("learning_rate", RATES), hp.Choice("dropout", DROPOUTS)
    return model(data.shape, data.classes, rate, dropout)


def fit(hp, model, *args, **kwargs):
    return model.fit(*args, batch_size=BATCH, **kwargs)
