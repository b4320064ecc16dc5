"""`keras_tuner.engine.trial`."""

from pipeline.keras_tuner.oracle import Trial

__all__ = ["Trial"]
