"""The file of a saved model."""

from pathlib import Path
from typing import Any

import keras


def load_keras_model(path: Path) -> Any:
    """The saved model; nothing in it is executed that Keras does not know (`safe_mode`)."""
    return keras.saving.load_model(path, safe_mode=True)
