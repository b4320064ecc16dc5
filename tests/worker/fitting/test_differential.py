"""Every number that a trial reports is the one that Keras's own `fit` reports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.worker.backends.backend import BY_ITSELF
from tests.conftest import installed
from tests.worker.fitting.differential import CASES, differences

ROOT = Path(__file__).parents[3]


QUICK = (
    "one-hot classes",
    "a loss of the user's",
    "a stateful model of a fixed batch",
    "masked steps",
)
ALL = [
    pytest.param(case, id=name, marks=() if name in QUICK else pytest.mark.slow)
    for name, case in CASES.items()
]


@pytest.mark.parametrize("case", ALL)
def test_keras_way_has_the_numbers_of_keras(case):
    assert differences(case, "plain") == {}


@pytest.mark.slow
@pytest.mark.parametrize("plan", [plan for plan in BY_ITSELF if plan != "plain"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_so_has_each_plan(case, plan):
    assert differences(case, plan) == {}


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax"), installed("torch")])
def test_so_has_each_backend(backend):
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.fitting.differential", "auto"],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
