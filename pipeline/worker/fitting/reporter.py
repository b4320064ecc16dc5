"""The callback of ours in a `fit`, as the `fit` knows it."""

from collections.abc import Sequence
from typing import Any

import keras

from pipeline.worker.fitting.plans import FitPlan


class Reporter(keras.callbacks.Callback):
    """A callback that knows the `others` of the `fit` it is in."""

    others: list[Any]
    first: Sequence[Any] = ()  # callbacks of ours that are called before the others
    validation: Any = None  # what the last `model.fit` is validated on
    trial = ""  # whose report it is, and of which repeat
    repeat = 0
    calls = 0  # of `model.fit` so far
    # of the last `model.fit`, as the user has it: examples a step, and a batch of its validation;
    # why its scores say nothing of the split that the trial was given
    batch_size = 32
    evaluated_in = 32
    incomparable = ""
    fit_plan: FitPlan | None = None  # how the last epoch was carried out
    gpu_plan = ""  # what "auto" is on a GPU, where that was measured
    on_arrays = False  # whether the last `model.fit` was, in an order of ours
    alike: Any = None  # the trial's data, if each epoch of it is known to be the same
    within_own = False  # whether `model.fit` is called by a `fit` of the user's own
    waited_s = 0.0  # for other trainings, in the epoch that is trained
    # whether the data of the last `model.fit` is in each epoch what follows from its number
    follows = True

    def stage(self) -> int | None:
        """How many epochs are trained between two at which the trial may be stopped.

        None for those of the `fit`.

        Of the stage that the next epoch is in, wherever in it training begins: a trial that goes on
        after a restart computes as it would have.
        """
        return None

    def before_epoch(self, epoch: int) -> None:
        """Called before any `on_epoch_begin`, after every `on_train_begin`."""
