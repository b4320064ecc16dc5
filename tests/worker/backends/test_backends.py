"""A trial on another backend than TensorFlow keeps its promises."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import installed

ROOT = Path(__file__).parents[3]

TRIAL = """
import json, os, sys
from pathlib import Path
from pipeline.worker.devices import machine
claimed = machine.claim(1, 0)
import keras
from tests.worker.stage import curve, dataset, digits_model, interrupted, job, run, space
assert keras.backend.backend() == claimed["backend"] == os.environ["KERAS_BACKEND"], claimed
folder, digits = Path(sys.argv[1]), dataset("digits")
compiled = space(lambda hp, data: digits_model(eager=False))
undisturbed, ending = run(job(folder / "one", max_epochs=3), compiled, digits)
assert ending.failure is None, ending.failure
other = interrupted(job(folder / "other", max_epochs=3), compiled, digits)
assert "tensorflow" not in sys.modules, "seconds and memory of every worker, for nothing"
print("\\n" + json.dumps([curve(undisturbed.epochs), curve(other)]))
"""

PLANS = """
from pipeline.worker.devices import machine
machine.claim(1, 0)
import json
import numpy as np
from pipeline.worker.fitting.reporter import Reporter
from tests.worker import stage
from tests.worker.fitting import test_plans
digits = stage.dataset("digits", 330)
def layers():
    return [*test_plans.dense(), *test_plans.with_dropout()[-2:]]
told = []
for plan in ("plain", "looped", "compiled", "auto"):
    history, chosen, updates = test_plans.trained(
        plan, test_plans.model(layers), digits, class_weight={0: 5.0, 3: 0.5}
    )
    told.append([plan, str(chosen), updates, history])
eager = test_plans.model(layers, jit_compile=False)
told.append(str(test_plans.trained("compiled", eager, digits, epochs=1)[1]))
convolutions = test_plans.model(test_plans.with_dropout)
told.append(str(test_plans.trained("auto", convolutions, digits, epochs=1)[1]))
print("\\n" + json.dumps(told))
"""

SEEDED = """
from pipeline.worker.devices import machine
machine.claim(1, 0)
import json, sys
import keras, numpy
from pipeline.worker.backends.known import current

def drawn():
    current().set_random_seed(5)
    numbers = [keras.random.uniform(()), numpy.random.random(), keras.initializers.RandomUniform()((1,))[0]]
    return numbers + [sys.modules[name].random.uniform(()) for name in ["tensorflow"] if name in sys.modules]

first = drawn() + drawn()
import tensorflow
print("\\n" + json.dumps([float(number) for number in first + drawn() + drawn()]))
"""

LOOKUP = """
from pipeline.worker.devices import machine
machine.claim(1, 0)
import json, sys, tempfile
import keras
from pipeline.worker.backends.known import current
current().set_random_seed(5)
keras.utils.set_random_seed(5)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/model.keras")
    keras.saving.load_model(f"{folder}/model.keras")
imported = "tensorflow" in sys.modules
size = keras.layers.StringLookup(vocabulary=["a", "b"]).vocabulary_size()
print("\\n" + json.dumps([imported, size, "tensorflow" in sys.modules]))
"""

COMPILED = """
from pipeline.worker.devices import machine
machine.claim(1, 0)
import json
import jax
from pipeline.objective import Objective
from pipeline.worker.spaces import reveal
from pipeline.search_spaces import mlp
from tests.worker.stage import dataset
compiled = []
def listen(event, *_, fun_name="", **__):
    if event.endswith("backend_compile_duration"):
        compiled.append(fun_name)
jax.monitoring.register_event_duration_secs_listener(listen)
digits, space = dataset("digits"), reveal.SearchSpace("mlp", mlp.build, None)
reveal.check_default(space, digits, Objective("val_loss", "min"))
checked, compiled = compiled, []
reveal.trace(space, digits, {"units_0": 40, "units_1": 48}, "default")
print("\\n" + json.dumps([checked, compiled]))
"""


def on(backend, code, *arguments):
    """What `code` prints as JSON, last, in a process with this backend of Keras."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax")])
def test_a_loop_of_jax_has_the_results_of_plain_fit(backend):
    *told, eager, convolutions = on(backend, PLANS)
    plans = {plan: chosen for plan, chosen, _, _ in told}
    assert plans["plain"] == "plain: asked for"
    assert plans["compiled"] == "compiled: asked for"
    assert plans["looped"] == "compiled: JAX has no other loop"
    assert plans["auto"].startswith("compiled: ")
    expected = told[0][3]
    for _, _, updates, history in told:
        assert updates == 63 and history.keys() == expected.keys()
        for name, values in expected.items():
            assert history[name] == pytest.approx(values, rel=1e-4, abs=1e-4), name
    assert eager == "plain: it is not compiled"
    assert convolutions == "plain: bound by arithmetic, not by the cost of a step"


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax"), installed("torch")])
def test_a_trial_with_dropout_and_batch_normalisation_goes_on_with_the_same_curve(
    backend, tmp_path
):
    undisturbed, other = on(backend, TRIAL, tmp_path)
    assert [point["epoch"] for point in undisturbed] == [1, 2, 3]
    assert len({point["loss"] for point in undisturbed}) == 3
    for point, expected in zip(other, undisturbed, strict=True):
        assert point == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax"), installed("torch")])
def test_a_seed_decides_every_random_number_and_tensorflows_once_it_is_imported(backend):
    numbers = on(backend, SEEDED)
    one, tensorflows = numbers[:3], numbers[9]
    assert numbers == one + one + [*one, tensorflows] + [*one, tensorflows]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_seeding_and_saving_import_no_tensorflow_and_a_layer_that_needs_it_has_it():
    assert on("jax", LOOKUP) == [False, 3, True]


@pytest.mark.slow
@pytest.mark.parametrize("backend", [installed("jax")])
def test_jax_compiles_one_step_to_check_a_search_space_and_draws_no_weights_to_follow_it(backend):
    checked, followed = on(backend, COMPILED)
    # One by one, the operations of a step would be some 130 more; each shape that weights are drawn
    # in is one.
    assert len(checked) < 40 and "jit(train_step)" in checked and "jit(_uniform)" in checked
    assert "jit(_uniform)" not in followed
