"""`keras_tuner.engine.hypermodel`."""

from pipeline.keras_tuner.hypermodel import HyperModel

__all__ = ["HyperModel"]
