"""The pictures of a folder that Hugging Face's `save_to_disk` wrote."""

from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.data.files.data_file import DataFile
from pipeline.data.files.hugging_face import Saved, saved_splits
from pipeline.data.pictures.collection import Collection, check_test, consecutive
from pipeline.data.pictures.sources import ArrowColumn
from pipeline.data.request import DataRequest
from pipeline.data.tables.from_frame import check_names
from pipeline.data.tables.place import Place
from pipeline.data.tables.target import read_target, understood_target
from pipeline.errors import RequestError


def has_pictures(folder: str, request: DataRequest) -> bool:
    """Whether a column of it is of pictures."""
    try:
        splits, _ = saved_splits(folder)
    except RequestError:  # whoever reads it says what is wrong
        return False
    return bool(set(splits["train"].pictures) - set(request.drop))


def of_saved(file: DataFile) -> Collection:
    """The pictures of such a folder, with the column that they are to tell.

    Raises:
        RequestError: it cannot be used; says the place.
    """
    request = file.request
    request.check_no_table(file.path, "pictures", allowed=("drop",))
    splits, others = saved_splits(file.path)
    train = splits["train"]
    column, target = _columns(train, request, file.path)
    if isinstance(request.test, str):
        raise RequestError(
            f"--test must be a fraction for pictures of Hugging Face's; got {request.test}."
        )
    arrows = [arrow for saved in splits.values() for arrow in saved.arrows]
    labels = {split: _labels(saved, target) for split, saved in splits.items()}
    rows = consecutive({split: len(found) for split, found in labels.items()})
    left_out = {f"split {name}": 1 for name in others}
    beside = [name for name in train.features if name not in (column, target, *request.drop)]
    if beside:
        left_out[f"other columns ({', '.join(beside)})"] = len(beside)
    names = train.class_names(target)
    for split in list(labels):
        known = labels[split].notna().to_numpy()
        if names is not None:  # -1 is no label
            known = known & ~(labels[split] < 0).to_numpy()
        if not known.all():
            left_out[f"of {split} without {target}"] = int((~known).sum())
        labels[split], rows[split] = labels[split][known], rows[split][known]
        if not known.any() and split != "train":
            del labels[split], rows[split]
    check_test(request, file.path, "test" in labels)
    targets, task, class_names = _targets(labels, names, request, file.path)
    return Collection(
        file.path, ArrowColumn(arrows, column), rows, targets, task, class_names, left_out
    )


def _columns(train: Saved, request: DataRequest, called: str) -> tuple[str, str]:
    """The column of pictures and the target's."""
    pictures = [name for name in train.pictures if name not in request.drop]
    if len(pictures) > 1:
        raise RequestError(
            f"{called} must have one column of pictures; it has {', '.join(pictures)}. Leave the "
            f"others out: --drop {pictures[1]}."
        )
    others = [name for name in train.features if name not in (pictures[0], *request.drop)]
    if request.target is None and len(others) == 1:
        return pictures[0], others[0]
    check_names(request, list(train.features), called)
    target = str(request.target)
    if target == pictures[0]:
        raise RequestError(f"target must be no column of pictures; {target!r} is one of {called}.")
    return pictures[0], target


def _labels(saved: Saved, target: str) -> Any:
    rows = saved.rows()
    if target not in rows.column_names:
        raise RequestError(f"{saved.folder} must have the column {target!r}; it has not.")
    kind = rows.schema.field(target).type
    if kind.num_fields:  # lists, structures
        raise RequestError(
            f"{saved.folder}, column {target!r}: a target must be one value; it is {kind}."
        )
    return rows.column(target).to_pandas().rename(target)


def _targets(
    labels: dict[str, Any], names: list[str] | None, request: DataRequest, called: str
) -> tuple[dict[str, Array], Any, tuple[str, ...] | None]:
    """Targets by split, the task and the classes' names."""
    if names is not None and request.task != "regression":
        whole = {split: found.to_numpy(dtype=np.int64) for split, found in labels.items()}
        if len(names) < 2:
            raise RequestError(f"Pictures must be of two classes or more; {called} has {names}.")
        return whole, "classification", tuple(names)
    target = understood_target(labels["train"], request.task, Place(called, False))
    read = {
        split: read_target(found, target, Place(called, False)) for split, found in labels.items()
    }
    return read, target.task, target.class_names
