"""The trial on one of the hosts is lost three times before its second epoch: twice its process,
then the host.

`place` is where trials and the test leave word for each other.
"""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import keras

place = Path("/mnt/runs/word")


def build(hp, data):
    layers = [
        keras.Input(data.shape),
        keras.layers.Flatten(),
        keras.layers.Dense(hp.Int("units", 4, 8)),
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(data.classes, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(hp, model, *args, callbacks, **kwargs):
    # of the check that comes before the trials it is another
    trial = threading.current_thread().name

    def begin(epoch, logs=None):
        if trial.startswith("trial-") and epoch == 1:
            (place / "begun" / trial).mkdir(parents=True, exist_ok=True)
            (place / "begun" / trial / socket.gethostname()).touch()
            lose(trial)

    return model.fit(
        *args,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=begin), *callbacks],
        **kwargs,
    )


def lose(trial):
    wait_for(lambda: len(list((place / "begun").iterdir())) == 3)  # until there is one on each host
    chosen = place / "chosen"
    if socket.gethostname() == "worker1" and not chosen.exists():
        chosen.write_text(trial)
    wait_for(chosen.exists)
    losses = place / "losses"
    if chosen.read_text() == trial and not (place / "lost").exists():
        with losses.open("a") as file:
            file.write(f"{socket.gethostname()}\n")
        if len(losses.read_text().splitlines()) < 3:
            os.kill(os.getpid(), signal.SIGKILL)
    wait_for((place / "lost").exists)


def wait_for(condition):
    while not condition():
        time.sleep(0.1)
