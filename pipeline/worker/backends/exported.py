"""Models that TensorFlow and LiteRT run without Keras."""

import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.data.arrays import Array


def run_saved_model(path: Path, inputs: Array) -> Array:
    """What a saved model makes of inputs."""
    loaded = tf.saved_model.load(str(path))  # held: its variables go with it
    return np.asarray(loaded.serve(tf.constant(inputs)))


def run_litert(path: Path, inputs: Array) -> Array:
    """What a LiteRT file makes of inputs."""
    with warnings.catch_warnings():  # of a package that is to take its place
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=str(path))
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, inputs.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, inputs)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
