"""What came out of a run, read from its directory: tables, the best trial, the summary."""

import functools
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import TypeAdapter

from pipeline.errors import RequestError, one_line
from pipeline.objective import Objective
from pipeline.records.checksummed import check, read_kept, write_kept
from pipeline.records.layout import Layout, persist, write_whole
from pipeline.records.ledger import Ledger
from pipeline.records.mirror import at_home, opened
from pipeline.records.remote import RemotePath
from pipeline.records.reports import Report, read_history
from pipeline.records.trials import COUNTED, TrialRecord, read_trials

T = TypeVar("T")

REMEDY = " --resume writes it anew."


@dataclass(frozen=True)
class Best:
    """The best epoch of the best trial."""

    trial: str
    hyperparameters: dict[str, Any]
    objective: float
    epoch: int
    final: bool = False  # what `fit` returned, and no epoch's


@dataclass(frozen=True)
class _Counts:
    total: int
    finished: int
    stopped: int
    failed: int
    unfinished: int


@dataclass(frozen=True)
class _Summary:
    """What is read of a summary; more stands there."""

    best: Best | None
    test: dict[str, float | None] | None
    trials: _Counts
    epochs: int
    objective: str
    validation: dict[str, float | None] | None = None
    fit_plans: dict[str, int] = field(default_factory=dict)
    exhausted: bool = False
    interrupted: bool = False
    wall_clock_s: float = 0.0


_SUMMARY = TypeAdapter(_Summary)


def _summary(plain: dict[str, Any]) -> dict[str, Any]:
    check(_SUMMARY, plain)
    return plain


