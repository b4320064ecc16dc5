"""What is asked of data that come in files, or as a table: which column is predicted, and how."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.data.arrays import Task

# What a column may be taken for.
KINDS = ("number", "yes/no", "category", "date", "text", "identifier")


@dataclass(frozen=True)
class DataRequest:
    """What is asked of a table, of pictures or of arrays in files.

    Each is None, or empty, where that is left to us.

    Args:
        target: the column, or the array of an .npz file, that is to be predicted.
        drop: columns that are left out.
        kinds: of columns, by name: each one of KINDS.
        task: classification or regression.
        test: a file of test examples, or a fraction below 1 of all examples.
        image_size: (height, width) that pictures are resized to.
        group: a column whose examples of one value stay together.
        time: a column by which what is validated and tested is later than what trained.
    """

    target: str | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    task: Task | None = None
    test: str | float | None = None
    image_size: tuple[int, int] | None = None
    group: str | None = None
    time: str | None = None
