"""What came out of a run, read from its directory."""

import io
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from pipeline.errors import RequestError, one_line
from pipeline.records.checksummed import Warned
from pipeline.records.layout import Layout, at_home
from pipeline.records.opening import opened
from pipeline.records.outputs.checksums import check_sum, read_checksums
from pipeline.records.outputs.scores import Baseline, Score
from pipeline.records.outputs.summary import BestEpoch, read_summary
from pipeline.records.store.remote import RemotePath

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Read = Callable[[IO[bytes]], Any]

REMEDY = " --resume writes it anew."


class Results:
    """A run's records as data frames.

    Args:
        directory: the run's, which may have been moved, and may be in an object store.
        summary: what its `summary.json` says, if that was read already.
        warned: for the process that writes the run: see `checksummed.read_checksummed`.
    """

    def __init__(
        self,
        directory: str | Path | RemotePath | Layout,
        summary: dict[str, Any] | None = None,
        warned: Warned | None = None,
    ) -> None:
        self.layout = directory if isinstance(directory, Layout) else opened(directory)
        self.summary = self._read_summary() if summary is None else summary
        self._warned = warned
        self._sums: dict[str, str] | None = None

    def _read_summary(self) -> dict[str, Any]:
        try:
            return read_summary(self.layout)
        except FileNotFoundError:
            raise RequestError(
                f"A run that ended must have a summary.json; {self.directory} has none: it still "
                "runs, or --resume goes on with it."
            ) from None
        except ValueError as error:
            summary = at_home(self.layout, str(self.layout.summary))
            raise RequestError(
                f"{summary} must say how the run ended; it is damaged: {error}.{REMEDY}"
            ) from error

    @property
    def directory(self) -> Path | RemotePath:
        """Where the records are."""
        return self.layout.place

    @property
    def best(self) -> BestEpoch | None:
        """The best trial; None where no trial reported a finite objective."""
        return BestEpoch(**self.summary["best"]) if self.summary["best"] else None

    @property
    def scores(self) -> dict[str, dict[str, Score]]:
        """The best model's scores, with intervals of 95 %: `run.scores["test"]["accuracy"].low`."""
        return {
            split: {name: Score(**score) for name, score in scores.items()}
            for split, scores in self.summary.get("scores", {}).items()
        }

    @property
    def baseline(self) -> Baseline | None:
        """What the simplest models score; None of data without a task, and of earlier versions."""
        plain = self.summary.get("baseline")
        return None if plain is None else Baseline(**plain)

    @property
    def trials(self) -> "pd.DataFrame":
        """A row a trial; a hyperparameter that a trial did not request is missing there."""
        table: pd.DataFrame = self._whole(*self._trials_table())
        return table

    @property
    def history(self) -> "pd.DataFrame":
        """A row an epoch of a trial."""
        table: pd.DataFrame = self._whole(*self._history_table())
        return table

    def model_file(self) -> Path:
        """Where the best model is; of one that Keras cannot describe, where its weights are."""
        if self.best is None:
            raise RequestError(
                f"A model must be of a trial that reported a finite objective; {self.directory} "
                "has none."
            )
        if self.summary.get("no_model"):
            raise RequestError(f"{self.directory} has no best model: {self.summary['no_model']}.")
        path, must, look = self._model()
        self._whole(path, must, look)
        return path

    def faults(self) -> list[str]:
        """What is missing or damaged of that which was written at the end: a line on each."""
        said: dict[str, None] = {}
        try:
            for output in self._outputs():
                try:
                    self._whole(*output)
                except RequestError as error:
                    said[str(error).removesuffix(REMEDY)] = None
        except RequestError as error:  # what was recorded of them is damaged
            said[str(error).removesuffix(REMEDY)] = None
        return list(said)

    def _outputs(self) -> list[tuple[Path, str, Read]]:
        """Each file, what it must do, and what reads it."""
        outputs = [self._trials_table(), self._history_table()]
        if self.best is not None:
            outputs += [] if self.summary.get("no_model") else [self._model()]
            beside = {
                self.layout.best_hyperparameters: "hold the best trial's hyperparameters",
                self.layout.best_metrics: "hold the best model's metrics",
                self.layout.best_card: "be the best model's card",
                self.layout.best_server: "be the program that serves the best model",
                self.layout.best_preprocessing: "say how rows become the best model's inputs",
                self.layout.best_standardisation: "say how the best model's inputs are scaled",
                self.layout.best_confusion: "hold the confusion matrix of the test split",
                self.layout.best_residuals: "hold true and predicted values of the test split",
            }
            recorded = {self.layout.root / name for name in self._recorded()}
            outputs += [(p, must, lambda file: None) for p, must in beside.items() if p in recorded]
        return outputs

    def _trials_table(self) -> tuple[Path, str, Read]:
        rows = self.summary["trials"]["total"]
        read = partial(_read_table, rows=rows, keep_default_na=False, na_values=[""])
        return self.layout.trials_table, "hold a row a trial", read

    def _history_table(self) -> tuple[Path, str, Read]:
        read = partial(_read_table, rows=self.summary["epochs"])
        return self.layout.history_table, "hold a row an epoch", read

    def _model(self) -> tuple[Path, str, Read]:
        layout = self.layout
        only_weights = layout.best_weights.exists() and not layout.best_model.exists()
        if only_weights:
            return layout.best_weights, "be the best model", _check_weights
        return layout.best_model, "be the best model", _check_model

    def _recorded(self) -> dict[str, str]:
        """The checksums, read once."""
        if self._sums is None:
            try:
                sums = read_checksums(self.layout, self._warned)
            except ValueError as error:
                raise self._without_checksums(f"it is damaged: {error}") from error
            if not sums and self.summary.get("checksums"):  # an earlier version wrote none
                raise self._without_checksums("it is missing")
            self._sums = sums
        return self._sums

    def _without_checksums(self, fault: str) -> RequestError:
        path = at_home(self.layout, str(self.layout.checksums))
        return RequestError(
            f"{path} must hold the checksums of the tables and of best/; {fault}.{REMEDY}"
        )

    def _whole(self, path: Path, must: str, read: Callable[[IO[bytes]], T]) -> T:
        recorded = self._recorded().get(path.relative_to(self.layout.root).as_posix())
        try:
            with path.open("rb") as file:
                found = read(file)  # which can say best what is wrong
                if recorded is not None:
                    check_sum(file, recorded)
                return found
        except FileNotFoundError:
            fault = "it is missing"
        except Exception as error:  # what is damaged may be anything to pandas, zipfile and h5py
            fault = f"it is damaged: {one_line(str(error) or repr(error))}"
        raise RequestError(f"{at_home(self.layout, str(path))} must {must}; {fault}.{REMEDY}")


def _read_table(file: IO[bytes], rows: int, **how: Any) -> "pd.DataFrame":
    """A table that has at least so many rows."""
    import pandas as pd

    data = file.read()
    if not data.endswith(b"\n"):
        raise ValueError("its end is cut off" if data else "it is empty")
    # a name may hold other ends of lines
    table: pd.DataFrame = pd.read_csv(io.BytesIO(data), lineterminator="\n", **how)
    if table.columns[0] != "trial":
        raise ValueError("its first column is not that of the trials")
    if len(table) < rows:
        raise ValueError(f"it has {len(table)} of {rows} rows")
    return table


def _check_model(file: IO[bytes]) -> None:
    """Compare a `.keras` file's length and parts with what was written."""
    with zipfile.ZipFile(file) as model:
        if (part := model.testzip()) is not None:
            raise ValueError(f"{part} is not what was written")


def _check_weights(file: IO[bytes]) -> None:
    """Compare a file's length with what was written."""
    import h5py

    h5py.File(file).close()
