"""The pictures of a folder with one folder a class."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data.files.data_file import DataFile
from pipeline.data.pictures.collection import Collection, check_test, consecutive
from pipeline.data.pictures.listing import Listing, check_known, list_folder
from pipeline.data.pictures.sources import Files
from pipeline.errors import RequestError, quoted


def of_folder(file: DataFile) -> Collection:
    """The pictures of a folder, and of the folder that is its test.

    Raises:
        RequestError: there are none, or what is asked cannot be.
    """
    request = file.request
    if request.target is not None or request.drop:
        setting = "target" if request.target is not None else "drop"
        raise RequestError(
            f"--{setting} is for tables; {file.path} is a folder of pictures, whose folders are "
            "the classes."
        )
    request.check_no_table(file.path, "pictures", allowed=("drop",))
    listing = list_folder(file.path)
    check_test(request, file.path, "test" in listing.paths)
    regression = request.task == "regression"
    if isinstance(request.test, str):
        listing = _with_test(listing, request.test, regression)
    names = tuple(sorted(set(listing.all_labels)))
    number = _numbers(listing) if regression else {name: i for i, name in enumerate(names)}
    return Collection(
        file.path,
        Files(listing.files),
        consecutive({split: len(paths) for split, paths in listing.paths.items()}),
        {
            split: np.array([number[label] for label in labels])
            for split, labels in listing.labels.items()
        },
        "regression" if regression else "classification",
        None if regression else names,
        listing.left_out,
    )


def _with_test(listing: Listing, test: str, regression: bool) -> Listing:
    if not Path(test).is_dir():
        raise RequestError(
            f"--test must be a folder of pictures, or a fraction; got {quoted(test)}."
        )
    other = list_folder(test)
    if not regression:
        check_known(other.all_labels, listing.all_labels, test)
    return replace(
        listing,
        paths=listing.paths | {"test": other.files},
        labels=listing.labels | {"test": other.all_labels},
        left_out=dict(Counter(listing.left_out) + Counter(other.left_out)),
    )


def _numbers(listing: Listing) -> dict[str, float]:
    """The number that each label is.

    Raises:
        RequestError: one is none.
    """
    numbers: dict[str, float] = {}
    for label in dict.fromkeys(listing.all_labels):
        try:
            numbers[label] = float(label)
        except ValueError:
            numbers[label] = np.nan
        if not np.isfinite(numbers[label]):
            raise RequestError(
                f"Labels of a regression must be numbers; {listing.root} has {quoted(label)}."
            )
    return numbers
