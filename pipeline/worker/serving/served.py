"""A saved model that takes things as they are and answers in the user's words."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.errors import RequestError, one_line, quoted
from pipeline.worker.scoring.outputs import Unclear, said
from pipeline.worker.serving.inputs import WAYS, Inputs
from pipeline.worker.serving.model_file import load_keras_model


class ServedModel:
    """A saved model, and what makes its inputs.

    Example:
        >>> model = pipeline.load_model("runs/churn/best")
        >>> model.predict("new_customers.csv")

    Args:
        model: the Keras model.
        preprocessing: what `best/preprocessing.json` holds.
        called: what messages call the model.
    """

    def __init__(self, model: Any, preprocessing: Mapping[str, Any], called: str) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self._called = called
        self._task = preprocessing["task"]
        names = preprocessing["class_names"]
        self._class_names = None if names is None else list(map(str, names))
        self._inputs: Inputs = WAYS[preprocessing["kind"]](preprocessing, called)

    @property
    def class_names(self) -> list[str] | None:
        """The classes in the order of the model's labels; None of a regression."""
        return self._class_names

    def inputs(self, given: Any) -> Array:
        """The model's inputs, made of what `predict` takes."""
        return self._inputs(given)[0]

    def made_up_inputs(self, count: int) -> Array:
        """So many inputs that mean nothing, and that the model takes; the same each time."""
        return self._inputs.made_up(count, np.random.default_rng(0))

    def predict(self, given: Any) -> pd.DataFrame:
        """Predict.

        Args:
            given: of a model of a table its rows: a DataFrame, a dictionary of columns, a list of
                dictionaries or the path of a table. Of one of pictures the path of a picture or of
                a folder, a list of paths, or pixels. Of any other an array.

        Returns:
            A row for each example, under the index of a DataFrame, or the paths of pictures. Of a
            classification `prediction`, the name of the likeliest class, and `probability_NAME` for
            each class; of a regression `prediction`, in the target's unit (`prediction_0`,
            `prediction_1`, … of several).

        Raises:
            RequestError: something is missing or cannot be; says what.
        """
        inputs, index = self._inputs(given)
        if not len(inputs):
            raise RequestError(f"{self._called} needs a row or more to predict for; got none.")
        outputs = self.model.predict(inputs, verbose=0)
        names = self.class_names
        data: Any = SimpleNamespace(
            task=self._task,
            classes=None if names is None else len(names),
            target_shape=tuple(self.preprocessing.get("target_shape", ())),
        )
        try:
            told = said(self.model, data, outputs)
        except Unclear as error:
            raise RequestError(
                f"What {self._called} predicts must be told by its outputs; {error}. The model "
                "itself: load_model(…).model."
            ) from error
        if names is not None:
            columns = {f"probability_{name}": told[:, i] for i, name in enumerate(names)}
            likeliest = np.array(names, object)[told.argmax(axis=1)]
            return pd.DataFrame({"prediction": likeliest} | columns, index=index)
        if told.ndim == 1:
            return pd.DataFrame({"prediction": told}, index=index)
        columns = {f"prediction_{i}": column for i, column in enumerate(told.T)}
        return pd.DataFrame(columns, index=index)


def load_model(path: str | os.PathLike[str]) -> ServedModel:
    """Load a saved model with what makes its inputs; imports Keras.

    Args:
        path: of a run's directory, of its `best`, or of the model's file in it.

    Raises:
        RequestError: there is no such model, or it does not say what it takes.
    """
    given = Path(os.path.expanduser(path))
    best = next((f for f in (given / "best", given) if f.is_dir()), given.parent)
    file = best / "model.keras" if given.is_dir() else given
    if not file.is_file():
        raise RequestError(
            f"A model must be a run's directory, or its best/model.keras; there is no file "
            f"{quoted(str(file))}."
        )
    try:
        model = load_keras_model(file)
    except RequestError:
        raise
    except Exception as error:  # whatever a class that is not known lets Keras raise
        raise RequestError(
            f"{file} must be of classes that this process knows; Keras raised "
            f"{type(error).__name__}. Import what registers your own first "
            "(keras.saving.register_keras_serializable)."
        ) from error
    return served(model, file)


def served(model: Any, file: Path) -> ServedModel:
    """A model that was loaded from `file`, with what makes its inputs.

    Raises:
        RequestError: what it takes does not stand beside it.
    """
    beside = file.with_name("preprocessing.json")
    if not beside.is_file():
        raise RequestError(
            f"{file} must have its preprocessing.json beside it, which says what it takes; there "
            "is none. Keras opens the model itself: keras.saving.load_model."
        )
    try:
        preprocessing = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestError(f"{beside} must be JSON; {one_line(str(error))}.") from error
    try:
        return ServedModel(model, preprocessing, str(file))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"{beside} must be what a search wrote beside the model; it is something else."
        ) from error
