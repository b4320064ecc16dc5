"""The reference page of a run's directory, from its layout and the columns of its tables.

Run: python -m pipeline.records.outputs.reference > docs/reference/run-directory.md
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline.records.layout import BEST, LAST, OWN, Layout
from pipeline.records.outputs.columns import HISTORY, TRIALS

_RUN = Layout("RUN")
_TRIAL = "<trial>"

FILES: tuple[tuple[Path, str], ...] = (
    (_RUN.experiment, "every setting of the search; `--resume` reads it, and so does a new run"),
    (_RUN.starts, "what the search was started from, in a run with `--start-from`"),
    (
        _RUN.data_files,
        "SHA-256 of each file of data, as it was when the run began; of a folder, of the names and "
        "sizes of the files in it",
    ),
    (_RUN.keras_settings, "what the script had set in Keras, such as a dtype policy"),
    (
        _RUN.history,
        "every epoch of every trial, a JSON object a line, appended as it came; `data_anew` is the "
        "first after a checkpoint on batches (a shuffled `tf.data.Dataset`, what a function or a "
        "`PyDataset` makes) whose order began anew",
    ),
    (_RUN.decisions, "why a trial went on, waited or was stopped: a JSON object a decision"),
    (
        _RUN.trial_record(_TRIAL),
        "a trial's record: what the searcher proposed, what was requested, status, error, where it "
        "ran, when it started and ended",
    ),
    (_RUN.trial(_TRIAL) / LAST, "the state that an unfinished trial goes on from"),
    (
        _RUN.trial(_TRIAL) / BEST,
        "the weights of the trial's best epoch; at the end, of the best `--keep-models` trials. A "
        "trial of several trainings has both in `execution-0/` and so on; with `--folds` each has "
        "the weights of the epoch with the best mean, and training k validates on fold k modulo "
        "the number of folds",
    ),
    (_RUN.trial(_TRIAL) / OWN, "what your code wrote to the trial's `directory`"),
    (_RUN.trials_table, "a row a trial; written at the end"),
    (_RUN.history_table, "a row an epoch; written at the end"),
    (_RUN.best_model, "the best model, with its optimizer"),
    (_RUN.best_weights, "its weights, in place of that, of a model that Keras cannot describe"),
    (_RUN.best_hyperparameters, "its hyperparameters"),
    (_RUN.best_metrics, "its trial, its epoch and its metrics on the validation and test split"),
    (_RUN.best_card, "a model card: purpose, data, search, evaluation, limits"),
    (_RUN.best_server, "a small program that answers requests with it: `uvicorn serve:app`"),
    (
        _RUN.best_preprocessing,
        "what it takes, how rows or pictures become that, and what its classes are called",
    ),
    (_RUN.best_standardisation, "how its inputs are scaled, of a dataset that scales them"),
    (
        _RUN.best_confusion,
        "of a classification, the confusion matrix of the test split: true class, predicted class, "
        "how many; only pairs that were met, and each class with itself",
    ),
    (
        _RUN.best_residuals,
        "of a regression, true and predicted values on the test split, of 10,000 examples at most",
    ),
    (_RUN.checksums, "the SHA-256 of each table and of each file of `best/`"),
    (
        _RUN.summary,
        "best trial, metrics, scores with intervals of 95 %, baseline, counts of trials, wall "
        "clock, versions, device; written last",
    ),
    (_RUN.tracker_state("<tracker>"), "what a tracker keeps from one process to the next"),
    (_RUN.debug_log, "what Ray and the search logged; for whoever looks into a fault"),
    (_RUN.copies, "a second copy of each record, with which a damaged one is put right"),
    (_RUN.lock, "held by the process that writes the run"),
    (_RUN.engine, "what Ray writes; never read, and removed at the end"),
)


def page() -> str:
    """The page in Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# The run directory"
    yield ""
    yield "Made by `make reference`; do not edit it."
    yield ""
    yield "| file | what it holds |"
    yield "| --- | --- |"
    for path, says in FILES:
        yield f"| `{path.relative_to(_RUN.root).as_posix()}` | {says} |"
    yield ""
    yield "Records and copies carry a checksum, and so does each line of `history.jsonl` and of"
    yield "`decisions.jsonl`. A damaged record is put right from its copy by `--resume`, which says"
    yield "so; a decision that is damaged in both is left out, as no resume needs it. Tables and"
    yield "`best/` are written anew; until then reading a damaged one is refused in a line that"
    yield "names it."
    for path, columns in ((_RUN.trials_table, TRIALS), (_RUN.history_table, HISTORY)):
        yield ""
        yield f"## Columns of `{path.name}`"
        yield ""
        yield from _table(columns)


def _table(columns: Iterable[Any]) -> Iterator[str]:
    yield "| column | what it says |"
    yield "| --- | --- |"
    for column in columns:
        yield f"| `{column.name}` | {column.says} |"


if __name__ == "__main__":
    print(page(), end="")
