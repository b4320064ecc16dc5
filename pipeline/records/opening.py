"""A run to be read, on this machine or brought here from an object store."""

from pathlib import Path

from pipeline.records.layout import Layout
from pipeline.records.store.remote import RemotePath, location


def opened(directory: str | Path | RemotePath) -> Layout:
    """The layout of a run to be read.

    Raises:
        RequestError: it is in an object store, which cannot be read.
    """
    place = location(directory)
    if isinstance(place, Path):
        return Layout(place)
    from pipeline.records.store.mirror import brought_here

    return brought_here(place)
