"""Follows `build` under any proposal, on the CPU.

What a search space asks for, before anything is trained.
"""

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
from pipeline.worker.training.metrics import as_metrics
from pipeline.worker.training.trial import build, hyperparameters, plain_fit, with_weights

MORE = 512  # examples for a `fit` that cannot do with a few


def check_default(space: SearchSpace, data: Data, objective: Objective) -> Checked:
    """Build the default model and carry out its `fit` for one epoch of a few examples.

    Raises:
        UserCodeError: building or training raises; with the user's traceback.
        RequestError: it is no compiled model, `fit` does not train it, or does not report the
            objective.
    """
    try:
        return _tried(space, data, data.sample(), objective)
    except UserCodeError:
        # A `fit` of one's own may need more than these: to split them by label, to fill a batch.
        if space.fit is None:
            raise
    return _tried(space, data, data.sample(MORE), objective)


def _tried(space: SearchSpace, data: Data, few: Data, objective: Objective) -> Checked:
    hp = HyperParameters()
    reporter = _Logs()
    by_build = 0
    try:
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
            return Checked(hp.requested, by_build or len(hp.requested), 0, (*hp.warnings, line))
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
    if objective.name not in logs:
        possible = sorted(logs, key=lambda name: (not name.startswith("val_"), name))
        raise RequestError(
            f"The objective must be among what {space.name!r} reports; got {objective.name!r}. "
            f"Possible: {', '.join(possible)}."
        )
    return Checked(hp.requested, by_build, weights, tuple(hp.warnings))


class _Logs(Reporter):
    """Keeps what an epoch reports."""

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
