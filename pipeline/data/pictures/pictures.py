"""Datasets of pictures: from a folder with one folder a class."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.arrays import Array, Task
from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.pictures.listing import Listing, list_folder
from pipeline.data.pictures.prepared import Prepared, Told, prepare
from pipeline.data.request import DataRequest
from pipeline.data.splits import CUT, with_splits
from pipeline.errors import RequestError, quoted

# Settings that mean nothing for pictures.
OF_TABLES = ("drop", "kinds", "group", "time")


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureDataset(Dataset):
    """Pictures, uint8 `(n, height, width, channels)`.

    `pictures` are facts for the plan: `size` and `asked`, `smallest` and `largest`, `grey` and
    `count`, `left_out`, and `prepared`, the folder of the array.
    """

    pictures: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Return what the dataset is, without the arrays, fit for JSON."""
        return super().describe() | {"pictures": self.pictures}

    def preprocessing(self) -> dict[str, Any]:
        """How a picture becomes what the model takes, and what its outputs mean, fit for JSON."""
        return {
            "kind": "pictures",
            "size": list(self.shape[:2]),
            "channels": self.shape[2],
            "class_names": None if self.class_names is None else list(self.class_names),
        }


def read_folder(file: DataFile, seed: int) -> PictureDataset:
    """The dataset of a folder with one folder a class.

    Raises:
        RequestError: it cannot be used; says the place.
    """
    listing = listed(file)
    prepared = prepare(listing.files, file.request.image_size, file.storage)
    return _dataset(file.__name__, listing, prepared, file.request, seed)


def prepare_folder(file: DataFile, told: Told) -> None:
    """Decode the pictures, unless that is done.

    Raises:
        RequestError: they cannot be used; says the place.
    """
    prepare(listed(file).files, file.request.image_size, file.storage, told)


def listed(file: DataFile) -> Listing:
    """The pictures that a request asks for, with their labels.

    Raises:
        RequestError: there are none, or the request is one for tables.
    """
    request = file.request
    surplus = [name for name in OF_TABLES if getattr(request, name)]
    if surplus or request.target is not None:
        setting = {"kinds": "column"}.get(surplus[0], surplus[0]) if surplus else "target"
        raise RequestError(
            f"--{setting} is for tables; {file.path} is a folder of pictures, whose folders are "
            "the classes."
        )
    listing = list_folder(file.path)
    if isinstance(request.test, str):
        listing = _with_test(listing, request.test, request.task)
    elif request.test is not None and "test" in listing.paths:
        raise RequestError(
            f"--test must not be a fraction where there is a test split; {file.path} has one."
        )
    if request.task != "regression":
        _check_counts(listing)
    return listing


def _with_test(listing: Listing, test: str, task: Task | None) -> Listing:
    if "test" in listing.paths:
        raise RequestError(f"--test must not be given beside a test split; {listing.root} has one.")
    if not Path(test).is_dir():
        raise RequestError(
            f"--test must be a folder of pictures, or a fraction; got {quoted(test)}."
        )
    other = list_folder(test)
    known = set(listing.all_labels)
    surplus = sorted(set(other.all_labels) - known)
    if surplus and task != "regression":
        raise RequestError(
            f"The classes of {test} must be among those of the training pictures "
            f"({', '.join(sorted(known))}); it has {', '.join(map(quoted, surplus))} too."
        )
    return replace(
        listing,
        paths=listing.paths | {"test": other.files},
        labels=listing.labels | {"test": other.all_labels},
        left_out=dict(Counter(listing.left_out) + Counter(other.left_out)),
    )


def _check_counts(listing: Listing) -> None:
    """Refuse a class with fewer pictures than there are splits to cut from them."""
    cut = {"train", "val", "test"} - listing.paths.keys()
    needed = 1 + len(cut - {"train"})
    counts = Counter(listing.labels["train"])
    few = {label: n for label, n in counts.items() if n < needed}
    if few:
        found = ", ".join(f"{quoted(label)} has {n}" for label, n in sorted(few.items()))
        raise RequestError(
            f"Each class must have {needed} pictures or more, one for each split; in "
            f"{listing.root} {found}. Add pictures, or remove the folder."
        )


def _dataset(
    name: str, listing: Listing, prepared: Prepared, request: DataRequest, seed: int
) -> PictureDataset:
    regression = request.task == "regression"
    class_names = None if regression else tuple(sorted(set(listing.all_labels)))
    number = _numbers(listing) if class_names is None else {n: i for i, n in enumerate(class_names)}
    parts: dict[str, tuple[Array, Array]] = {}
    first = 0
    for split, labels in listing.labels.items():
        rows = slice(first, first + len(labels))
        first += len(labels)
        # a view of the mapped file, of which the splits are copies
        parts[split] = np.asarray(prepared.array[rows]), np.array([number[n] for n in labels])
    made = with_splits(
        PictureDataset,
        name,
        parts,
        seed,
        task="classification" if class_names else "regression",
        classes=len(class_names) if class_names else None,
        test=request.test if isinstance(request.test, float) else CUT,
    )
    facts = prepared.facts
    return replace(
        made,
        class_names=class_names,
        pictures={
            "size": list(made.shape[:2]),
            "asked": prepared.asked,
            "smallest": list(facts.smallest),
            "largest": list(facts.largest),
            "grey": facts.grey,
            "count": len(listing.files),
            "left_out": listing.left_out,
            "prepared": str(prepared.folder),
        },
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


def images(
    folder: str | Path,
    target: str | None = None,
    *,
    test: str | Path | float | None = None,
    image_size: int | tuple[int, int] | None = None,
    task: Task | None = None,
) -> DataFile:
    """Return pictures for `Experiment(dataset=…)`; they are decoded when a search begins.

    Args:
        folder: has one folder a class, or such folders in `train` and `test`, perhaps in `val`.
        target: nothing, for a folder.
        test: another such folder, or the fraction that is kept for the test; 0.2 if not given.
        image_size: pixels a side, or (height, width), that all are resized to; the median if not
            given.
        task: classification, if not given.

    Raises:
        RequestError: the size cannot be one.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if size is not None and not (
        isinstance(size, tuple | list)
        and len(size) == 2
        and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in size)
    ):
        raise RequestError(
            f"image_size must be a number of pixels, or (height, width); got {quoted(image_size)}."
        )
    request = DataRequest(
        target=target,
        task=task,
        test=str(test) if isinstance(test, Path) else test,
        image_size=None if size is None else (size[0], size[1]),
    )
    return DataFile(str(folder), request)
