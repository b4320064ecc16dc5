"""A trial's worker, without Ray: how it ends what trains in it."""

import os
import threading
import time

import pytest

from pipeline.engine.trials import trainable
from pipeline.engine.trials.host import Process
from pipeline.engine.trials.trainable import KerasTrial
from pipeline.worker.spaces.turns import Turn, Turns
from tests.worker import stage


@pytest.fixture
def exits(monkeypatch):
    """The codes that the process would have ended with; it is patient for a moment only."""
    codes = []
    monkeypatch.setattr(trainable, "UNWIND_S", 0.01)
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


@pytest.fixture
def ending(exits, tmp_path):
    """End a trial that is in the midst of `what`, among the turns of its process."""

    def end(what, turns):
        worker = KerasTrial.__new__(KerasTrial)
        worker._process = Process(turns)
        worker._begin(stage.job(tmp_path))
        worker._thread = threading.Thread(target=what, args=(worker._turn,))
        worker._thread.start()
        worker._end()
        return exits

    return end


def test_a_trial_that_waits_for_its_turn_to_end_is_waited_for(ending):
    turns = Turns()
    other = Turn(turns)
    other.begin()
    threading.Timer(1.2, other.end).start()

    def unwind(turn):
        with turn:
            pass

    assert ending(unwind, turns) == []


def test_one_that_does_not_let_go_ends_its_process(ending, exits):
    def hang(turn):
        with turn:
            while not exits:
                time.sleep(0.01)

    assert ending(hang, Turns()) == [1]
