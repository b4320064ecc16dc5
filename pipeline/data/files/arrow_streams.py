"""Arrow's stream files, as Hugging Face's `save_to_disk` writes them."""

import os
from collections.abc import Sequence
from typing import Any

from pipeline.errors import RequestError


def read_streams(files: Sequence[str]) -> Any:
    """The rows of all files as one `pyarrow.Table`, mapped and not copied.

    Raises:
        RequestError: a file cannot be read; names it.
    """
    import pyarrow as pa

    tables = []
    for file in files:
        try:
            with pa.memory_map(file) as mapped:
                tables.append(pa.ipc.open_stream(mapped).read_all())
        except (OSError, pa.ArrowException) as error:
            number = getattr(error, "errno", None)  # pyarrow's own text goes on for lines
            said = os.strerror(number) if number else "it is cut off, or damaged"
            raise RequestError(
                f"{file} must be an Arrow stream file that can be read; {said}."
            ) from error
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException as error:
        raise RequestError(f"{files[0]} and those beside it must have the same columns.") from error
