"""Folders that Hugging Face's `save_to_disk` wrote, read without its package.

A dataset is a folder with `state.json`, which names its Arrow stream files, and
`dataset_info.json`, which says what its columns are. Several splits are a folder with
`dataset_dict.json` and a folder a split.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.data.dataset import Dataset
from pipeline.data.files.arrow_streams import read_streams
from pipeline.data.files.data_file import DataFile
from pipeline.data.tables.from_frame import check_names, dataset_of
from pipeline.errors import RequestError

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
SPLIT_NAMES = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}


@dataclass(frozen=True)
class Saved:
    """One split: its Arrow files, and what its columns are, by name."""

    folder: str
    arrows: tuple[str, ...]
    features: dict[str, dict[str, Any]]

    @property
    def pictures(self) -> list[str]:
        """The columns of pictures."""
        return [name for name, what in self.features.items() if _type_of(what) == "Image"]

    def class_names(self, column: str) -> list[str] | None:
        """What the labels of a column are called, if that is written down."""
        what = self.features.get(column, {})
        return list(map(str, what["names"])) if _type_of(what) == "ClassLabel" else None

    def rows(self) -> Any:
        """All rows, as a `pyarrow.Table`.

        Raises:
            RequestError: a file cannot be read.
        """
        return read_streams(self.arrows)


def is_saved(folder: str) -> bool:
    """Whether a folder is what `save_to_disk` wrote."""
    there = {name for name in (STATE, INFO, SPLITS) if os.path.isfile(os.path.join(folder, name))}
    return SPLITS in there or {STATE, INFO} <= there


def saved_splits(folder: str) -> tuple[dict[str, Saved], list[str]]:
    """The splits train, val and test as far as there are such, and the names of others.

    Raises:
        RequestError: a file is not as `save_to_disk` writes it, or there is nothing to train on.
    """
    if not os.path.isfile(os.path.join(folder, SPLITS)):
        return {"train": _split(folder)}, []
    names = _read(os.path.join(folder, SPLITS), "splits", list)
    found, others = {}, []
    for name in names:
        if name in SPLIT_NAMES:
            found[SPLIT_NAMES[name]] = _split(os.path.join(folder, str(name)))
        else:
            others.append(str(name))
    if len(names) == 1 and others:
        return {"train": _split(os.path.join(folder, others[0]))}, []
    if "train" not in found:
        raise RequestError(
            f"{folder} must have a split train; it has {', '.join(map(str, names)) or 'none'}. "
            "Give one split's folder."
        )
    return {split: found[split] for split in ("train", "val", "test") if split in found}, others


def read_saved(file: DataFile, seed: int) -> Dataset:
    """The dataset of such a folder without pictures: its columns are a table's.

    Raises:
        RequestError: it cannot be used; says the place.
    """
    splits, others = saved_splits(file.path)
    request, columns = file.request, list(splits["train"].features)
    check_names(request, columns, file.path)
    kept = [name for name in columns if name not in request.drop]
    frames = {split: _frame(saved, kept) for split, saved in splits.items()}
    notes = [f"split {name} was left out" for name in others]
    assert request.target is not None  # it was checked
    for split in ("val", "test"):
        if split in frames and frames[split][request.target].isna().all():
            del frames[split]
            notes.append(f"split {split} has no {request.target} and was left out")
    if request.test is not None and "test" in frames:
        raise RequestError(f"--test must not be given beside a test split; {file.path} has one.")
    return dataset_of(
        frames.pop("train"),
        request,
        seed,
        name=file.__name__,
        file=file.path,
        notes=tuple(notes),
        given=frames,
    )


def _frame(saved: Saved, columns: list[str]) -> pd.DataFrame:
    """Rows as a table, labels by their names."""
    rows = saved.rows()
    lacking = [name for name in columns if name not in rows.column_names]
    if lacking:
        raise RequestError(f"{saved.folder} must have the column {lacking[0]!r}; it has not.")
    frame: pd.DataFrame = rows.select(columns).to_pandas()
    for column in columns:
        names = saved.class_names(column)
        if names is not None:  # -1 is no label
            frame[column] = frame[column].map(dict(enumerate(names)))
    return frame


def _split(folder: str) -> Saved:
    state = _read(os.path.join(folder, STATE), "_data_files", list)
    features = _read(os.path.join(folder, INFO), "features", dict)
    try:
        names = [str(part["filename"]) for part in state]
    except (TypeError, KeyError):
        names = []
    if not names:
        raise RequestError(f"{os.path.join(folder, STATE)} must name Arrow files; it has none.")
    return Saved(folder, tuple(os.path.join(folder, name) for name in names), features)


def _read(path: str, key: str, kind: type) -> Any:
    """What is called `key` in a file of JSON."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))[key]
    except OSError as error:
        raise RequestError(f"{path} must be a file that can be read; {error.strerror}.") from error
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, kind):
        raise RequestError(f"{path} must be as save_to_disk writes it; it has no {key!r}.")
    return found


def _type_of(what: Any) -> str:
    return str(what.get("_type", "")) if isinstance(what, dict) else ""
