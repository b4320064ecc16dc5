"""What a callback changes of its script is found in its code, and what it only reads is not."""

import keras
import pytest

from pipeline.keras_tuner.left_behind import left_behind

collected, seen, best = [], {}, 0.0


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
