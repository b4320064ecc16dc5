"""Trainings that are carried out by one program have the numbers of trainings apart."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from pipeline.worker.backends.known import current
from pipeline.worker.fitting import together as fitting_together
from pipeline.worker.session import SearchSpace
from tests.conftest import installed
from tests.worker.fused.scenarios import DENSE, RATES, SCENARIOS
from tests.worker.fused.together import (
    apart,
    dense,
    examples,
    jobs,
    largest_difference,
    of_layers,
    outcome,
    together,
)

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


@pytest.fixture(scope="module", params=["tensorflow", installed("jax")])
def scenarios(request, tmp_path_factory):
    if request.param == current().name:
        folder = tmp_path_factory.mktemp("scenarios")
        return {each.__name__: each(folder / each.__name__) for each in SCENARIOS}
    lines = lines_of("tests.worker.fused.scenarios")
    return {name: found for line in lines for name, found in line.items()}


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax")])
def test_models_optimizers_schedules_and_metrics_have_the_numbers_of_kerass_own_fit(backend):
    found = lines_of("tests.worker.fused.together")
    assert len(found) == 32
    wrong = [
        line
        for line in found
        if line["plans"] != [FUSED] or line["failed"] or not line["difference"] < EQUAL
    ]
    assert wrong == []


# What differs between models and optimizers on TensorFlow: layers that draw, numbers in layers, in
# optimizers' kernels and in Keras's own updates, and in schedules.
OTHERWISE = (
    *("convolutional", "recurrent", "normalised", "regularised", "several metrics", "CosineDecay"),
    *("SGD, Nesterov, clipped", "Adagrad", "AdamW", "accumulated gradients"),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERWISE)
def test_models_that_take_turns_have_the_numbers_of_trainings_by_themselves(case):
    found = outcome(case)
    assert (found["plans"], found["failed"]) == ([FUSED], [])
    assert found["difference"] < EQUAL


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
    assert found["units"][0] == (
        "fused: a program of its own; trained apart: no other that trains beside it is like it"
    )
    assert found["lambda"][0].endswith("; trained apart: layer 'lambda' is a Lambda")
    assert found["units"][1] < EQUAL and found["lambda"][1] < EQUAL


@pytest.mark.slow
def test_what_changes_between_two_fits_is_seen_as_keras_sees_it(scenarios):
    for epochs, plan, difference in scenarios["changed_between_fits"].values():
        assert epochs == [3, 4, 5] and plan == FUSED and difference < EQUAL


@pytest.mark.slow
def test_where_models_take_turns_all_are_fused_unasked_and_else_those_bound_by_the_cost_of_a_step(
    scenarios, request
):
    found = scenarios["chosen_by_itself"]
    takes_turns = request.node.callspec.params["scenarios"] == "tensorflow"
    apart = "; trained apart: bound by arithmetic, not by the cost of a step"
    assert found["dense"] == FUSED
    assert found["convolutional"].endswith(FUSED if takes_turns else apart)


def calls_of_the_loss(folder, members, monkeypatch):
    """How often a loss is called in Python, of as many trainings together."""
    called, loss = [], keras.losses.SparseCategoricalCrossentropy
    plain = loss.call

    def call(*given):
        called.append(1)
        return plain(*given)

    monkeypatch.setattr(loss, "call", call)
    space = SearchSpace("traced", of_layers(dense, loss=loss()))
    settings = [{"learning_rate": 1e-3, "rate": 0.1 * (n + 1)} for n in range(members)]
    together(jobs(folder, settings), space, examples())
    return len(called)


def test_models_that_take_turns_are_traced_once(tmp_path, monkeypatch):
    # Each model is built, which calls it too; what is left are training and validation.
    two, three = (calls_of_the_loss(tmp_path / str(n), n, monkeypatch) for n in (2, 3))
    assert two - 2 * (three - two) == 2


def test_arrays_of_which_a_copy_would_be_large_are_fed_as_to_one_training(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting_together, "FUSED_TO_BYTES", 1000)
    given = jobs(tmp_path, RATES[:2], fit_plan="auto", max_epochs=1)
    members = together(given, SearchSpace("dense", DENSE), examples())
    assert members[0].facts.fit_plan.endswith(
        "trained apart: its arrays are too large to be copied"
    )


@pytest.mark.slow
def test_a_layer_that_a_callback_freezes_goes_on_as_it_was_traced(tmp_path):
    def fit(hp, model, *args, callbacks, **kwargs):
        class Freezes(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                self.model.layers[0].trainable = epoch != 1

        return model.fit(*args, callbacks=[*callbacks, Freezes()], **kwargs)

    space, data = SearchSpace("dense", DENSE, fit), examples()
    alone = apart(jobs(tmp_path / "apart", RATES[:2], max_epochs=3), space, data)
    members = together(jobs(tmp_path / "together", RATES[:2], max_epochs=3), space, data)
    assert members[0].facts.fit_plan == FUSED
    assert largest_difference(alone, members) < EQUAL
