"""The loop over the epochs of a training whose epochs are carried out together with others'.

It does what Keras's `fit` does on JAX (3.15), with the same calls of callbacks, but for batches:
these are called once an epoch, as if it were one batch.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from pipeline.worker.backends.together.members import Examples, variables_of
from pipeline.worker.fused.company import Company, Done, Request
from pipeline.worker.fused.likeness import Likeness


def fit(
    model: Any,
    likeness: Likeness,
    company: Company,
    *,
    examples: Callable[[], Examples],
    validation: Examples | None,
    validates: Callable[[int], bool],
    callbacks: list[Any],
    initial_epoch: int,
    epochs: int,
    steps: int,
    verbose: Any,
    within_own: bool,
    told: Callable[[Done, float], None],
) -> Any:
    """Train a model that is built and compiled.

    Args:
        model: the model.
        likeness: what it is.
        company: whom its epochs are carried out with.
        examples: those of the epoch that has begun, in its order.
        validation: those of validation; None where there is none.
        validates: whether there is validation after an epoch, counted from 0.
        callbacks: are called as by Keras.
        initial_epoch: the first, counted from 0.
        epochs: the one after the last.
        steps: of an epoch.
        verbose: as Keras's `fit` has it.
        within_own: whether a `fit` of the user's own calls this.
        told: is told what came of each epoch, and how many seconds it waited for the others.

    Returns:
        Keras's history of it.
    """
    called = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=model,
    )
    # Code of the user's may draw random numbers, and change which variables are trained.
    users = any(not _is_kerass_or_ours(type(callback)) for callback in callbacks)
    batches = any(
        getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook)
        for callback in called.callbacks
        for hook in _OF_BATCHES
    )
    variables = variables_of(model)
    in_place = False  # whether the program has the variables themselves, from its trace on
    model.stop_training = False
    logs: dict[str, Any] = {}
    finished = False
    called.on_train_begin()
    try:
        # BackupAndRestore sets the first one anew.
        for epoch in range(model._initial_epoch or initial_epoch, epochs):
            called.on_epoch_begin(epoch)
            given = examples()
            # made anew, as the others are: what is in them is looked at once an epoch
            held = replace(validation) if validation is not None and validates(epoch) else None
            if batches:
                called.on_train_batch_begin(0)
            if users and not in_place:
                variables = variables_of(model)
            state = tuple([variable.value for variable in each] for each in variables)
            start = time.monotonic()
            done = company.carry_out(
                Request(model, likeness, state, given, held, users or within_own)
            )
            told(done, time.monotonic() - start - done.seconds)
            came = done.epoch
            in_place = came.state is None
            if not in_place:
                _put_back(variables, came.state)
            if batches:
                called.on_train_batch_end(steps - 1, came.logs)
            logs = dict(came.logs)
            if held is not None:
                called.on_test_begin()
                called.on_test_end(came.validation_logs)
                logs |= {f"val_{name}": value for name, value in came.validation_logs.items()}
            called.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        finished = True
    finally:
        if epochs > 0:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        if finished:
            called.on_train_end(logs)
    return model.history


_OF_BATCHES = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


def _is_kerass_or_ours(callback: type) -> bool:
    return callback.__module__.startswith(("keras.", "pipeline."))


def _put_back(variables: tuple[list[Any], ...], state: Any) -> None:
    """Give the variables their values.

    They are of the variables' own shapes and types, so that what Keras's `assign` sees to is not
    needed: it takes longer than a small model's epoch.
    """
    for each, values in zip(variables, state, strict=True):
        for variable, value in zip(each, values, strict=True):
            variable._direct_assign(value)
