"""A trial on another backend than TensorFlow keeps its promises."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TRIAL = """
import json, sys
from pathlib import Path
from pipeline.worker import devices
claimed = devices.claim(1, 0)
import keras
from tests.worker.stage import curve, dataset, digits_model, interrupted, job, run, space
assert keras.backend.backend() == claimed["backend"] == "jax", claimed
assert "tensorflow" not in sys.modules
folder, digits = Path(sys.argv[1]), dataset("digits")
compiled = space(lambda hp, data: digits_model(eager=False))
undisturbed, ending = run(job(folder / "one", max_epochs=2), compiled, digits)
assert ending.failure is None, ending.failure
other = interrupted(job(folder / "other", max_epochs=2), compiled, digits)
print("\\n" + json.dumps([curve(undisturbed.epochs), curve(other)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed: pip install '.[jax]'")
def test_a_trial_on_jax_goes_on_with_the_same_curve(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, str(tmp_path)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    undisturbed, other = json.loads(done.stdout.splitlines()[-1])
    assert [point["epoch"] for point in undisturbed] == [1, 2]
    assert undisturbed[0]["loss"] != undisturbed[1]["loss"]
    for point, expected in zip(other, undisturbed, strict=True):
        assert point == pytest.approx(expected, rel=1e-6)
