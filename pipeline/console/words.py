"""Values, durations and paths as a person reads them."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipeline.records.store.remote import RemotePath


def in_one_line(values: Mapping[str, Any]) -> str:
    """Names with their values: `units=64 rate=0.001`."""
    return " ".join(f"{name}={in_words(value)}" for name, value in values.items())


def in_words(value: Any) -> str:
    """A value as short as it may be read: four digits of a float."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short(path: Path | RemotePath) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return (
        str(path.relative_to(here))
        if isinstance(path, Path) and path.is_relative_to(here)
        else str(path)
    )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: `1:02:03`."""
    return str(timedelta(seconds=round(seconds)))
