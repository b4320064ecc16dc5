"""Datasets of pictures: decoded once, cut into splits, and what is known of them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.arrays import Array, Task
from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import DataFile
from pipeline.data.files.hugging_face import is_saved
from pipeline.data.pictures.collection import Collection, check_counts
from pipeline.data.pictures.folders import of_folder
from pipeline.data.pictures.lists import is_picture_list, of_list
from pipeline.data.pictures.prepared import Told, prepare
from pipeline.data.pictures.saved import has_pictures, of_saved
from pipeline.data.request import DataRequest, image_size_of
from pipeline.data.splits import with_splits


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureDataset(Dataset):
    """Pictures, uint8 `(n, height, width, channels)`.

    `pictures` are facts for the plan: `size` and `asked`, `smallest` and `largest`, `grey` and
    `count`, `left_out`, `prepared`, the folder of the array, and whether the runs are `remote`.
    """

    pictures: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """Return what the dataset is, without the arrays, fit for JSON."""
        return super().describe() | {"pictures": self.pictures}

    def preprocessing(self) -> dict[str, Any]:
        """How a picture becomes what the model takes, and what its outputs mean, fit for JSON."""
        return {
            "kind": "pictures",
            "task": self.task,
            "size": list(self.shape[:2]),
            "channels": self.shape[2],
            "class_names": None if self.class_names is None else list(self.class_names),
        }


def holds_pictures(file: DataFile) -> bool:
    """Whether a file or a folder is one of pictures; looks at little of it."""
    path = os.path.expanduser(file.path)
    if os.path.isdir(path):
        return not is_saved(path) or has_pictures(path, file.request)
    return is_picture_list(path, file.request)


def prepare_pictures(file: DataFile, told: Told) -> None:
    """Decode the pictures, unless that is done.

    Raises:
        RequestError: they cannot be used; says the place.
    """
    prepare(_found(file).source, file.request.image_size, file.storage, told)


def read_pictures(file: DataFile, seed: int) -> PictureDataset:
    """The dataset of a file or a folder of pictures.

    Raises:
        RequestError: it cannot be used; says the place.
    """
    found, request = _found(file), file.request
    prepared = prepare(found.source, request.image_size, file.storage)
    made = with_splits(
        PictureDataset,
        file.__name__,
        {
            split: (_taken(prepared.array, rows), found.targets[split])
            for split, rows in found.rows.items()
        },
        seed,
        task=found.task,
        classes=None if found.class_names is None else len(found.class_names),
        test=request.test_share,
    )
    facts = prepared.facts
    return replace(
        made,
        class_names=found.class_names,
        source=os.path.basename(os.path.abspath(file.path)),
        pictures={
            "size": list(made.shape[:2]),
            "asked": prepared.asked,
            "smallest": list(facts.smallest),
            "largest": list(facts.largest),
            "grey": facts.grey,
            "count": found.count,
            "left_out": dict(found.left_out),
            "prepared": str(prepared.folder),
            "remote": "://" in file.storage,
        },
    )


def _taken(array: Array, rows: Array) -> Array:
    """Some pictures; where none between them is left out not a copy, but the mapped file."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return np.asarray(array[rows[0] : rows[-1] + 1])
    return np.asarray(array[rows])


def _found(file: DataFile) -> Collection:
    path = os.path.expanduser(file.path)
    if os.path.isdir(path):
        found = of_saved(file) if is_saved(path) else of_folder(file)
    else:
        found = of_list(file)
    check_counts(found)
    return found


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
        folder: has one folder a class, or such folders in `train` and `test`, perhaps in `val`; a
            list, CSV or TSV, of pictures and labels; or what Hugging Face's `save_to_disk` wrote.
        target: of a list, or of Hugging Face's, the column of the labels.
        test: another such folder or list, or the fraction that is kept for the test; 0.2 if not
            given.
        image_size: pixels a side, or (height, width), that all are resized to; the median if not
            given.
        task: what the labels say, if not given.

    Raises:
        RequestError: the size cannot be one.
    """
    request = DataRequest(
        target=target,
        task=task,
        test=str(test) if isinstance(test, Path) else test,
        image_size=image_size_of(image_size),
    )
    return DataFile(str(folder), request)
