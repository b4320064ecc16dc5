"""`keras_tuner.engine.metrics_tracking`."""

from pipeline.objective import known_direction as infer_metric_direction

__all__ = ["infer_metric_direction"]
