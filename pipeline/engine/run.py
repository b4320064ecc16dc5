"""A run that ended, as `tune` hands it back."""

from typing import Any

from pipeline.errors import RequestError
from pipeline.records.outputs.results import Results


class Run(Results):
    """A run that ended.

    `best`, `trials` and `history` (data frames), `summary`, and the best model.
    """

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
        from pipeline.worker.training.evaluate import load_model

        return load_model(path)
