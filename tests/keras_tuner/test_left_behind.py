"""What a callback changes of its script is found in its code, and what it only reads is not."""

import keras
import numpy as np
import pytest

from pipeline.keras_tuner.left_behind import left_behind

collected, seen, best = [], {}, 0.0
nested, counts, values = {"a": []}, {"n": 0}, np.zeros(3)


class Appends(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        collected.append(logs["loss"])


class Sets(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        seen[epoch + 1, str(logs["loss"])] = logs["loss"]


class Rebinds(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        global best
        best = max(best, logs["loss"])


class AppendsInAFunction(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        def note(value):
            collected.extend([value])

        note(epoch)


class AddsInPlace(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        counts["n"] += 1


class AppendsWithin(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        nested["a"].append(epoch)


class AppendsByAnotherName(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        mine = collected
        mine.append(epoch)


class FillsAnArray(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        values[epoch] = logs["loss"]
        collected[1:] = [epoch]


def not_yet():
    class Later(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            losses.append(epoch)

    made = Later()
    if made is None:
        losses = []
    return made


class OnlyReads(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.own = []

    def on_epoch_end(self, epoch, logs=None):
        own = [*collected, seen.get(epoch), best]
        own.append(1)
        self.own.append(own)
        self.own[0] = collected[0] if collected else None


def closure():
    losses, count = [], 0

    class Counts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            nonlocal count
            count += 1
            losses.append(epoch)

    return Counts()


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (Appends, {"collected": "a list"}),
        (Sets, {"seen": "a dict"}),
        (Rebinds, {"best": "a variable"}),
        (AppendsInAFunction, {"collected": "a list"}),
        (AddsInPlace, {"counts": "a dict"}),
        (AppendsWithin, {"nested": "a dict"}),
        (AppendsByAnotherName, {"collected": "a list"}),
        (FillsAnArray, {"values": "an array", "collected": "a list"}),
        (not_yet, {}),
        (closure, {"losses": "a list", "count": "a variable"}),
        (
            lambda: keras.callbacks.LambdaCallback(
                on_epoch_end=lambda e, logs: collected.append(e)
            ),
            {"collected": "a list"},
        ),
        (OnlyReads, {}),
        (lambda: keras.callbacks.EarlyStopping(patience=1), {}),
    ],
)
def test_what_a_callback_changes_of_its_script(make, names):
    assert left_behind(make()) == names
