"""Turns: one trial of a process trains at a time, with what is its own."""

import random
import threading
import time

import keras
import numpy as np
import pytest

from pipeline.worker.spaces.turns import Turn, Turns
from pipeline.worker.training.trial import train
from tests.worker import stage


def draw(turn, epochs, drawn, barrier):
    """What a trial does: it draws in each epoch, and lets others train between two."""
    barrier.wait()
    with turn:
        random.seed(epochs)
        np.random.seed(epochs)
        keras.config.set_epsilon(epochs * 1e-3)
        for epoch in range(epochs):
            if epoch:
                turn.begin()
            drawn.append((random.random(), np.random.rand(), keras.config.epsilon()))
            turn.end()
        turn.begin()


@pytest.fixture
def epsilon():
    """Keras's setting is given back."""
    before = keras.config.epsilon()
    yield
    keras.config.set_epsilon(before)


@pytest.mark.usefixtures("epsilon")
def test_each_trial_draws_its_own_numbers_under_its_own_settings():
    def run(counts, turns):
        drawn = {count: [] for count in counts}
        barrier = threading.Barrier(len(counts))
        threads = [
            threading.Thread(target=draw, args=(Turn(turns), count, drawn[count], barrier))
            for count in counts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return drawn

    alone = run([50], Turns()) | run([60], Turns()) | run([70], Turns())
    assert run([50, 60, 70], Turns(seats=3)) == alone


def test_a_trial_waits_for_the_one_that_trains():
    turns = Turns(seats=2)
    one, other = Turn(turns), Turn(turns)
    one.begin()
    waiting = threading.Thread(target=other.begin)
    waiting.start()
    while not other.waits:
        pass
    waiting.join(0.05)
    assert waiting.is_alive() and other.waits and not one.waits
    one.end()
    waiting.join()
    assert not other.waits


class Together:
    """Carries out what is asked for: numbers, whose sum each is told; it takes note of them."""

    def __init__(self):
        self.calls = []

    def __call__(self, requests):
        self.calls.append(sorted(requests))
        return [ValueError("too many") if r == 13 else sum(requests) for r in requests]


def start(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def test_what_trials_ask_for_is_carried_out_together_once_all_are_there():
    turns = Turns(calls := Together(), seats=3)
    found = {}
    barrier = threading.Barrier(3)

    def trial(number):
        turn = Turn(turns)
        barrier.wait()
        with turn:
            time.sleep(0.02)
            first = turn.together(number)
            turn.end(returns=True)  # its report
            time.sleep(0.01 * number)  # the driver's answer
            turn.begin()
            if number == 3:  # it ends, and is waited for no more
                found[number] = [first]
                return
            found[number] = [first, turn.together(10 * number)]

    for thread in start([lambda number=number: trial(number) for number in (1, 2, 3)]):
        thread.join()
    assert [sorted(call) for call in calls.calls] == [[1, 2, 3], [10, 20]]
    assert found[1][1] == found[2][1] == 30 and len(found[3]) == 1


def test_a_trial_that_stays_away_is_not_waited_for_for_long(monkeypatch):
    monkeypatch.setattr("pipeline.worker.spaces.turns.GRACE_S", 0.05)
    turns = Turns(calls := Together(), seats=2)
    away, other = Turn(turns), Turn(turns)
    away.begin()
    away.end(returns=True)
    with other:
        began = time.monotonic()
        assert other.together(5) == 5
    assert time.monotonic() - began > 0.05 and calls.calls == [[5]]


def test_those_that_are_not_begun_are_not_waited_for_for_long(monkeypatch):
    monkeypatch.setattr("pipeline.worker.spaces.turns.FIRST_GRACE_S", 0.1)
    turns = Turns(calls := Together(), seats=3)
    began = time.monotonic()
    with (turn := Turn(turns)):
        assert turn.together(5) == 5
    assert time.monotonic() - began > 0.1 and calls.calls == [[5]]


def test_what_came_of_it_is_raised_where_its_trial_waits():
    turns = Turns(Together())
    with (turn := Turn(turns)), pytest.raises(ValueError, match="too many"):
        turn.together(13)
    turns.carry_out = lambda requests: 1 // 0
    with turn, pytest.raises(ZeroDivisionError):
        turn.together(1)
    with turn:
        pass  # and the turns go on


class InTurn(stage.Notes):
    """A session that lets others train while a trial waits for what it is told."""

    def __init__(self, turn):
        super().__init__()
        self.turn = turn

    def report(self, update, checkpoint):
        super().report(update, checkpoint)
        self.turn.end()
        self.turn.begin()


def test_trainings_of_one_process_have_the_epochs_of_trainings_alone(tmp_path):
    data, family = stage.dataset("digits"), stage.space()

    def carry_out(trial, session):
        task = stage.job(tmp_path / type(session).__name__, trial, max_epochs=2)
        train(task, family, data, session)

    def in_turn(trial, session):
        with session.turn:
            carry_out(trial, session)

    turns, trials = Turns(seats=2), ["t0000", "t0001"]
    together = [InTurn(Turn(turns)) for _ in trials]
    threads = [
        threading.Thread(target=in_turn, args=told) for told in zip(trials, together, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for trial, session in zip(trials, together, strict=True):
        carry_out(trial, alone := stage.Notes())
        stage.assert_same(session.epochs, alone.epochs)
        assert len(alone.epochs) == 2
