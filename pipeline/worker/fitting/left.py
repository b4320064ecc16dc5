"""What a `fit` of ours leaves on a model, for the next one of the same model."""

from dataclasses import dataclass
from typing import Any

from pipeline.worker.backends.backend import TrainFunction
from pipeline.worker.fused.likeness import Likeness

ATTRIBUTE = "_kerasweep"


@dataclass(frozen=True)
class Loop:
    """A train function as it was traced; None where none was."""

    key: tuple[Any, ...]
    compiling: Any
    train_function: TrainFunction | None


@dataclass
class Left:
    """All that is left on one model."""

    steps_per_call: int | None = None  # that we set; another number is the user's choice
    loop: Loop | None = None
    uncompilable: Any = None  # the compiling that XLA failed at
    alike: tuple[Any, Likeness] | None = None  # what it was, and the compiling that that is of


def left_on(model: Any) -> Left:
    """What is left on a model, to be looked at or changed."""
    if ATTRIBUTE not in vars(model):
        object.__setattr__(model, ATTRIBUTE, Left())  # not by setattr: Keras would track it
    found: Left = vars(model)[ATTRIBUTE]
    return found


def compiling_of(model: Any) -> Any:
    """What a model was compiled with: another object whenever `compile` was called."""
    return getattr(model, "_compile_config", None)
