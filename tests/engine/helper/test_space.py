"""What a search sends to its helper, and what it refuses to send."""

import threading

import keras
import numpy as np
import pytest

from pipeline.data.fit_data import FitData
from pipeline.engine.helper.space import FollowedSpace
from pipeline.errors import RequestError


class Locked(keras.utils.PyDataset):
    """Holds what no other process can have."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def makes_with(lock):
    return lambda: lock


@pytest.mark.parametrize(
    ("given", "name"), [(Locked(), "Locked"), (makes_with(threading.Lock()), "lambda")]
)
def test_what_makes_batches_and_cannot_be_sent_is_refused_with_the_way_out(given, name):
    data = FitData.of("d", np.ones((4, 2)), np.ones(4), validation_data=given)

    with pytest.raises(RequestError) as refused:
        FollowedSpace(lambda hp: None, data, 0, pytest.fail)

    assert str(refused.value) == (
        f"The data must be something that can be sent to another process; {name} is not: cannot "
        "pickle '_thread.lock' object. Give a function that makes it: def make(): return …, and "
        "make in its place."
    )
