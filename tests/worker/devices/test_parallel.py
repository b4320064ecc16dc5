"""One model on two devices, which here are two of the CPU's: what it comes to is what it comes to
on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.worker.devices.parallel import check_devices
from tests.conftest import installed

ROOT = Path(__file__).parents[3]

# An epoch ends with a batch of 13, validation with one of a single example, or of 13: neither is
# even.
TRIAL = """
import json, sys
from dataclasses import replace
from pathlib import Path
from pipeline.worker.devices import machine
machine.claim(1, 0)
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one, one])
from pipeline.records.layout import Layout
from pipeline.worker.serving.model_file import load_keras_model
from pipeline.worker.training.evaluate import evaluate_best
from tests.worker.stage import curve, dataset, interrupted, job, run, space

def build(hp, data):
    model = plain(hp, data)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

def plain(hp, data):
    layers = [keras.layers.Flatten(), keras.layers.Dense(16, "relu"), keras.layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])

def compiles(hp, model, *args, **kwargs):
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(*args, **kwargs)

folder, digits, family = Path(sys.argv[1]), dataset("digits", 45), space(build)
together = job(folder / "two", max_epochs=3, devices=2, fit_plan="compiled")
told = {}
for name, task in {"one": job(folder / "one", max_epochs=3), "two": together}.items():
    notes, ending = run(task, family, digits)
    assert ending.failure is None, ending.failure
    told[name] = curve(notes.epochs)
    notes, ending = run(replace(task, directory=folder / f"{name}-late"), space(plain, compiles), digits)
    assert ending.failure is None, ending.failure
    told[f"{name} compiled late"] = curve(notes.epochs)
told["plan"] = notes.updates[0].facts.fit_plan
told["interrupted"] = curve(interrupted(job(folder / "again", max_epochs=3, devices=2), family, digits))
layout = Layout(folder / "run")
alone = job(folder / "two", max_epochs=3)
told["validation"] = evaluate_best(alone, family, digits, 3, layout)["validation"]
model = load_keras_model(layout.best_model)
told["saved"] = model.evaluate(digits.x_val, digits.y_val, verbose=0, return_dict=True)
many, ending = run(job(folder / "many", devices=3), family, digits)
told["too few"] = [ending.failure.blames, ending.failure.reason]
after, _ = run(job(folder / "after", max_epochs=3), family, digits)
told["after"] = curve(after.epochs)
print("\\n" + json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", installed("jax")])
def test_two_devices_come_to_what_one_does_whoever_compiles_and_go_on_and_are_measured_on_one(
    backend, tmp_path
):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend, "XLA_FLAGS": flags},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    # Sums are taken in another order, and Adam divides by gradients' sizes: some hundred roundings
    # of 2**-23.
    near = 2e-5
    compared = ("val_loss", "val_accuracy") if backend == "tensorflow" else told["one"][0]
    for one, two, again in zip(told["one"], told["two"], told["interrupted"], strict=True):
        assert {name: two[name] for name in compared} == pytest.approx(
            {name: one[name] for name in compared}, rel=near, abs=near
        )
        assert again == pytest.approx(two, rel=near, abs=near)
    assert told["one compiled late"] == told["one"] and told["two compiled late"] == told["two"]
    assert told["plan"] == "plain: 2 devices share each batch"
    last = told["two"][-1]
    assert told["validation"]["loss"] == pytest.approx(last["val_loss"], rel=near)
    assert told["saved"]["accuracy"] == pytest.approx(last["val_accuracy"], rel=near)
    kind, reason = told["too few"]
    assert (
        kind == "request"
        and f"A trial of 3 GPUs must see as many; {backend} sees cpu:0, cpu:1." in reason
    )
    assert told["after"] == told["one"], "nothing of it is left to the next trial"


def test_a_backend_without_data_parallelism_is_refused():
    for backend in ("tensorflow", "jax"):
        check_devices(backend, 2)
    check_devices("torch", 1)
    with pytest.raises(RequestError) as refused:
        check_devices("torch", 2)
    assert str(refused.value) == (
        "Several GPUs a trial need KERAS_BACKEND=tensorflow or jax, for which Keras has data "
        "parallelism; got torch "
        "and 2 GPUs a trial."
    )
