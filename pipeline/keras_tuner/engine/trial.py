"""`keras_tuner.engine.trial`."""

from pipeline.keras_tuner.oracle import Trial, TrialStatus

__all__ = ["Trial", "TrialStatus"]
