"""Trainings that are carried out as one program have the numbers of trainings apart."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import installed

ROOT = Path(__file__).parents[3]
# A program's last places may differ from those of Keras's own step; three epochs of them do so by
# a few units of float32.
EQUAL = 5e-6
FUSED = "fused: with trainings whose models are alike"


def lines_of(module):
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        # Not optimised: compiling takes most of the time.
        env=os.environ
        | {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"},
        capture_output=True,
        text=True,
        timeout=290,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def scenarios():
    installed_jax()
    lines = lines_of("tests.worker.fused.scenarios")
    return {name: found for line in lines for name, found in line.items()}


def installed_jax():
    pytest.importorskip("jax")


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax")])
def test_models_optimizers_schedules_and_metrics_have_the_numbers_of_kerass_own_fit(backend):
    found = lines_of("tests.worker.fused.together")
    assert len(found) == 33
    wrong = [
        line
        for line in found
        if line["plans"] != [FUSED] or line["failed"] or not line["difference"] < EQUAL
    ]
    assert wrong == []


@pytest.mark.slow
def test_folds_of_unequal_size_are_trained_each_on_all_of_its_examples(scenarios):
    found = scenarios["folds_of_unequal_size"]
    assert found["plan"] == FUSED and len(found["sizes"]) > 1
    assert found["difference"] < EQUAL


@pytest.mark.slow
def test_a_training_that_diverges_fails_alone(scenarios):
    found = scenarios["one_diverges"]
    assert found["failures"][0] is found["failures"][2] is None
    assert found["failures"][1] == "diverged: val_loss is nan in epoch 1"
    assert found["difference"] < EQUAL


@pytest.mark.slow
def test_trainings_that_stop_early_leave_the_others_going(scenarios):
    found = scenarios["some_stop_early"]
    assert found["epochs"] == [5, 2, 2, 2] and found["difference"] < EQUAL


@pytest.mark.slow
def test_a_training_goes_on_from_its_checkpoint_beside_one_that_begins(scenarios):
    found = scenarios["gone_on_with"]
    assert found["epochs"] == [2, 4] and found["difference"] < EQUAL


@pytest.mark.slow
def test_what_is_not_alike_trains_apart_and_what_cannot_be_compared_says_so(scenarios):
    found = scenarios["not_alike"]
    assert found["units"][0] == FUSED
    assert found["lambda"][0].endswith("; trained apart: layer 'lambda' is a Lambda")
    assert found["units"][1] < EQUAL and found["lambda"][1] < EQUAL


@pytest.mark.slow
def test_only_models_bound_by_the_cost_of_a_step_are_fused_unasked_on_a_cpu(scenarios):
    found = scenarios["chosen_by_itself"]
    assert found["dense"] == FUSED
    assert found["convolutional"].endswith(
        "; trained apart: bound by arithmetic, not by the cost of a step"
    )
