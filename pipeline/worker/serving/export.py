"""The best model in the formats of other runtimes, held against the original on the same inputs."""

import shutil
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.errors import RequestError, one_line
from pipeline.worker.backends.exports import FORMATS, check_format


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


def check_single_input(model: Any) -> None:
    """Refuse what no format of ours takes.

    Raises:
        RequestError: the model has several inputs, or was never built.
    """
    count = len(getattr(model, "inputs", None) or ())
    if count != 1:
        raise RequestError(f"A model must have one input to be exported; this one has {count}.")


def largest_difference(model: Any, name: str, path: Path, inputs: Array) -> float | None:
    """Between what the model and its exported form make of the same inputs, by its own runtime.

    None where the runtime is not installed.
    """
    asked = FORMATS[name]
    if find_spec(asked.runtime) is None:
        return None
    expected = np.asarray(model(inputs, training=False))
    return float(np.max(abs(asked.run(path, inputs) - expected)))
