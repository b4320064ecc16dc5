"""A function runs only while it is waited for, with random numbers of its own."""

import random

import numpy as np
import pytest

from pipeline.worker.fused.coroutine import Coroutine


def test_a_turn_goes_from_one_pause_to_the_next():
    def run():
        return [turn.pause("first"), turn.pause("second")]

    turn = Coroutine("t", run)
    assert (turn.advance(), turn.advance(1), turn.advance(2)) == ("first", "second", None)
    assert turn.ended and turn.result == [1, 2]


def test_what_it_raises_is_its_result():
    def run():
        raise ValueError("no")

    turn = Coroutine("t", run)
    assert turn.advance() is None
    assert turn.ended and str(turn.result) == "no"


def test_it_is_ended_where_it_waits():
    seen = []

    def run():
        try:
            turn.pause("waits")
        except KeyError as error:
            seen.append(error)
            raise

    turn = Coroutine("t", run)
    turn.advance()
    turn.end(KeyError("over"))
    assert turn.ended and turn.result is seen[0]
    Coroutine("never begun", run).end(KeyError("over"))


@pytest.mark.parametrize("draws", [True, False])
def test_each_draws_the_random_numbers_that_it_would_draw_alone(draws):
    def drawing(drawn):
        def run():
            for _ in range(3):
                if draws:
                    drawn.append((random.random(), float(np.random.rand())))
                holder[0].pause("drawn")

        holder = [Coroutine("t", run)]
        holder[0].draws = draws
        return holder[0]

    random.seed(4), np.random.seed(4)
    expected = [(random.random(), float(np.random.rand())) for _ in range(3)]
    random.seed(4), np.random.seed(4)
    outside, first, second = random.getstate(), [], []
    turns = [drawing(first), drawing(second)]
    while not all(turn.ended for turn in turns):
        for turn in turns:
            turn.advance()
    assert first == second == (expected if draws else [])
    assert random.getstate() == outside
