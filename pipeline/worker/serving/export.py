"""The best model in the formats of other runtimes, held against the original on the same rows."""

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.errors import RequestError, one_line


@dataclass(frozen=True)
class Format:
    """How a model is exported.

    `called` is Keras's own name of it, `file` what it is called beside the model, `needs` the
    packages that it takes beside TensorFlow, `extra` what installs them; `run` predicts with the
    format's own runtime, or is None where that is not installed.
    """

    called: str
    file: str
    needs: tuple[str, ...]
    extra: str
    runtime: str
    run: Callable[[Path, Array], Array]


def _run_saved_model(path: Path, inputs: Array) -> Array:
    from pipeline.worker.backends.exported import run_saved_model

    return run_saved_model(path, inputs)


def _run_litert(path: Path, inputs: Array) -> Array:
    from pipeline.worker.backends.exported import run_litert

    return run_litert(path, inputs)


def _run_onnx(path: Path, inputs: Array) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: inputs})[0])


FORMATS = {
    "saved_model": Format("tf_saved_model", "saved_model", (), "", "tensorflow", _run_saved_model),
    "onnx": Format("onnx", "model.onnx", ("onnx", "tf2onnx"), "onnx", "onnxruntime", _run_onnx),
    "litert": Format("litert", "model.tflite", (), "", "tensorflow", _run_litert),
}


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


def export(model: Any, name: str, path: Path) -> None:
    """Write a Keras model in a format; whole or not at all, in the place of an earlier one.

    Args:
        model: on the TensorFlow backend.
        name: of the format.
        path: a file, or of a saved_model a folder.

    Raises:
        RequestError: see `check_format`; or Keras cannot write this model so.
    """
    asked = check_format(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    model(np.zeros((1, *model.input_shape[1:]), model.inputs[0].dtype))  # else ONNX's is refused
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
        warnings.simplefilter("ignore")  # of how Keras uses other packages
        temporary = Path(folder) / asked.file
        try:
            model.export(str(temporary), format=asked.called, verbose=False)
        except Exception as error:
            said = one_line(str(error).strip().splitlines()[-1] if str(error).strip() else "")
            raise RequestError(
                f"Keras could not export this model as {name}: {type(error).__name__}: {said}"
            ) from error
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)


def largest_difference(model: Any, name: str, path: Path, inputs: Array) -> float | None:
    """Between what the model and its exported form make of the same inputs, by its own runtime.

    None where the runtime is not installed.
    """
    asked = FORMATS[name]
    if find_spec(asked.runtime) is None:
        return None
    expected = np.asarray(model(inputs, training=False))
    return float(np.max(abs(asked.run(path, inputs) - expected)))
