"""Follows `build` under any proposal, on the CPU: what a search space asks for, before anything is trained."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from pipeline.data import Dataset
from pipeline.errors import RequestError, UserCodeError
from pipeline.objective import Objective
from pipeline.space.hyperparameters import HyperParameters, Requested
from pipeline.space.specs import Hyperparameter, Value
from pipeline.worker.faults import user_traceback
from pipeline.worker.modules import SearchSpace
from pipeline.worker.trial import build


def check(space: SearchSpace, data: Dataset, objective: Objective) -> tuple[Requested, int]:
    """Build the default model and train it on two examples.

    Returns:
        What the default model requested, and the number of its weights.

    Raises:
        UserCodeError: building or training raises; with the user's traceback.
        RequestError: it is no compiled model, or does not report the objective.
    """
    hp = HyperParameters()
    try:
        model = build(space, hp, data)
        model.run_eagerly = True  # nothing is compiled for two examples
        logs = model.train_on_batch(data.x_train[:2], data.y_train[:2], return_dict=True)
    except RequestError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"Search space {space.name!r} must build and train on dataset {data.name!r}; "
            f"it raised {type(error).__name__}: {error}",
            user_traceback(error),
        ) from error
    if space.fit is None:  # what a `fit` of its own reports is seen after its first epoch
        possible = [prefix + name for prefix in ("val_", "") for name in logs]
        if objective.name not in possible:
            raise RequestError(
                f"The objective must be among what {space.name!r} reports; got {objective.name!r}. "
                f"Possible: {', '.join(possible)}."
            )
    return hp.requested, int(model.count_params())


def trace(space: SearchSpace, data: Dataset, proposal: Mapping[str, Value], seed: int | None) -> Requested:
    """What `build` requests, in order; what the proposal leaves open is drawn with `seed`, or the grid's first.

    A `build` that raises has requested what it asked for until then: a trial will show that this cannot be built.
    """
    rng = np.random.default_rng(seed or 0)

    def draw(spec: Hyperparameter) -> Any:
        return spec.grid()[0] if seed is None else spec.random(rng)

    hp = HyperParameters(proposal, draw)
    try:
        space.build(hp, data)
    except Exception:
        pass
    finally:
        keras.utils.clear_session(free_memory=False)
    return hp.requested
