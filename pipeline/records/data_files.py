"""What the data in files of a run were when it began: a resume must find the same."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

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


def recorded_files(layout: Layout) -> dict[str, str]:
    """The checksum of each file by what it is called, fit for a summary; empty of no such data."""
    recorded: dict[str, str] = {}
    if file_or_copy_exists(layout, layout.data_files):
        with suppress(OSError, ValueError):  # a search that is done must not be lost on it
            recorded = read_checksummed(layout, layout.data_files)
    names = Counter(Path(path).name for path in recorded)
    return {_called(Path(path), names): checksum for path, checksum in recorded.items()}


def _called(path: Path, names: Mapping[str, int]) -> str:
    name = path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}"
    return f"the names and sizes of the files in {name}" if path.is_dir() else name


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
