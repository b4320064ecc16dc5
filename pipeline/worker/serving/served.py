"""A saved model that takes raw rows and answers in the user's words."""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.arrays import Array
from pipeline.data.pictures.decoding import read_pictures
from pipeline.data.pictures.listing import pictures_in
from pipeline.data.tables.kinds.kind import Misread, kind_class
from pipeline.data.tables.preparation import Preparation
from pipeline.data.tables.reading import header_of, read_frame
from pipeline.errors import RequestError, one_line, quoted
from pipeline.worker.scoring.outputs import Unclear, said
from pipeline.worker.serving.model_file import load_keras_model


class ServedModel:
    """A saved model, and what makes raw rows into its inputs.

    Example:
        >>> model = pipeline.load_model("runs/churn/best")
        >>> model.predict("new_customers.csv")

    Args:
        model: the Keras model; it takes input rows.
        preprocessing: what `best/preprocessing.json` holds.
        called: what messages call the model.
    """

    def __init__(self, model: Any, preprocessing: Mapping[str, Any], called: str) -> None:
        self.model = model
        self.preprocessing = preprocessing
        self._called = called

    @property
    def class_names(self) -> list[str] | None:
        """The classes in the order of the model's labels; None of a regression."""
        names = self.preprocessing["class_names"]
        return None if names is None else list(names)

    @property
    def _takes_pictures(self) -> bool:
        return bool(self.preprocessing["kind"] == "pictures")

    @cached_property
    def _preparation(self) -> Preparation:
        return Preparation.of_plain(self.preprocessing["columns"])

    def inputs(self, rows: Any) -> Array:
        """The model's input rows, `(n, width)` float32; or pictures, `(n, *size, channels)` uint8.

        A category that did not train, and a missing value, are encoded as the plan of the search
        says: as "other" or "missing" where the training rows had such, else as no category at all.
        A missing number counts as the mean. More columns than are needed are no fault.

        Args:
            rows: a DataFrame, a dictionary of columns, a list of dictionaries, or the path of a
                table. Of a model of pictures the path of one, of a folder of them, or a list of
                paths.

        Raises:
            RequestError: a column is missing, or holds what it cannot; says which. Or a picture
                does not decode.
        """
        if self._takes_pictures:
            size, channels = self.preprocessing["size"], self.preprocessing["channels"]
            return read_pictures(pictures_in(rows), (size[0], size[1]), channels)
        columns = [column.name for column in self._preparation.columns]
        frame, called = _frame(rows, columns)
        lacking = [name for name in columns if name not in frame.columns]
        if lacking:
            raise RequestError(
                f"{called} must have the columns that {self._called} was trained on; it lacks "
                f"{one_line(', '.join(lacking), 400)}."
            )
        values = {}
        for column in self._preparation.columns:
            try:
                read = kind_class(column.kind).read
                values[column.name] = read(frame[column.name], column.facts)
            except Misread as error:
                raise RequestError(
                    f"{called}, row {error.row}, column {column.name!r}: must be {error.must}; "
                    f"got {error.came}."
                ) from error
        return self._preparation.rows(values)

    def predict(self, rows: Any) -> pd.DataFrame:
        """Predict.

        Args:
            rows: see `inputs`.

        Returns:
            A row for each of `rows`, under the same index, or under the pictures' paths. Of a
            classification `prediction`, the name of the likeliest class, and `probability_NAME` for
            each class; of a regression `prediction`, in the target's unit.

        Raises:
            RequestError: a column is missing, or holds what it cannot; says which.
        """
        inputs = self.inputs(rows)
        index = rows.index if isinstance(rows, pd.DataFrame) else pd.RangeIndex(len(inputs))
        if self._takes_pictures:
            index = pd.Index(pictures_in(rows), name="picture")
        outputs = self.model.predict(inputs, verbose=0)
        names = self.class_names
        data: Any = SimpleNamespace(
            task=self.preprocessing["task"],
            classes=None if names is None else len(names),
            target_shape=(),
        )
        try:
            told = said(self.model, data, outputs)
        except Unclear as error:
            raise RequestError(
                f"What {self._called} predicts must be told by its outputs; {error}. The model "
                "itself: load_model(…).model."
            ) from error
        if names is None:
            return pd.DataFrame({"prediction": told}, index=index)
        likeliest = np.array(names, object)[told.argmax(axis=1)]
        return pd.DataFrame(
            {"prediction": likeliest}
            | {f"probability_{name}": told[:, i] for i, name in enumerate(names)},
            index=index,
        )


def load_model(path: str | os.PathLike[str]) -> ServedModel:
    """Load a saved model with what prepares its inputs; imports Keras.

    Args:
        path: of a run's directory, of its `best`, or of the model's file in it.

    Raises:
        RequestError: there is no such model, or it was not trained on a table.
    """
    given = Path(os.path.expanduser(path))
    best = next((f for f in (given / "best", given) if f.is_dir()), given.parent)
    file = given if given.is_file() else best / "model.keras"
    if not file.is_file():
        raise RequestError(
            f"A model must be a run's directory, or its best/model.keras; there is no file "
            f"{quoted(str(file))}."
        )
    beside = best / "preprocessing.json"
    if not beside.is_file():
        raise RequestError(
            f"{file} must have its preprocessing.json beside it, which a search on a table writes; "
            "there is none. Keras opens the model itself: keras.saving.load_model."
        )
    try:
        preprocessing = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestError(f"{beside} must be JSON; {one_line(str(error))}.") from error
    return ServedModel(load_keras_model(file), preprocessing, str(file))


def _frame(rows: Any, columns: list[str]) -> tuple[pd.DataFrame, str]:
    """Rows as a table, and what messages call them."""
    if isinstance(rows, str | os.PathLike):
        path = os.path.expanduser(os.fspath(rows))
        there = set(header_of(path))
        return read_frame(path, [name for name in columns if name in there] or None)[0], path
    if isinstance(rows, pd.DataFrame):
        named = rows.rename(columns=str)
        return named.reset_index(drop=True), "The table"
    if isinstance(rows, dict | list):
        try:
            return pd.DataFrame(rows), "The table"
        except ValueError as error:
            raise RequestError(f"Rows must make a table; {one_line(str(error))}.") from error
    raise RequestError(
        "Rows must be a DataFrame, a dictionary of columns, a list of dictionaries or the path of "
        f"a table; got {type(rows).__name__}."
    )
