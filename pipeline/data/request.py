"""What is asked of data that come in files, or as a table: which column is predicted, and how."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.data.arrays import Task
from pipeline.errors import RequestError, quoted

# What a column may be taken for.
KINDS = ("number", "yes/no", "category", "date", "text", "identifier")
CUT = 0.2  # of the examples: for validation, and for the test
# What means nothing but for tables, with what the command line calls it.
OF_TABLES = {"drop": "drop", "kinds": "column", "group": "group", "time": "time"}


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

    @property
    def test_share(self) -> float:
        """The fraction that is cut for the test where there is no test split."""
        return CUT if self.test is None or isinstance(self.test, str) else self.test

    def check_no_table(self, called: str, holds: str, allowed: Collection[str] = ()) -> None:
        """Refuse what is asked of tables alone.

        Args:
            called: what messages call the data.
            holds: what they are: pictures, arrays.
            allowed: names of OF_TABLES that mean something for them too.

        Raises:
            RequestError: names the setting.
        """
        for name, setting in OF_TABLES.items():
            if name not in allowed and getattr(self, name):
                raise RequestError(f"--{setting} is for tables; {called} holds {holds}.")


def image_size_of(given: Any) -> tuple[int, int] | None:
    """(height, width) in pixels.

    Args:
        given: a number of pixels, "64" or "48x64", or (height, width); None for the median.

    Raises:
        RequestError: it is none of these.
    """
    if given is None:
        return None
    if isinstance(given, str):
        text = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", given)
        sides = [int(side) for side in text.groups() if side] if text else []
    elif isinstance(given, tuple | list):
        sides = list(given) if len(given) == 2 else []
    else:
        sides = [given]
    if not sides or not all(type(side) is int and side > 0 for side in sides):
        raise RequestError(
            "image_size must be a number of pixels, HEIGHTxWIDTH (64, 48x64) or, from Python, "
            f"(height, width); got {quoted(given)}."
        )
    return sides[0], sides[-1]
