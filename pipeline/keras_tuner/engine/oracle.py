"""`keras_tuner.engine.oracle`."""

from typing import Any

from pipeline.keras_tuner.arguments import not_offered
from pipeline.objective import Objective

__all__ = ["Objective"]


def __getattr__(name: str) -> Any:
    not_offered(name)
    raise AttributeError(name)
