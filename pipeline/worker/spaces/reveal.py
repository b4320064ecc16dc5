"""Follows `build` under any proposal, on the CPU.

What a search space asks for, before anything is trained.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from pipeline.data.fit_data import Data
from pipeline.errors import RequestError, UserCodeError, user_traceback
from pipeline.objective import Objective
from pipeline.space.configuration import Fill
from pipeline.space.hyperparameters import HyperParameters, Requested, filling
from pipeline.space.specs import Condition, Hyperparameter, Identity, Value
from pipeline.worker.backends.known import current
from pipeline.worker.faults import classify
from pipeline.worker.fitting.call import FitCall
from pipeline.worker.fitting.class_weights import class_weights
from pipeline.worker.fitting.fit import planned_fit
from pipeline.worker.fitting.order import Order
from pipeline.worker.fitting.plans import fused_with, long_steps
from pipeline.worker.fitting.reporter import Reporter
from pipeline.worker.fused.likeness import NotAlike
from pipeline.worker.scoring.at_epochs import ScoresOfEpoch, add_scores, check_defined
from pipeline.worker.session import Checked, Job, SearchSpace
from pipeline.worker.spaces.blank import blank_weights
from pipeline.worker.spaces.scale import unscaled
from pipeline.worker.training.returned import as_metrics, numbers, several_values
from pipeline.worker.training.trial import (
    build,
    has_own,
    hyperparameters,
    plain_fit,
    with_weights,
)

MORE = 512  # examples for a `fit` that cannot do with a few
OURS = (Reporter, Order, ScoresOfEpoch)  # callbacks
MOST_PRINTED = 4_000  # characters of what `build` prints


def check_default(
    space: SearchSpace, data: Data, objective: Objective, class_weight: str | None = None
) -> Checked:
    """Build the default model and carry out its `fit` for one epoch of a few examples.

    No callback of the user's is called: it may write files, and count epochs.

    Raises:
        UserCodeError: building or training raises; with the user's traceback.
        RequestError: it is no compiled model, `fit` does not train it, or does not report the
            objective.
    """
    check_defined(objective, data)
    reporter, weighting = _Logs(), class_weights(class_weight, data)
    try:
        return _tried(space, data, data.sample(), weighting, objective, reporter)
    except UserCodeError:
        if not reporter.reached:
            raise
        # It may need more than these: to split them by label, to fill a batch of a fixed size.
        whole = max(1, MORE // reporter.batch_size) * reporter.batch_size
    return _tried(space, data, data.sample(whole), weighting, objective, _Logs())


def _tried(
    space: SearchSpace,
    data: Data,
    few: Data,
    weighting: Mapping[str, Any],
    objective: Objective,
    reporter: "_Logs",
) -> Checked:
    hp = HyperParameters()
    by_build = 0
    printed = io.StringIO()
    add_scores(reporter, objective, few)
    try:
        with contextlib.redirect_stdout(printed):
            model = build(space, hp, data)
        by_build = len(hp.requested)
        if has_own(model, "train_step"):  # which would make the weights that later are put back
            with_weights(model, few)
        eagerly = model.run_eagerly
        if current().checks_eagerly:  # nothing is compiled for a few examples
            model.run_eagerly = True
        fit = space.fit or plain_fit
        arguments, named = few.fit_arguments()
        named |= weighting
        reporter.reached = True
        with _callbacks_left_out(reporter), planned_fit(model, 0, reporter, verbose=0):
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
        # a `fit` of one's own that takes data under other names may train a model of its own
        apart = _why_apart(model, reporter, eagerly)
        unknown = not model.built and not arguments and named.get("x") is None
        weights = 0 if unknown else int(with_weights(model, few).count_params())
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
    warnings = [*hp.warnings, *objective.doubts(logs), *unscaled(model, data)]
    if np.size(logs.get(objective.name, 0)) > 1:
        raise several_values(objective.name, logs[objective.name])
    missing = objective.name not in logs and objective.name not in numbers(logs)
    if missing and reporter.own_left_out:
        warnings.append(
            f"whether {objective.name} is reported will be seen in the first trial: a callback may "
            "report it, and none is called before"
        )
    elif missing:
        possible = sorted(logs, key=lambda name: (not name.startswith("val_"), name))
        raise RequestError(
            f"The objective must be among what {space.name!r} reports; got {objective.name!r}. "
            f"Possible: {', '.join(possible)}.{_unvalidated(objective.name, logs)}"
        )
    said = printed.getvalue()[:MOST_PRINTED]
    return Checked(hp.requested, by_build, weights, tuple(warnings), said, apart)


def _why_apart(model: Any, reporter: "_Logs", eagerly: bool) -> str:
    """Why the default model would not be trained together with others; "" where it would be."""
    if not reporter.on_arrays:
        return "it is not trained on shuffled arrays alone"
    model.run_eagerly = eagerly
    try:
        fused_with(model, "auto", reporter.batch_size, [], (), current())
    except NotAlike as reason:
        return str(reason)
    # Trials that would gain little by one trace had better have a process each.
    return "" if current().on_gpu() else long_steps(model, reporter.batch_size)


def _unvalidated(objective: str, logs: Mapping[str, Any]) -> str:
    validated = any(name.startswith("val_") for name in logs)
    if validated or not objective.startswith("val_"):
        return ""
    return " Nothing was validated: give validation_data or validation_split."


class _Logs(Reporter):
    """Keeps what an epoch reports."""

    logs: dict[str, Any] | None = None
    reached = False  # whether the model was built, and is to be trained
    own_left_out = False  # whether a callback that was left out may report metrics of its own

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs = {**(self.logs or {}), **(logs or {})}


@contextlib.contextmanager
def _callbacks_left_out(reporter: _Logs) -> Iterator[None]:
    """Have every model's `fit` call no callback but ours, those of other models' too."""
    plain = keras.Model.fit

    def fit(model: Any, *args: Any, **kwargs: Any) -> Any:
        call = FitCall.of(args, kwargs)
        ours = [c for c in call.callbacks if isinstance(c, OURS)]
        others = [c for c in call.callbacks if not isinstance(c, OURS)]
        reporter.own_left_out |= any(map(_may_report, others))
        return plain(model, **call.changed(callbacks=ours).arguments)

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = plain


def _may_report(callback: Any) -> bool:
    """Whether a callback may put a metric into the logs: of Keras's own only those of functions."""
    own = not type(callback).__module__.startswith(("keras.src.", "tensorboard."))
    return own or isinstance(callback, keras.callbacks.LambdaCallback)


def met(space: SearchSpace, data: Data) -> list[Hyperparameter]:
    """What the default model requests, and what its conditional scopes hold for other values.

    As in KerasTuner, models are built until each scope was entered with its conditions held.
    """
    found: dict[Identity, Hyperparameter] = {}
    held: set[tuple[Condition, ...]] = set()
    proposals: list[dict[str, Value]] = [{}]
    for proposal in proposals:  # it grows
        hp = HyperParameters(proposal)
        try:
            space.build(hp, data)
        except Exception:
            if not proposal:
                raise  # a model that no one may ever ask for may be one that cannot be built
        found |= {spec.identity: spec for spec in hp.space if spec.identity not in found}
        held |= {scope for scope, holds in hp.scopes.items() if holds}
        for scope in hp.scopes.keys() - held:
            activating = {parent: values[0] for parent, values in scope}
            if activating not in proposals:
                proposals.append(activating)
    return list(found.values())


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
