"""Follows `build` under any proposal, on the CPU.

What a search space asks for, before anything is trained.
"""

import contextlib
import io
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from pipeline.data.fit_data import Data
from pipeline.errors import RequestError, UserCodeError, user_traceback
from pipeline.objective import Objective
from pipeline.space.configuration import Fill
from pipeline.space.hyperparameters import HyperParameters, Requested, filling
from pipeline.space.specs import Hyperparameter, Value
from pipeline.worker.backends.known import current
from pipeline.worker.faults import classify
from pipeline.worker.fitting.fit import Reporter, planned_fit
from pipeline.worker.session import Checked, Job, SearchSpace
from pipeline.worker.spaces.blank import blank_weights
from pipeline.worker.training.metrics import as_metrics, several_values
from pipeline.worker.training.trial import build, hyperparameters, plain_fit, with_weights

MORE = 512  # examples for a `fit` that cannot do with a few
MOST_PRINTED = 4_000  # characters of what `build` prints


def check_default(space: SearchSpace, data: Data, objective: Objective) -> Checked:
    """Build the default model and carry out its `fit` for one epoch of a few examples.

    No callback of the user's is called: it may write files, and count epochs.

    Raises:
        UserCodeError: building or training raises; with the user's traceback.
        RequestError: it is no compiled model, `fit` does not train it, or does not report the
            objective.
    """
    reporter = _Logs()
    try:
        return _tried(space, data, data.sample(), objective, reporter)
    except UserCodeError:
        # It may need more than these: to split them by label, to fill a batch of a fixed size.
        whole = max(1, MORE // reporter.batch_size) * reporter.batch_size
    return _tried(space, data, data.sample(whole), objective, _Logs())


def _tried(
    space: SearchSpace, data: Data, few: Data, objective: Objective, reporter: "_Logs"
) -> Checked:
    hp = HyperParameters()
    by_build = 0
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            model = build(space, hp, data)
        by_build = len(hp.requested)
        if current().checks_eagerly:  # nothing is compiled for a few examples
            model.run_eagerly = True
        fit = space.fit or plain_fit
        arguments, named = few.fit_arguments()
        with planned_fit(model, 0, reporter, verbose=0):
            returned = fit(
                hp,
                model,
                *arguments,
                **named,
                callbacks=[reporter],
                initial_epoch=0,
                epochs=1,
                verbose=0,
            )
        weights = int(with_weights(model, few).count_params())
    except RequestError:
        raise
    except Exception as error:
        failure = classify(error)
        if failure.blames == "configuration":  # others may be trained
            line = f"the default configuration cannot be trained: {failure.reason}"
            asked = by_build or len(hp.requested)
            return Checked(hp.requested, asked, 0, (*hp.warnings, line))
        raise UserCodeError(
            f"Search space {space.name!r} must build and train on dataset {few.name!r}; "
            f"it raised {type(error).__name__}: {error}",
            user_traceback(error),
        ) from error
    logs = (reporter.logs or {}) | as_metrics(returned, objective.name)
    if not logs:
        raise RequestError(
            f"`fit` of search space {space.name!r} must call model.fit and pass its callbacks on, "
            "or return the "
            "objective."
        )
    warnings = [*hp.warnings, *objective.doubts(logs)]
    value = logs.get(objective.name)
    if value is not None and np.size(value) > 1:
        raise several_values(objective.name, value)
    if value is None and not reporter.left_out:  # else a callback may yet report it
        possible = sorted(logs, key=lambda name: (not name.startswith("val_"), name))
        raise RequestError(
            f"The objective must be among what {space.name!r} reports; got {objective.name!r}. "
            f"Possible: {', '.join(possible)}."
        )
    return Checked(
        hp.requested, by_build, weights, tuple(warnings), printed.getvalue()[:MOST_PRINTED]
    )


class _Logs(Reporter):
    """Keeps what an epoch reports."""

    alone = True
    logs: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs = {**(self.logs or {}), **(logs or {})}


def met(space: SearchSpace, data: Data) -> list[Hyperparameter]:
    """What the default model requests, and what its conditional scopes hold for other values."""
    hp = HyperParameters()
    space.build(hp, data)
    return hp.space


def weights(space: SearchSpace, data: Data, job: Job) -> int:
    """How many a trial's model has; 0 where it cannot be built."""
    try:
        return int(
            with_weights(build(space, hyperparameters(job), data), data.sample()).count_params()
        )
    except Exception:  # the trial will show why
        return 0
    finally:
        keras.utils.clear_session(free_memory=False)


def trace(space: SearchSpace, data: Data, proposal: Mapping[str, Value], fill: Fill) -> Requested:
    """What `build` requests, in order, under a proposal; `fill` settles what that leaves open.

    A `build` that raises has requested what it asked for until then: a trial will show that this
    cannot be built.
    """
    requested, whole = _followed(space, data, proposal, fill, blank_weights())
    # A `build` may raise for want of weights.
    return requested if whole else _followed(space, data, proposal, fill, nullcontext())[0]


def _followed(
    space: SearchSpace,
    data: Data,
    proposal: Mapping[str, Value],
    fill: Fill,
    weights: AbstractContextManager[None],
) -> tuple[Requested, bool]:
    """What a build requests, and whether it came to its end."""
    rng = np.random.default_rng(fill if isinstance(fill, int) else None)
    hp = HyperParameters(proposal, filling(fill, lambda spec: spec.random(rng)))
    try:
        with weights:
            space.build(hp, data)
    except Exception:
        return hp.requested, False
    finally:
        keras.utils.clear_session(free_memory=False)
    return hp.requested, True
