"""A small model with two numbers to be tried, three values each, as tutorials for grids have it."""

import keras

LEARNING_RATES = (0.1, 0.01, 0.001)
DROPOUT_RATES = (0.1, 0.3, 0.5)


def create_model(inputs, learning_rate, dropout_rate):
    """Return a compiled binary classifier, (batch, inputs) float32 -> (batch, 1) probabilities."""
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def build(hp, data):
    """Return the same for a search."""
    learning_rate = hp.Choice("learning_rate", list(LEARNING_RATES))
    dropout_rate = hp.Choice("dropout_rate", list(DROPOUT_RATES))
    return create_model(*data.shape, learning_rate, dropout_rate)
