"""The search space of KerasTuner's MNIST example, as it stands there; batches of 32, Keras's own
default.

Run: python -m pipeline.run mnist --search-space benchmarks/example_space.py
"""

import keras

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


def build(hp, data):
    """Return a compiled classifier, (batch, *data.shape) float32 -> (batch, data.classes)
    probabilities."""
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten()])
    for i in range(hp.Int("num_layers", 1, 5)):
        model.add(
            keras.layers.Dense(
                hp.Int(f"units_{i}", min_value=32, max_value=512, step=32), activation="relu"
            )
        )
    model.add(keras.layers.Dense(data.classes, activation="softmax"))
    optimizer = OPTIMIZERS[hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])]
    learning_rate = hp.Float("learning_rate", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer(learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model
