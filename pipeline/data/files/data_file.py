"""Which names mean data in files, and a dataset that is made of one."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.data.dataset import Dataset
from pipeline.data.request import DataRequest
from pipeline.errors import RequestError, quoted

# What reads a file, by the end of its name: "module:function", which takes (path, request, seed).
READERS = {
    ".csv": "pipeline.data.tables.table:read_table",
    ".tsv": "pipeline.data.tables.table:read_table",
    ".parquet": "pipeline.data.tables.table:read_table",
    ".feather": "pipeline.data.tables.table:read_table",
}


def is_data_file(name: str) -> bool:
    """Whether a dataset's name means data in a file, or in a folder that is no Python package."""
    if name.lower().endswith(tuple(READERS)):
        return True
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

    search_space: ClassVar[str] = "mlp"  # where none is named

    @property
    def __name__(self) -> str:
        """What messages and records call it."""
        return Path(self.path).stem

    def __call__(self, seed: int) -> Dataset:
        """Read it.

        Raises:
            RequestError: it is not there, or cannot be used; says the place.
        """
        from importlib import import_module

        if not os.path.exists(self.path):
            raise RequestError(f"Data must exist; there is no file {quoted(self.path)}.")
        ending = next(e for e in READERS if self.path.lower().endswith(e))
        module, _, function = READERS[ending].partition(":")
        dataset: Dataset = getattr(import_module(module), function)(self, seed)
        return dataset
