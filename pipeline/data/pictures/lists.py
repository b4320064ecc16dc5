"""The pictures of a list: a CSV or TSV with a column of their files and one of their labels."""

import csv
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data.files.data_file import LISTS, DataFile
from pipeline.data.pictures.collection import Collection, consecutive
from pipeline.data.pictures.listing import is_picture
from pipeline.data.pictures.sources import Files
from pipeline.data.request import DataRequest
from pipeline.data.tables.from_frame import check_names
from pipeline.data.tables.place import Place
from pipeline.data.tables.reading import header_of, read_frame
from pipeline.data.tables.reading import separator_of as separator_of
from pipeline.data.tables.target import missing_target, read_target, understood_target
from pipeline.errors import LISTED, RequestError, quoted

SAMPLE = 20  # rows that are looked at to know


def is_picture_list(path: str, request: DataRequest) -> bool:
    """Whether a file is such a list, by its first rows.

    Beside the target and what is dropped it has one column, which names pictures.
    """
    columns = _columns(path, request)
    return len(columns) == 1 and all(columns.values())


def check_no_list(file: DataFile) -> None:
    """Refuse a list of pictures that has more columns: a model would see their names alone.

    A column whose kind is asked for is what it is said to be.

    Raises:
        RequestError: names them.
    """
    columns = _columns(file.path, file.request)
    for name in (n for n, pictures in columns.items() if pictures):
        if file.request.target is None or name in file.request.kinds:
            continue
        others = [other for other in columns if other != name]
        raise RequestError(
            f"{file.path}, column {name!r}: it names pictures, and must then be the only column "
            f"beside the target; there is {', '.join(map(repr, others[:LISTED]))} too. For a model "
            f"of the pictures: --drop {','.join(others)}. For one of a table without them: --drop "
            f"{name}."
        )


def _columns(path: str, request: DataRequest) -> dict[str, bool]:
    """The inputs, each with whether it names pictures in the first rows; none of no such table."""
    if not path.lower().endswith(LISTS):
        return {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            separator = separator_of(path, file)
            lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
            header, *rows = islice(filter(None, lines), 1 + SAMPLE)
    except (OSError, ValueError, csv.Error):  # whoever reads it says what is wrong
        return {}
    found = {}
    for place, name in enumerate(header):
        if name not in (request.target, *request.drop):
            named = [row[place].strip() for row in rows if len(row) > place and row[place].strip()]
            found[name] = bool(named) and all(map(is_picture, map(os.path.basename, named)))
    return found


def of_list(file: DataFile, seed: int = 0) -> Collection:
    """The pictures of a list, and of the list that is its test.

    Raises:
        RequestError: it cannot be read, or names what is no file; says the line.
    """
    request = file.request
    request.check_no_table(file.path, "pictures", allowed=("drop",))
    check_names(request, header_of(file.path), file.path)
    assert request.target is not None  # it was checked
    (column,) = (
        name for name in header_of(file.path) if name not in (request.target, *request.drop)
    )
    frames = {"train": _read(file.path, column, request.target)}
    paths = {"train": _paths(frames["train"], column, file.path)}
    target = understood_target(
        frames["train"][request.target], request.task, Place(file.path, True)
    )
    if isinstance(request.test, str):
        if not request.test.lower().endswith(LISTS):
            raise RequestError(
                f"--test must be a list of pictures, or a fraction; got {quoted(request.test)}."
            )
        lacking = {column, request.target} - set(header_of(request.test))
        if lacking:
            raise RequestError(
                f"{request.test} must have the columns of the training pictures; it lacks "
                f"{', '.join(sorted(lacking))}."
            )
        frames["test"] = _read(request.test, column, request.target)
        paths["test"] = _paths(frames["test"], column, request.test)
    missing = 0
    rows, targets = consecutive({split: len(found) for split, found in paths.items()}), {}
    for split, frame in frames.items():
        known = ~missing_target(frame[request.target])
        missing += int((~known).sum())
        place = Place(file.path if split == "train" else str(request.test), True)
        rows[split] = rows[split][known]
        targets[split] = read_target(frame[known][request.target], target, place)
    return Collection(
        file.path,
        Files([path for found in paths.values() for path in found]),
        rows,
        targets,
        target.task,
        target.class_names,
        {f"without {request.target}": missing} if missing else {},
    )


def _read(path: str, column: str, target: str) -> pd.DataFrame:
    # all of it: what is drawn of a table that is too large would hide pictures
    return read_frame(path, [column, target], most_bytes=np.inf)[0]


def _paths(frame: pd.DataFrame, column: str, path: str) -> Sequence[str]:
    """The files, those of relative names beside the list.

    Raises:
        RequestError: some are not there; names their lines.
    """
    folder = Path(path).parent
    found, lacking = [], []
    for row, name in frame[column].items():
        said: Any = name.strip() if isinstance(name, str) else None
        whole = os.path.join(folder, said or "")
        if said is None or not os.path.isfile(whole):
            lacking.append(f"line {row} {quoted(said) if said else 'nothing'}")
        found.append(whole)
    if lacking:
        more = f" and {len(lacking) - LISTED} more" if len(lacking) > LISTED else ""
        raise RequestError(
            f"{path}, column {column!r}: must name pictures, beside the list or by absolute paths; "
            f"these are no files: {', '.join(lacking[:LISTED])}{more}."
        )
    return found
