"""`keras_tuner.engine.hyperparameters`."""

from pipeline.space.configs import from_config as deserialize
from pipeline.space.configs import to_config as serialize
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Boolean, Choice, Fixed, Float, Int
from pipeline.space.specs import Hyperparameter as HyperParameter

__all__ = [
    "Boolean",
    "Choice",
    "Fixed",
    "Float",
    "HyperParameter",
    "HyperParameters",
    "Int",
    "deserialize",
    "serialize",
]
