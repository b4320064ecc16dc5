"""`fit` asks for a batch size, and for patience with the largest one only: 2 + 3 configurations."""

import keras


def build(hp, data):
    head = keras.layers.Dense(data.classes, activation="softmax")
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(), head])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def fit(hp, model, *args, callbacks, **kwargs):
    batch_size = hp.Choice("batch_size", [64, 32, 16, 8])
    if batch_size == 64:
        callbacks = [
            *callbacks,
            keras.callbacks.EarlyStopping(patience=hp.Choice("patience", [7, 8])),
        ]
    return model.fit(*args, batch_size=batch_size, callbacks=callbacks, **kwargs)
