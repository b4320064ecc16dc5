"""`keras_tuner.engine.tuner`."""

from pipeline.keras_tuner.tuners import Tuner

__all__ = ["Tuner"]
