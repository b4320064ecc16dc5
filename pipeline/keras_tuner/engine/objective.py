"""`keras_tuner.engine.objective`."""

from pipeline.objective import Objective

__all__ = ["Objective"]
