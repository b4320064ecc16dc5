"""Which pictures there are, and what each shows: in a folder with one folder a class."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.data.dataset import SPLITS, kind_of
from pipeline.data.files.data_file import READERS
from pipeline.errors import LISTED, RequestError, quoted

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
# Folders that are no classes, but splits, where nothing else lies beside them.
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

LOOSE = "in no class's folder"  # of what is left out


@dataclass(frozen=True)
class Listing:
    """Pictures with what each shows, by split.

    Args:
        root: the folder, or the list, that they are from.
        paths: the files of each split, in the order of the labels; what is missing of `val` and
            `test` is still to be cut from `train`.
        labels: what each shows: its class's name.
        left_out: what else there is, in words, with its count.
    """

    root: Path
    paths: dict[str, list[str]]
    labels: dict[str, list[str]]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """All files, split after split."""
        return [path for paths in self.paths.values() for path in paths]

    @property
    def all_labels(self) -> list[str]:
        """All labels, split after split."""
        return [label for labels in self.labels.values() for label in labels]


def is_picture(name: str) -> bool:
    """Whether a file is a picture, by the end of its name."""
    return name.lower().endswith(ENDINGS) and not _is_hidden(name)


def list_folder(folder: str) -> Listing:
    """The pictures of a folder that has one folder a class, or such folders in train/ and test/.

    Raises:
        RequestError: there are no classes in it, or no pictures.
    """
    root = Path(folder)
    found, left_out = _classes(root)
    names = {name: SPLIT_FOLDERS.get(name.lower()) for name in found}
    if "train" in names.values() and all(names.values()):
        return _list_splits(root, names, left_out)
    _check_classes(root, found)
    return Listing(root, {"train": _joined(found)}, {"train": _labels(found)}, dict(left_out))


def pictures_in(given: Any) -> list[str]:
    """The files of pictures whose classes nobody knows.

    Args:
        given: the path of a picture, or of a folder with pictures at any depth; or a list of such.

    Raises:
        RequestError: it is none of these, or there is no such file.
    """
    must = "Pictures must be given as a path, a list of paths or a folder"
    if isinstance(given, list | tuple):
        return [path for each in given for path in pictures_in(each)]
    if not isinstance(given, str | os.PathLike):
        raise RequestError(f"{must}; got {kind_of(given)}.")
    path = os.path.expanduser(os.fspath(given))
    if os.path.isdir(path):
        found = [os.path.join(f, n) for f, _, names in _walk(path) for n in names if is_picture(n)]
        if not found:
            raise RequestError(f"{must}; {path} has no pictures in it.")
        return sorted(found)
    if not os.path.isfile(path):
        raise RequestError(f"{must}; there is no file {quoted(path)}.")
    return [path]


def check_known(classes: Iterable[str], known: Iterable[str], called: Any) -> None:
    """Refuse classes that training knows nothing of.

    Raises:
        RequestError: names them.
    """
    trained = sorted(set(known))
    surplus = sorted(set(classes).difference(trained))
    if surplus:
        raise RequestError(
            f"The classes of {called} must be among those of the training pictures "
            f"({', '.join(trained)}); it has {', '.join(map(quoted, surplus))} too."
        )


def _list_splits(root: Path, names: dict[str, str | None], left_out: Counter[str]) -> Listing:
    """Pictures that lie in train/, val/ and test/ already."""
    splits: dict[str, dict[str, list[str]]] = {}
    left_out = left_out.copy()
    for name, split in sorted(names.items(), key=lambda pair: SPLITS.index(str(pair[1]))):
        if split in splits:
            raise RequestError(
                f"A folder of pictures must have one folder a split; {root} has several for "
                f"{split}: {', '.join(n for n, s in sorted(names.items()) if s == split)}."
            )
        splits[str(split)], more = _classes(root / name)
        left_out[LOOSE] += more[LOOSE]  # the others were counted already
        _check_classes(root / name, splits[str(split)], splits.get("train"))
    return Listing(
        root,
        {split: _joined(found) for split, found in splits.items()},
        {split: _labels(found) for split, found in splits.items()},
        dict(+left_out),
    )


def _classes(root: Path) -> tuple[dict[str, list[str]], Counter[str]]:
    """The pictures of each class, and what is left out.

    Raises:
        RequestError: a folder cannot be read.
    """
    found: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    for folder, folders, names in _walk(str(root)):
        left_out["hidden"] += sum(map(_is_hidden, names)) + sum(map(_is_hidden, folders))
        seen = [name for name in names if not _is_hidden(name)]
        pictures = sorted(name for name in seen if is_picture(name))
        left_out["no pictures"] += len(seen) - len(pictures)
        inner = Path(folder).relative_to(root).parts
        if not inner:
            left_out[LOOSE] += len(pictures)
        elif pictures:
            if not inner[0].isprintable():  # what Python makes of bytes that are no UTF-8 neither
                raise RequestError(
                    f"A class must be called by text in one line; {root} has the folder "
                    f"{quoted(inner[0])}."
                )
            found.setdefault(inner[0], []).extend(os.path.join(folder, name) for name in pictures)
    return {name: sorted(found[name]) for name in sorted(found)}, +left_out


def _walk(root: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Folders with what they hold, links followed, hidden ones not gone into.

    Raises:
        RequestError: one cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise RequestError(
            f"A folder of pictures must be readable; {error.filename}: {error.strerror}."
        ) from error

    met: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        place = os.stat(folder)
        if (place.st_dev, place.st_ino) in met:  # a link to a folder that it lies in
            folders.clear()
            continue
        met.add((place.st_dev, place.st_ino))
        yield folder, list(folders), names
        folders[:] = sorted(name for name in folders if not _is_hidden(name))


def _check_classes(
    root: Path, found: dict[str, list[str]], known: dict[str, list[str]] | None = None
) -> None:
    """Refuse a folder without two classes, or with one that training knows nothing of."""
    must = "A folder of pictures must have one folder a class"
    if not found:
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries)
        if not names:
            raise RequestError(f"{must}; {root} is empty.")
        beside = sum(map(is_picture, names))
        if beside:
            raise RequestError(
                f"{must}; {root} has {beside} pictures and no such folders. Put the pictures of "
                "each class in a folder of its own, or name them and their labels in a CSV."
            )
        tables = [name for name in names if name.lower().endswith(tuple(READERS))]
        if tables:
            raise RequestError(
                f"{must}; {root} has none, but data in files. Give one: {root / tables[0]}."
            )
        more = ", …" if len(names) > LISTED else ""
        raise RequestError(
            f"{must}; {root} has neither pictures nor data that are known: "
            f"{', '.join(map(quoted, names[:LISTED]))}{more}."
        )
    if known is not None:
        check_known(found, known, root)
    elif len(found) == 1:
        (name,) = found
        inner = {Path(path).relative_to(root / name).parts[0] for path in found[name]}
        nested = len(inner) > 1 and not any(map(is_picture, inner))
        raise RequestError(
            f"Pictures must be of two classes or more; {root} has the folder {quoted(name)} alone."
            + f" If its folders are the classes, give {root / name}." * nested
        )


def _joined(found: dict[str, list[str]]) -> list[str]:
    return [path for paths in found.values() for path in paths]


def _labels(found: dict[str, list[str]]) -> list[str]:
    return [name for name, paths in found.items() for _ in paths]


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
