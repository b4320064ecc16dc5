"""What callbacks remember is plain, and comes back to the callback that it is of."""

import json

import keras
import numpy as np

from pipeline.worker.training.remembered import CallbackStates, EpochLogs


def counted():
    early = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    early.wait, early.best, early.best_epoch = 2, np.float32(0.5), 4
    early.best_weights = [np.arange(3.0), np.ones((2, 2))]
    return early


def test_a_callback_goes_on_from_its_state_and_has_its_weights():
    saved = CallbackStates.of([keras.callbacks.TerminateOnNaN(), counted()])
    assert saved.lists.keys() == {"1.best_weights"}
    states = json.loads(json.dumps(saved.states))

    fresh = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
    ]
    CallbackStates(states, saved.lists).give_back(fresh)
    assert (fresh[1].wait, fresh[1].best, fresh[1].best_epoch) == (2, 0.5, 4)
    for ours, theirs in zip(fresh[1].best_weights, counted().best_weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_callback_in_its_place_stays_as_it_is():
    other = keras.callbacks.ReduceLROnPlateau("val_loss")
    before = dict(vars(other))
    CallbackStates.of([counted()]).give_back([other])
    assert vars(other) == before


def test_a_history_begins_once_with_the_logs_of_before_a_restart():
    logs = EpochLogs()
    logs.note(0, {"loss": np.float32(0.5), "confusion": np.ones(3)})
    assert logs.all == [(0, {"loss": 0.5})]

    again, history = EpochLogs(logs.all), keras.callbacks.History()
    history.on_train_begin()
    history.set_model(keras.Sequential([keras.layers.Dense(1)]))
    again.give_back(history)
    again.give_back(history)
    again.note(1, {"loss": 0.25})
    assert history.history == {"loss": [0.5]} and history.epoch == [0]
    assert again.all == [(0, {"loss": 0.5}), (1, {"loss": 0.25})]
