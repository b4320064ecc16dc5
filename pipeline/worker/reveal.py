"""Follows `build` under any proposal, on the CPU: what a search space asks for, before anything is trained."""

from collections.abc import Mapping

import keras
import numpy as np

from pipeline.data import Dataset
from pipeline.errors import RequestError, UserCodeError
from pipeline.objective import Objective
from pipeline.search.searcher import Fill
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
        # The smallest and the largest label, where there are labels: an output too narrow shows at the largest.
        rows = [int(data.y_train.argmin()), int(data.y_train.argmax())] if data.y_train.ndim == 1 else [0, 1]
        logs = model.train_on_batch(data.x_train[rows], data.y_train[rows], return_dict=True)
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


def trace(space: SearchSpace, data: Dataset, proposal: Mapping[str, Value], fill: Fill) -> Requested:
    """What `build` requests, in order, under a proposal; `fill` settles what that leaves open.

    A `build` that raises has requested what it asked for until then: a trial will show that this cannot be built.
    """
    rng = np.random.default_rng(fill if isinstance(fill, int) else None)

    def draw(spec: Hyperparameter) -> Value:
        if fill == "default":
            return spec.default
        return spec.grid()[0] if fill == "first" else spec.random(rng)

    hp = HyperParameters(proposal, draw)
    try:
        space.build(hp, data)
    except Exception:
        pass
    finally:
        keras.utils.clear_session(free_memory=False)
    return hp.requested
