"""What programs for several models have in common: numbers that stand in them, and arrays."""

import numpy as np
import pytest

from pipeline.worker.backends.together import held
from pipeline.worker.backends.together.members import identity
from pipeline.worker.backends.together.number import Number


def test_a_number_answers_what_keras_asks_in_python():
    some, none, one = (Number(np.float32(v), 0, v == 0, v == 1) for v in (0.5, 0.0, 1.0))
    assert some and some > 0 and some != 0 and some != 1.0
    assert not none and none == 0 and not none > 0 and one == 1


def test_a_number_keeps_the_digits_that_float32_rounds_away():
    exact = 0.9999
    high = np.float32(exact)
    number = Number(high, np.float32(exact - float(high)), False, False)
    assert 1.0 - number == pytest.approx(1 - exact, rel=1e-7)
    assert np.float32(1.0) - high != pytest.approx(1 - exact, rel=1e-4)


def test_an_array_is_made_once_however_it_is_viewed_and_makes_room(monkeypatch):
    made = []

    def make():
        made.append(1)
        return len(made)

    one, other = np.zeros((10, 2), "float32"), np.ones((10, 2), "float32")
    arrays = held.Held()
    assert [
        arrays.made_of([part], [identity(part)], make) for part in (one, one[:], one[:5], other)
    ] == [1, 1, 2, 3]
    monkeypatch.setattr(held, "HELD_BYTES", other.nbytes + one.nbytes)
    # with a third the first two have no room, one after the other
    assert [arrays.made_of([part], [identity(part)], make) for part in (one, one + 1, one)] == [
        1,
        4,
        5,
    ]
