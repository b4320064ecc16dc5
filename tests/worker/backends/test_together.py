"""A number that stands in a program is to Keras what it was."""

import numpy as np
import pytest

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
