"""KerasTuner's tuners on our engine.

`from pipeline import keras_tuner as kt` in place of `import keras_tuner as kt`.

A script written for KerasTuner (1.4.8) runs as it stands, its trials side by side on Ray. What is
not offered raises, and so does an argument that is not honoured; none is dropped silently.
"""

from importlib import import_module
from typing import Any

from pipeline.errors import unknown
from pipeline.keras_tuner import engine, errors, oracles, tuners
from pipeline.keras_tuner.arguments import not_offered
from pipeline.keras_tuner.hypermodel import HyperModel
from pipeline.keras_tuner.sklearn_tuner import SklearnTuner
from pipeline.keras_tuner.tuners import (
    BayesianOptimization,
    GridSearch,
    Hyperband,
    RandomSearch,
    Tuner,
)
from pipeline.objective import Objective
from pipeline.space.hyperparameters import HyperParameters

__all__ = [
    "BayesianOptimization",
    "GridSearch",
    "HyperModel",
    "HyperParameters",
    "Hyperband",
    "Objective",
    "RandomSearch",
    "SklearnTuner",
    "Tuner",
    "engine",
    "errors",
    "oracles",
    "tuners",
]


__version__ = "1.4.8"  # KerasTuner's, whose scripts run here


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    not_offered(name)
    if name == "applications":  # it imports KerasTuner, and Keras with it
        try:
            return import_module("pipeline.keras_tuner.applications")
        except ImportError as error:
            raise AttributeError(str(error)) from None
    raise AttributeError(unknown("part of KerasTuner here", name, __all__))
