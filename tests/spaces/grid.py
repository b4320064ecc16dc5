"""A conditional space of 14 configurations: one to three layers, each with one choice of two."""

import keras


def build(hp, data):
    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    for i in range(hp.Int("num_layers", 1, 3)):
        layers.append(
            keras.layers.Dense(4, activation=hp.Choice(f"activation_{i}", ["relu", "tanh"]))
        )
    model = keras.Sequential([*layers, keras.layers.Dense(data.classes, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model
