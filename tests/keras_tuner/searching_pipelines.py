"""A search over `tf.data.Dataset`s, and plain Keras on the same; one process of each backend.

Run: python -m tests.keras_tuner.searching_pipelines FOLDER
"""

import csv
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

EPOCHS = 3
DIGITS = load_digits()
X, Y = (DIGITS.images / 16).astype(np.float32)[:300], DIGITS.target[:300]


def build_model(hp):
    """The same weights wherever it is built."""
    import keras

    start = keras.initializers.RandomUniform(-0.1, 0.1, seed=1)
    model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(hp.Choice("units", [12]), "relu", kernel_initializer=start))
    model.add(keras.layers.Dense(10, "softmax", kernel_initializer=start))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def pipelines():
    """Training batches in an order that a seed fixes; validation that calls Python code."""
    import tensorflow as tf

    def scaled(x, y):
        (x,) = tf.numpy_function(lambda a: [a / np.float32(2)], [x], [tf.float32])
        return tf.ensure_shape(x, [8, 8]), y

    train = tf.data.Dataset.from_tensor_slices((X[:220], Y[:220])).shuffle(220, seed=3)
    validation = tf.data.Dataset.from_tensor_slices((X[220:], Y[220:])).map(scaled)
    return train.batch(32).prefetch(tf.data.AUTOTUNE), validation.batch(40)


def searched(folder):
    """A tuner whose search is done; what was warned of."""
    from pipeline import keras_tuner as kt

    tuner = kt.RandomSearch(build_model, "val_loss", 1, seed=1, directory=folder)
    train, validation = pipelines()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        tuner.search(train, validation_data=validation, epochs=EPOCHS, verbose=0)
    return tuner, [str(w.message) for w in warned if "is read once" in str(w.message)]


def recorded(tuner):
    """The metrics of each epoch, as `history.csv` has them."""
    with Path(tuner.project_dir, "history.csv").open() as table:
        rows = list(csv.DictReader(table))
    return [
        {n: float(v) for n, v in row.items() if n not in ("trial", "epoch", "seconds")}
        for row in rows
    ]


def plain(tuner):
    """The same of Keras's own `fit`."""
    train, validation = pipelines()
    model = tuner.hypermodel.build(tuner.get_best_hyperparameters()[0])
    history = model.fit(
        train, validation_data=validation, epochs=EPOCHS, verbose=0, shuffle=False
    ).history
    return [{name: values[i] for name, values in history.items()} for i in range(EPOCHS)]


def measured(tuner):
    """What the best model scores on the validation split."""
    return tuner.get_best_models()[0].evaluate(pipelines()[1], verbose=0)


if __name__ == "__main__":
    done, said = searched(Path(sys.argv[1]))
    told = {"recorded": recorded(done), "plain": plain(done), "measured": measured(done)}
    print(json.dumps(told | {"warned": said}))
