"""Follows `build` under any proposal, on the CPU: what a search space asks for, before anything is trained."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from pipeline.data import Dataset
from pipeline.errors import RequestError, UserCodeError
from pipeline.objective import Objective
from pipeline.search.searcher import Fill
from pipeline.space.hyperparameters import HyperParameters, Requested, filling
from pipeline.space.specs import Value
from pipeline.worker.execution import Reporter, execution
from pipeline.worker.faults import user_traceback
from pipeline.worker.modules import SearchSpace
from pipeline.worker.trial import build, plain_fit

# Enough for a batch, and for an epoch that takes no time.
EXAMPLES = 8


def check(space: SearchSpace, data: Dataset, objective: Objective) -> tuple[Requested, int]:
    """Build the default model and carry out its `fit` for one epoch of a few examples.

    Returns:
        What the default model requested, and the number of its weights.

    Raises:
        UserCodeError: building or training raises; with the user's traceback.
        RequestError: it is no compiled model, `fit` does not train it, or does not report the objective.
    """
    hp = HyperParameters()
    reporter = _Logs()
    try:
        model = build(space, hp, data)
        model.run_eagerly = True  # nothing is compiled for a few examples
        train, val = _few(data.y_train), _few(data.y_val)
        fit = space.fit or plain_fit
        with execution(model, 0, reporter):
            fit(
                hp, model, data.x_train[train], data.y_train[train],
                validation_data=(data.x_val[val], data.y_val[val]), callbacks=[reporter],
                initial_epoch=0, epochs=1, verbose=0,
            )  # fmt: skip
    except RequestError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"Search space {space.name!r} must build and train on dataset {data.name!r}; "
            f"it raised {type(error).__name__}: {error}",
            user_traceback(error),
        ) from error
    if reporter.logs is None:
        raise RequestError(f"`fit` of search space {space.name!r} must call model.fit and pass its callbacks on.")
    if objective.name not in reporter.logs:
        possible = sorted(reporter.logs, key=lambda name: (not name.startswith("val_"), name))
        raise RequestError(
            f"The objective must be among what {space.name!r} reports; got {objective.name!r}. "
            f"Possible: {', '.join(possible)}."
        )
    return hp.requested, int(model.count_params())


class _Logs(Reporter):
    """Keeps what an epoch reports."""

    logs: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.logs = {**(self.logs or {}), **(logs or {})}


def _few(labels: Any) -> Any:
    """A few rows, those of the smallest and the largest label among them: an output too narrow shows at the largest."""
    rows = list(range(min(EXAMPLES, len(labels))))
    if labels.ndim == 1:
        rows = list(dict.fromkeys([int(labels.argmin()), int(labels.argmax()), *rows]))[:EXAMPLES]
    return rows


def trace(space: SearchSpace, data: Dataset, proposal: Mapping[str, Value], fill: Fill) -> Requested:
    """What `build` requests, in order, under a proposal; `fill` settles what that leaves open.

    A `build` that raises has requested what it asked for until then: a trial will show that this cannot be built.
    """
    rng = np.random.default_rng(fill if isinstance(fill, int) else None)
    hp = HyperParameters(proposal, filling(fill, lambda spec: spec.random(rng)))
    try:
        space.build(hp, data)
    except Exception:
        pass
    finally:
        keras.utils.clear_session(free_memory=False)
    return hp.requested
