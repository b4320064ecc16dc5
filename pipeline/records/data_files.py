"""What the data in files of a run were when it began: a resume must find the same."""

from collections.abc import Mapping

from pipeline.errors import RequestError, one_line
from pipeline.records.checksummed import (
    Warned,
    file_or_copy_exists,
    read_checksummed,
    write_checksummed,
)
from pipeline.records.layout import Layout


def write_data_files(layout: Layout, checksums: Mapping[str, str]) -> None:
    """Record the checksum of each file, if there are any."""
    if checksums:
        write_checksummed(layout, layout.data_files, dict(checksums))


def check_data_files(
    layout: Layout, checksums: Mapping[str, str], warned: Warned | None = None
) -> None:
    """Refuse to go on with a run on other data than it was begun with.

    Raises:
        RequestError: a file has changed, or the record is damaged in both copies.
    """
    if not checksums or not file_or_copy_exists(layout, layout.data_files):
        return
    try:
        recorded: dict[str, str] = read_checksummed(layout, layout.data_files, warned=warned)
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{layout.data_files} must hold the checksums of the data; {one_line(str(error))}."
        ) from error
    for path, checksum in checksums.items():
        if recorded.get(path, checksum) != checksum:
            raise RequestError(
                f"A resumed run keeps its data; {path} has changed since the run began. Put back "
                "what it was, or begin a new run, which --start-from can have learn from this one."
            )
