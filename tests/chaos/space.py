"""A small model with all that a restart has to bring back: dropout, an optimizer with state, a
`fit` that is tuned too.

An epoch is made to take a third of a second, so that there is a middle to be killed in.
"""

import time

import keras


def build(hp, data):
    layers = [keras.Input(data.shape), keras.layers.Flatten()]
    for i in range(hp.Int("num_layers", 1, 2)):
        layers.append(keras.layers.Dense(hp.Int(f"units_{i}", 16, 64, step=16), activation="relu"))
        layers.append(keras.layers.Dropout(hp.Choice("dropout", [0.0, 0.2, 0.4])))
    model = keras.Sequential([*layers, keras.layers.Dense(data.classes, activation="softmax")])
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    if hp.Choice("optimizer", ["adam", "sgd"]) == "adam":
        optimizer = keras.optimizers.Adam(rate)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(hp, model, *args, callbacks, **kwargs):
    wait = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: time.sleep(0.3))
    batch_size = hp.Choice("batch_size", [32, 64])
    return model.fit(*args, batch_size=batch_size, callbacks=[wait, *callbacks], **kwargs)
