"""Which names mean data in files, and a dataset that is made of one."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.data.dataset import Dataset
from pipeline.data.files.checksum import checksum
from pipeline.data.request import DataRequest
from pipeline.errors import RequestError, quoted

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".feather")
# The "module:function" that reads a file, by the end of its name; it takes (DataFile, seed).
READERS = {
    **dict.fromkeys(TABLES, "pipeline.data.tables.table:read_table"),
    ".npz": "pipeline.data.files.numpy_files:read_npz",
    ".npy": "pipeline.data.files.numpy_files:read_npy",
}
LISTS = (".csv", ".tsv")  # these may be of pictures too
# The same of pictures, in whatever they are: what reads them, what decodes them and says how far it
# is, and what tells whether a file or a folder is of pictures.
PICTURES = "pipeline.data.pictures.pictures"
SAVED = "pipeline.data.files.hugging_face:read_saved"  # a folder of Hugging Face's


def is_data_file(name: str) -> bool:
    """Whether a dataset's name means data in a file, or in a folder that is no Python package."""
    if name.lower().endswith(tuple(READERS)):
        return True
    if name.endswith((".py", ".yaml", ".yml")):
        return False
    path = os.path.expanduser(name)
    return name.endswith(os.sep) or (
        os.path.isdir(path) and not os.path.exists(os.path.join(path, "__init__.py"))
    )


@dataclass(frozen=True)
class DataFile:
    """A file or a folder, and what is asked of it; called with a seed it gives the dataset.

    `storage` is where runs are kept: what takes long to prepare is kept there too.
    """

    path: str
    request: DataRequest
    storage: str = "runs"

    def __post_init__(self) -> None:
        """A home directory is one for every reader of the path."""
        object.__setattr__(self, "path", os.path.expanduser(self.path))

    @property
    def __name__(self) -> str:
        """The name of the dataset in messages and records."""
        return Path(self.path.removesuffix(".gz")).stem

    @property
    def search_space(self) -> str:
        """The search space for it, where none is named."""
        return "cnn" if self._holds_pictures else "mlp"

    @property
    def is_table(self) -> bool:
        """Whether it is a file of rows."""
        return not os.path.isdir(self.path) and self._ending in TABLES

    @property
    def distinctive(self) -> dict[str, Any]:
        """Facts that tell it from another: see `digest`."""
        return {"path": os.path.realpath(self.path)} | asdict(self.request)

    def checksums(self) -> dict[str, str]:
        """SHA-256 of each file that it is made of and that is there, by path."""
        paths = [self.path]
        if isinstance(self.request.test, str):
            paths.append(os.path.expanduser(self.request.test))
        target = str(self.request.target)
        if self.path.lower().endswith(".npy") and target.lower().endswith(".npy"):
            paths.append(target)
        return {path: checksum(path) for path in paths if os.path.exists(path)}

    def __call__(self, seed: int) -> Dataset:
        """Read it.

        Raises:
            RequestError: it is not there, or cannot be used; says the place.
        """
        self._check()
        if self._holds_pictures:
            reader = f"{PICTURES}:read_pictures"
        else:
            reader = SAVED if os.path.isdir(self.path) else READERS[self._ending]
        dataset: Dataset = _function(reader)(self, seed)
        return dataset

    def prepare(self, told: Callable[[str], None]) -> None:
        """Do what takes long, if anything does, and keep it: `told` hears how far it is.

        Raises:
            RequestError: it is not there, or cannot be used; says the place.
        """
        self._check()
        if self._holds_pictures:
            _function(f"{PICTURES}:prepare_pictures")(self, told)

    def _check(self) -> None:
        if not os.path.exists(self.path):
            raise RequestError(f"Data must exist; there is no file {quoted(self.path)}.")
        if os.path.isdir(self.path) and self.path.lower().endswith(tuple(READERS)):
            raise RequestError(f"{self.path} must be a file, as its name says; it is a folder.")
        if self.request.image_size is not None and not self._holds_pictures:
            raise RequestError(f"--image-size is for pictures in files; {self.path} is of none.")
        if self.path.lower().endswith(LISTS) and not self._holds_pictures:
            _function("pipeline.data.pictures.lists:check_no_list")(self)

    @property
    def _holds_pictures(self) -> bool:
        may_be = os.path.isdir(self.path) or self.path.lower().endswith(LISTS)
        return may_be and bool(_function(f"{PICTURES}:holds_pictures")(self))

    @property
    def _ending(self) -> str:
        return next(ending for ending in READERS if self.path.lower().endswith(ending))


def _function(named: str) -> Callable[..., Any]:
    """What is called `module:function`, imported where it is needed."""
    module, _, name = named.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