class Results:
    """A run's records as data frames.

    `directory` may have been moved, and may be in an object store.
    """

    def __init__(self, directory: str | Path | RemotePath) -> None:
        self.layout = opened(directory)
        try:
            self.summary: dict[str, Any] = read_kept(self.layout, self.layout.summary, _summary)
        except FileNotFoundError:
            raise RequestError(
                f"A run that ended must have a summary.json; {directory} has none."
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
    def best(self) -> Best | None:
        """The best trial; None where no trial reported a finite objective."""
        return Best(**self.summary["best"]) if self.summary["best"] else None

    @property
    def trials(self) -> pd.DataFrame:
        """A row a trial; a hyperparameter that a trial did not request is missing there."""
        rows = self.summary["trials"]["total"]
        read = functools.partial(_read_table, rows=rows, keep_default_na=False, na_values=[""])
        return self._whole(self.layout.trials_table, "hold a row a trial", read)

    @property
    def history(self) -> pd.DataFrame:
        """A row an epoch of a trial."""
        read = functools.partial(_read_table, rows=self.summary["epochs"])
        return self._whole(self.layout.history_table, "hold a row an epoch", read)

    def model_file(self) -> Path:
        """Where the best model is; of one that Keras cannot describe, where its weights are."""
        layout = self.layout
        if self.best is None:
            raise RequestError(
                f"A model must be of a trial that reported a finite objective; {self.directory} "
                "has none."
            )
        path = (
            layout.best_weights
            if layout.best_weights.exists() and not layout.best_model.exists()
            else layout.best_model
        )
        self._whole(path, "be the best model", _check_model)
        return path

    def faults(self) -> list[str]:
        """What is missing or damaged of that which was written at the end: a line on each."""
        read: list[Callable[[], Any]] = [lambda: self.trials, lambda: self.history]
        if self.best is not None:
            read.append(self.model_file)
        said = []
        for each in read:
            try:
                each()
            except RequestError as error:
                said.append(str(error).removesuffix(REMEDY))
        return said

    def _whole(self, path: Path, must: str, read: Callable[[Path], T]) -> T:
        try:
            return read(path)
        except FileNotFoundError:
            fault = "it is missing"
        except Exception as error:  # what is damaged may be anything to pandas, zipfile and h5py
            fault = f"it is damaged: {one_line(str(error) or repr(error))}"
        raise RequestError(f"{at_home(self.layout, str(path))} must {must}; {fault}.{REMEDY}")


def _read_table(path: Path, rows: int, **how: Any) -> pd.DataFrame:
    """A table that has at least so many rows."""
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        raise ValueError("its end is cut off" if data else "it is empty")
    # a name may hold other ends of lines
    table = pd.read_csv(io.BytesIO(data), lineterminator="\n", **how)
    if table.columns[0] != "trial":
        raise ValueError("its first column is not that of the trials")
    if len(table) < rows:
        raise ValueError(f"it has {len(table)} of {rows} rows")
    return table


def _check_model(path: Path) -> None:
    """Compare a file's length, and a `.keras` file's parts, with what was written."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as model:
            if (part := model.testzip()) is not None:
                raise ValueError(f"{part} is not what was written")
    else:
        import h5py

        h5py.File(path).close()


def best_epochs(reports: list[Report], objective: Objective) -> dict[str, Report]:
    """The best report of each trial that has a finite one; of equals the earlier."""
    best: dict[str, Report] = {}
    for report in reports:
        value = report.objective
        held = None if report.final else best.get(report.trial)
        if value is not None and objective.better(value, held.objective if held else None):
            best[report.trial] = report
    return best


def find_best(
    trials: dict[str, TrialRecord], reports: list[Report], objective: Objective
) -> Best | None:
    """The best epoch of any trial."""
    return next(iter(ranking(trials, reports, objective)), None)


def ranking(
    trials: dict[str, TrialRecord], reports: list[Report], objective: Objective
) -> list[Best]:
    """The best epoch of each trial that has one, the best trial first.

    Of equals the earlier trial.
    """
    candidates = best_epochs(reports, objective)
    order = {trial: place for place, trial in enumerate(trials)}
    ranked = sorted(
        candidates.values(), key=lambda r: (objective.loss(r.objective), order[r.trial])
    )
    return [
        Best(
            r.trial, trials[r.trial].in_force(r.epoch), float(r.objective or 0.0), r.epoch, r.final
        )
        for r in ranked
    ]


def trials_table(
    trials: dict[str, TrialRecord], reports: list[Report], objective: Objective
) -> pd.DataFrame:
    """A row a trial.

    Id, status, hyperparameters, best objective and its epoch, epochs, seconds, error.

    Where a trial's values changed on the way, those in force at its best epoch.
    """
    best = best_epochs(reports, objective)
    epochs: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for report in reports:
        epochs[report.trial] = report.epoch
        seconds[report.trial] = seconds.get(report.trial, 0.0) + report.seconds
    before, after = ["trial", "status"], ["best_epoch", "epochs", "seconds", "error"]
    column = f"metric/{objective.name}" if objective.name in before + after else objective.name
    own = [*before, column, *after]
    asked = {
        t: record.in_force(best[t].epoch) if t in best else record.hyperparameters
        for t, record in trials.items()
    }
    names = in_order(map(list, asked.values()))
    rows = []
    for trial, record in trials.items():
        values = {f"hp/{n}" if n in own else n: asked[trial].get(n) for n in names}
        found = best.get(trial)
        rows.append(
            {"trial": trial, "status": record.status}
            | values
            | {
                column: found.objective if found else None,
                "best_epoch": found.epoch if found else None,
                "epochs": epochs.get(trial, 0),
                "seconds": round(seconds.get(trial, 0.0), 3),
                "error": record.error,
            }
        )
    # Object columns keep an integer an integer beside a missing value: 3, not 3.0.
    table = pd.DataFrame(rows, columns=None if rows else own, dtype=object)
    return table.astype({column: float, "epochs": int, "seconds": float})


def in_order(lists: Iterable[list[str]]) -> list[str]:
    """All names, each after the one that came before it where it was first met."""
    names: list[str] = []
    for each in lists:
        place = 0
        for name in each:
            if name in names:
                place = max(place, names.index(name) + 1)
            else:
                names.insert(place, name)
                place += 1
    return names


def history_table(reports: list[Report], trials: dict[str, TrialRecord]) -> pd.DataFrame:
    """A row an epoch: trial, epoch, every metric, seconds.

    Where values change on the way, those in force.
    """
    changing = any(record.changes for record in trials.values())
    forces = (
        [{f"hp/{n}": v for n, v in trials[r.trial].in_force(r.epoch).items()} for r in reports]
        if changing
        else []
    )
    columns: dict[str, list[Any]] = {
        "trial": [r.trial for r in reports],
        "epoch": [r.epoch for r in reports],
    }
    columns |= {
        name: [r.metrics.get(name) for r in reports] for name in _met(r.metrics for r in reports)
    }
    columns |= {"seconds": [round(r.seconds, 4) for r in reports]}
    columns |= {name: [force.get(name) for force in forces] for name in _met(forces)}
    # Objects: an integer stays one beside a missing value. By columns: by rows it takes four times
    # as long.
    return pd.DataFrame(columns, dtype=object)


def _met(rows: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """The names of all rows in the order in which they come first."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return names


def write_tables(layout: Layout, objective: Objective, ledger: Ledger | None = None) -> None:
    """Write `trials.csv` and `history.csv` from what the ledger holds, or else from its files."""
    trials = ledger.trials if ledger else read_trials(layout)
    reports = ledger.reports if ledger else read_history(layout)
    for path, table in (
        (layout.trials_table, trials_table(trials, reports, objective)),
        (layout.history_table, history_table(reports, trials)),
    ):
        text = table.to_csv(index=False)
        persist(layout, path, functools.partial(write_whole, path, text))


def write_summary(
    layout: Layout,
    *,
    best: Best | None,
    test: dict[str, float] | None,
    trials: dict[str, TrialRecord],
    epochs: int,
    **facts: Any,
) -> dict[str, Any]:
    """Write `summary.json` and return what it holds; `facts` are wall clock, versions and the like.

    Of the trials' counts `total` is that of all but the duplicates, which are counted by
    themselves; `fit_plans` says how many were carried out in which way.
    """
    held = Counter(record.status for record in trials.values())
    counts = {"total": len(trials) - held["duplicate"]} | {
        status: held[status] for status in COUNTED
    }
    counts |= {"unfinished": held["running"], "duplicate": held["duplicate"]}
    summary = {
        "best": None if best is None else vars(best),
        "test": test,
        "trials": counts,
        "epochs": epochs,
        "fit_plans": dict(
            Counter(record.fit_plan for record in trials.values() if record.fit_plan).most_common()
        ),
        **facts,
    }
    write_kept(layout, layout.summary, summary)
    return summary
