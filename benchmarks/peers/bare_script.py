"""What somebody writes without any tool: import Keras, build one model, train one epoch, say how good it is.

Run: python benchmarks/peers/bare_script.py mnist
"""

import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).parents[2]))

from datasets import digits, mnist

data = {"digits": digits, "mnist": mnist}[sys.argv[1]].load(0)
model = keras.Sequential(
    [keras.Input(data.shape), keras.layers.Flatten(), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
)
model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(data.x_train, data.y_train, validation_data=(data.x_val, data.y_val), epochs=1, verbose=0)
print(history.history["val_accuracy"][0])
