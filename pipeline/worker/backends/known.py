"""Which backends there are, and which one Keras computes with."""

import os

from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.jax import Jax
from pipeline.worker.backends.tensorflow import TensorFlow
from pipeline.worker.backends.torch import Torch

KNOWN: tuple[Backend, ...] = (TensorFlow(), Jax(), Torch())
DEFAULT = KNOWN[0].name  # in a process whose environment names none


def named(name: str) -> Backend:
    """A backend by Keras's name of it; one of Keras's that is not known here is as `Backend` is."""
    return next((backend for backend in KNOWN if backend.name == name), Backend(name))


def asked_for() -> Backend:
    """The backend that Keras will take in this process, by the environment."""
    return named(os.environ.get("KERAS_BACKEND", DEFAULT))


def current() -> Backend:
    """The backend that Keras computes with; imports Keras."""
    import keras

    return named(keras.backend.backend())
