"""What a script has set in Keras before it asks for a search holds in every trial of it."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ray import cloudpickle

from pipeline.engine.helper.caller import with_settings
from pipeline.errors import RequestError
from pipeline.worker.spaces.loading import load_search_space
from pipeline.worker.spaces.settings import Settings, registered_objects

FEW = Path(__file__).parents[2] / "spaces" / "few.py"


def cube(z):
    return z**3


class Half(keras.layers.Layer):
    def call(self, z):
        return z / 2


@pytest.fixture
def script():
    """Keras's settings as a script may have made them; as they were, afterwards."""
    before = Settings()
    registered = keras.saving.get_custom_objects()
    of_other_tests = dict(registered)
    registered.clear()
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(1e-5)
    tf.config.run_functions_eagerly(True)
    keras.config.set_image_data_format("channels_first")
    keras.saving.register_keras_serializable("mine")(Half)
    registered["cube"] = cube
    try:
        with keras.saving.custom_object_scope({"square": abs}):
            yield
    finally:
        before.restore()
        registered.clear()
        registered.update(of_other_tests)


def found(folder):
    """What is set where a model is built, and which objects Keras finds there by their names."""
    known = keras.saving.get_registered_object
    (folder / f"{threading.get_native_id()}.json").write_text(
        json.dumps(
            [
                *(keras.config.dtype_policy().name, keras.config.epsilon()),
                *(keras.config.image_data_format(), keras.config.floatx()),
                tf.config.functions_run_eagerly(),
                *(known("cube")(2), known("square")(-2)),
                keras.saving.get_registered_name(known("mine>Half")),
            ]
        )
    )


EXPECTED = ["mixed_bfloat16", 1e-5, "channels_first", "float64", True, 8, 2, "mine>Half"]


@pytest.mark.ray
@pytest.mark.slow
def test_it_holds_in_the_check_in_each_trial_and_where_the_best_model_is_measured(
    script, search, tmp_path
):
    def build(hp):
        found(tmp_path)
        half = keras.layers.deserialize(keras.layers.serialize(Half(name="half")))
        units = hp.Int("units", 2, 8)
        layers = [keras.layers.Flatten(), keras.layers.Dense(units), half, keras.layers.Dense(10)]
        keras.utils.clear_session()  # which makes Keras forget its dtype policy
        model = keras.Sequential([keras.Input((64, 1)), *layers])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        return model

    run = search(search_space=build, dataset=str(FEW), trials=2, scheduler="none", max_epochs=1)

    check = run.summary["check"]
    assert (check["result"], check["unread"], check["tolerance"]) == ("equal", "", 1e-2)
    keras.config.set_dtype_policy("float32")
    with pytest.raises(RequestError, match="it had dtype_policy mixed_bfloat16, and it is float32"):
        search(
            search_space=build,
            dataset=str(FEW),
            trials=3,
            scheduler="none",
            max_epochs=1,
            resume=run.directory,
        )
    notes = [json.loads(note.read_text()) for note in tmp_path.glob("*.json")]
    assert len(notes) >= 2 and notes == [EXPECTED] * len(notes)


def test_an_object_that_cannot_be_sent_is_left_out_with_a_line_that_says_so(script):
    lock = threading.Lock()
    keras.saving.get_custom_objects()["locked"] = lambda z: z if lock else 0
    warnings = []

    def build(hp):
        return sorted(registered_objects())

    sent = with_settings(build, warnings.append)
    keras.saving.get_custom_objects().clear()

    assert load_search_space(sent).build(None, None) == ["cube", "mine>Half", "square"]
    (line,) = warnings
    assert line.startswith("The registered object must be something that can be sent to another")
    assert line.endswith("Trials do not find it as 'locked': make it within build.")


def test_a_function_that_is_registered_and_used_arrives_as_one(script):
    def square(z):
        return z * z

    keras.saving.register_keras_serializable("mine")(square)

    def build(hp):
        return square, keras.saving.get_registered_name(square)

    sent = with_settings(build, pytest.fail)
    keras.saving.get_custom_objects().clear()
    arrived, name = load_search_space(sent).build(None, None)

    assert arrived is not square and name == "mine>square"
    assert keras.saving.get_registered_object("mine>square") is arrived


# A process that has been given a search space, and settles its threads then.
WORKER = """
import pickle, sys
from pipeline.worker.devices import machine
sent = pickle.load(sys.stdin.buffer)
assert not {"keras", "tensorflow"} & set(sys.modules)
machine.claim(1, gpus=0)
from pipeline.worker.spaces.loading import load_search_space
import numpy as np
print(load_search_space(sent).build(None, None)(np.array([[3.0]])).numpy().tolist())
"""


def test_a_layer_that_the_script_made_waits_for_the_processs_devices():
    adapted = keras.layers.Normalization()
    adapted.adapt(np.array([[1.0], [2.0]]))

    def build(hp):
        return keras.Sequential([adapted])

    ended = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=cloudpickle.dumps(with_settings(build, [].append)),
        capture_output=True,
    )
    assert ended.stdout.decode() == "[[3.0]]\n", ended.stderr.decode()
