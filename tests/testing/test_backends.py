"""Each of our backends is what a backend must be, and one that is not is told why."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.testing import backends
from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.tensorflow import TensorFlow
from tests.conftest import installed

ROOT = Path(__file__).parents[2]

CHECK = """
from pipeline.worker.devices import machine
machine.claim(1, 0)
from pipeline.testing.backends import check_backend
from pipeline.worker.backends.known import current
check_backend(current())
print(current())
"""


def test_tensorflow_is_what_a_backend_must_be():
    backends.check_backend(TensorFlow())


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax"), installed("torch")])
def test_each_other_is_what_a_backend_must_be(backend):
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"(name='{backend}')\n")


def test_what_is_known_of_no_backend_trains_as_keras_does():
    backends.check_backend(Backend("tensorflow"))


@dataclass(frozen=True)
class Stuck(TensorFlow):
    """Has one order for all epochs."""

    def shuffled(self, parts, chunks, order, *, looped, devices):
        first = replace(order, epoch=0, listeners=[])
        return super().shuffled(parts, chunks, first, looped=looped, devices=devices)


@dataclass(frozen=True)
class Forgetful(TensorFlow):
    """Leaves out what is no whole batch."""

    def shuffled(self, parts, chunks, order, *, looped, devices):
        whole = [part[: chunks.examples] for part in parts]
        return super().shuffled(whole, chunks, order, looped=looped, devices=devices)


@dataclass(frozen=True)
class Hasty(TensorFlow):
    """Trains on each chunk's batches as one."""

    def train_function(self, model, parts, chunks, looping):
        def train_function(iterator):
            return model.train_step(iterator.get_next())

        return train_function


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        (Backend("numpy"), "Keras computes with tensorflow, not with numpy"),
        (Stuck(), "each epoch has an order of its own"),
        (Forgetful(), "each example must come once an epoch"),
    ],
)
def test_what_does_not_hold_is_said(backend, says):
    with pytest.raises(AssertionError, match=says):
        backends.check_backend(backend)


def test_a_plan_that_comes_to_something_else_than_keras_is_named():
    with pytest.raises(AssertionError, match=r"looped: \w+ of epoch 0 must be that of Keras"):
        backends.check_plans(Hasty())
