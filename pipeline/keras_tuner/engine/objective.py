"""`keras_tuner.engine.objective`."""

from pipeline.objective import MultiObjective, Objective

__all__ = ["MultiObjective", "Objective"]
