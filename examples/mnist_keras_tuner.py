"""KerasTuner's MNIST example, its import line changed: trials run side by side on Ray, all else is
as it was.

The images come from the copy that this project holds, so that it runs without a network;
`keras.datasets.mnist.load_data()` gives the same.

Run: python examples/mnist_keras_tuner.py
"""

import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # as if the project were installed

from pipeline import keras_tuner as kt
from pipeline.datasets import mnist

data = mnist.load(0)
x_train = np.concatenate([data.x_train, data.x_val]).reshape(-1, 784).astype("float32")
y_train = np.concatenate([data.y_train, data.y_val])
x_test, y_test = data.x_test.reshape(-1, 784).astype("float32"), data.y_test


def build_model(hp):
    model = keras.Sequential([keras.Input((784,))])
    for i in range(hp.Int("num_layers", 1, 5)):
        model.add(
            keras.layers.Dense(
                hp.Int(f"units_{i}", min_value=32, max_value=512, step=32), activation="relu"
            )
        )
    model.add(keras.layers.Dense(10, activation="softmax"))
    optimizers = {
        "adam": keras.optimizers.Adam,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }
    optimizer = optimizers[hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])]
    learning_rate = hp.Float("learning_rate", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer(learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


tuner = kt.RandomSearch(
    build_model,
    objective="val_accuracy",
    max_trials=10,
    executions_per_trial=1,
    directory="runs",
    project_name="mnist_keras_tuner",
)
tuner.search_space_summary()
tuner.search(x_train, y_train, epochs=10, validation_split=0.2)
tuner.results_summary()

models = tuner.get_best_models(num_models=3)
print(tuner.get_best_hyperparameters(num_trials=1)[0].values)
for model in models:
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy {accuracy:.4f}")
