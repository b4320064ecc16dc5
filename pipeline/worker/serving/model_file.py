"""The file of a saved model."""

import zipfile
from pathlib import Path
from typing import Any

import keras

from pipeline.errors import RequestError, quoted


def load_keras_model(path: Path) -> Any:
    """The saved model; nothing in it is executed that Keras does not know (`safe_mode`).

    Raises:
        RequestError: it is no whole file of Keras's.
    """
    if not zipfile.is_zipfile(path):
        raise RequestError(
            f"A model must be a whole .keras file; {quoted(str(path))} is cut off, or is none."
        )
    return keras.saving.load_model(path, safe_mode=True)
