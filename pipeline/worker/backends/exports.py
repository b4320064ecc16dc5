"""Formats that TensorFlow exports a model in, whatever backend trained it, and what runs them."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pipeline.data.arrays import Array
from pipeline.errors import RequestError


@dataclass(frozen=True)
class Format:
    """How a model is exported.

    `called` is Keras's own name of it, `file` what it is called beside the model, `needs` the
    packages that it takes beside TensorFlow, `extra` what installs them; `run` predicts with the
    format's own `runtime`.
    """

    called: str
    file: str
    needs: tuple[str, ...]
    extra: str
    runtime: str
    run: Callable[[Path, Array], Array]


def _run_saved_model(path: Path, inputs: Array) -> Array:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # held: its variables go with it
    return np.asarray(loaded.serve(tf.constant(inputs)))


def _run_litert(path: Path, inputs: Array) -> Array:
    import tensorflow as tf

    with warnings.catch_warnings():  # of a package that is to take its place
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_path=str(path))
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, inputs.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, inputs)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def _run_onnx(path: Path, inputs: Array) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: inputs})[0])


FORMATS = {
    "saved_model": Format("tf_saved_model", "saved_model", (), "", "tensorflow", _run_saved_model),
    "onnx": Format("onnx", "model.onnx", ("onnx", "tf2onnx"), "onnx", "onnxruntime", _run_onnx),
    "litert": Format("litert", "model.tflite", (), "", "tensorflow", _run_litert),
}


def export_here() -> None:
    """Have this process export models; before Keras is imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def check_format(name: str) -> Format:
    """The format of a name, if what it takes is here.

    Raises:
        RequestError: there is no such format, a package is missing, or Keras is on another backend
            than TensorFlow.
    """
    if name not in FORMATS:
        raise RequestError(f"format must be one of {', '.join(FORMATS)}; got {name!r}.")
    asked = FORMATS[name]
    missing = [package for package in asked.needs if find_spec(package) is None]
    if missing:
        raise RequestError(
            f"The format {name} takes {' and '.join(missing)}: "
            f"pip install 'kerasweep[{asked.extra}]'."
        )
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if "keras" in sys.modules and sys.modules["keras"].backend.backend() != "tensorflow":
        raise RequestError(
            "A model is exported by TensorFlow, whatever backend trained it; this process has "
            f"{backend}. Set KERAS_BACKEND=tensorflow."
        )
    return asked
