"""A model so small that a trial takes a second: for tests of everything around it."""

import keras


def build(hp, data):
    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    if hp.Boolean("hidden"):
        layers.append(keras.layers.Dense(hp.Int("units", 4, 16, step=4), activation="relu"))
    model = keras.Sequential([*layers, keras.layers.Dense(data.classes, activation="softmax")])
    optimizer = keras.optimizers.SGD(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log"))
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True
    )
    return model
