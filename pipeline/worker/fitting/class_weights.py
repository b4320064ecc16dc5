"""The weights of classes that `fit` is called with, where each class is to count alike."""

from typing import Any

import numpy as np

from pipeline.data.arrays import labels_of
from pipeline.data.dataset import Dataset
from pipeline.data.fit_data import Data
from pipeline.errors import RequestError


def class_weights(asked: str | None, data: Data) -> dict[str, Any]:
    """What `fit` is called with beside the data: nothing, or `class_weight` by label.

    Args:
        asked: "balanced", as scikit-learn has it: examples / (classes * examples of the class), of
            the training split; None where each example counts alike.
        data: what it is trained on. Validation is not weighted.

    Raises:
        RequestError: there are no classes.
    """
    if asked is None:
        return {}
    if not isinstance(data, Dataset):
        raise RequestError(
            "class_weight='balanced' needs a dataset with its task; arrays that fit is given as "
            "they are take fit's own class_weight={label: weight}."
        )
    if data.task == "regression":
        raise RequestError(
            f"class_weight must be of classes; dataset {data.name!r} is a regression."
        )
    met, counts = np.unique(labels_of(data.y_train), return_counts=True)
    weights = counts.sum() / (len(met) * counts)
    pairs = zip(met.tolist(), weights.tolist(), strict=True)
    return {"class_weight": dict(pairs)}
