"""Imports of many modules: the collector rests meanwhile, and what is seldom used comes later."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.imports import quick_imports

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_inside_and_is_as_it_was_afterwards(enabled):
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ImportError), quick_imports():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()


USED = """
import sys
from pipeline.engine.imports import import_keras

import_keras()
import keras, tensorflow
assert not {"sklearn", "tensorflow.lite.python.lite", "jax"} & set(sys.modules)
keras.utils.clear_session(free_memory=True)  # asks for names of TensorFlow's earlier versions
assert not {"tensorflow.lite.python.lite", "jax"} & set(sys.modules)
assert keras.callbacks.OrbaxCheckpoint.__module__ == "keras.src.callbacks.orbax_checkpoint"
assert tensorflow.lite.TFLiteConverter and tensorflow.compat.v1.compat.v1.lite.TFLiteConverter
from keras.wrappers import SKLearnClassifier
assert SKLearnClassifier is keras.src.wrappers.sklearn_wrapper.SKLearnClassifier
print(type(SKLearnClassifier).__name__, "sklearn" in sys.modules)
import jax
assert jax.numpy.ones(2).sum() == 2
"""


def test_what_is_seldom_used_is_imported_when_it_is_used():
    done = subprocess.run(
        [sys.executable, "-c", USED],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["type", "True"], done.stderr
