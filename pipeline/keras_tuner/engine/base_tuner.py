"""`keras_tuner.engine.base_tuner`: a tuner whose `run_trial` is all its own."""

from pipeline.keras_tuner.tuners import Tuner as BaseTuner

__all__ = ["BaseTuner"]
