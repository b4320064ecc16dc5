"""A run that ended, as `tune` hands it back."""

import os
from typing import TYPE_CHECKING, Any

from pipeline.console.notebook import headed
from pipeline.console.result import result_rows, result_text
from pipeline.errors import RequestError
from pipeline.records.layout import named_by_home
from pipeline.records.opening import opened
from pipeline.records.outputs.results import Results
from pipeline.records.settings import read_experiment

if TYPE_CHECKING:
    import pandas as pd


class Run(Results):
    """A run that ended.

    `best`, `trials` and `history` (data frames), `summary`, and the best model. Printed, or as the
    value of a notebook's cell, it says what came out of the search.
    """

    def __repr__(self) -> str:
        return result_text(self)

    def _repr_html_(self) -> str:
        return headed(result_rows(self))

    def best_model(self) -> Any:
        """Load `best/model.keras`; imports Keras.

        Raises:
            RequestError: it is damaged, or Keras could not describe the model, so that only its
                weights are there.
        """
        path = self.model_file()
        if path == self.layout.best_weights:
            raise RequestError(
                "A model must be one that Keras can describe to be loaded; of this one only the "
                "weights were saved. "
                f"Build it, and load_weights({str(path)!r})."
            )
        from pipeline.worker.serving.model_file import load_keras_model

        return load_keras_model(path)

    def predict(self, rows: Any) -> "pd.DataFrame":
        """Predict for examples like those that were searched on, as they are; imports Keras.

        Args:
            rows: of a run on a table a DataFrame, a dictionary of columns, a list of dictionaries
                or the path of a table; of one on pictures the path of a picture or of a folder, a
                list of paths, or pixels; of any other an array.

        Returns:
            A row for each of `rows`: see `pipeline.load_model(…).predict`.

        Raises:
            RequestError: the model is damaged, only its own `fit` knows what it takes, or `rows`
                cannot be, such as a table that lacks a column.
        """
        path = self.model_file()
        from pipeline.worker.serving.served import load_model

        return load_model(path).predict(rows)


def open_run(directory: str | os.PathLike[str]) -> Run:
    """Open a run that ended, as `tune` handed it back.

    Args:
        directory: the run's, which may have been moved; or its address in an object store.

    Raises:
        RequestError: it is no run, or one that has not ended.
    """
    layout = opened(os.path.expanduser(directory))
    with named_by_home(layout):
        read_experiment(layout)
    return Run(layout)
