"""Whole searches over `tf.data.Dataset`s, held against Keras's own `fit`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import installed
from tests.keras_tuner import searching_pipelines as searching

pytestmark = [pytest.mark.slow, pytest.mark.ray]
ROOT = Path(__file__).parents[2]


def assert_is_what_keras_trains(told):
    # float32 sums in another order where there are other threads
    assert len(told["recorded"]) == searching.EPOCHS
    for ours, keras in zip(told["recorded"], told["plain"], strict=True):
        assert ours == pytest.approx(keras, rel=1e-5)
    assert told["measured"] == pytest.approx(
        [told["recorded"][-1][name] for name in ("val_loss", "val_accuracy")], rel=1e-5
    )
    (warned,) = told["warned"]
    assert warned.startswith("x of validation_data is read once, since it calls Python code: each")


def test_a_search_trains_what_keras_does_and_says_what_it_is_trained_on(ray_cluster, tmp_path):
    tuner, warned = searching.searched(tmp_path)
    told = {name: getattr(searching, name)(tuner) for name in ("recorded", "plain", "measured")}
    assert_is_what_keras_trains(told | {"warned": warned})
    held = yaml.safe_load(Path(tuner.project_dir, "experiment.yaml").read_text())["dataset"]
    assert held["inputs"] == {"shape": [8, 8], "dtype": "float32"}
    # the same script again goes on, which is nothing more to do
    before = Path(tuner.project_dir, "history.jsonl").read_bytes()
    again, _ = searching.searched(tmp_path)
    assert Path(again.project_dir, "history.jsonl").read_bytes() == before


@pytest.mark.parametrize("backend", [installed("jax")])
def test_another_backend_trains_on_pipelines_too(backend, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "tests.keras_tuner.searching_pipelines", tmp_path],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert_is_what_keras_trains(json.loads(ended.stdout.splitlines()[-1]))
