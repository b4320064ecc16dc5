"""What a search starts from: configurations to be tried first, and an earlier run's trials."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EarlierTrial:
    """An ended trial of an earlier run.

    What it requested, its objective by epoch (None if not finite), how it went.
    """

    configuration: dict[str, Any]
    curve: dict[int, float | None]
    failed: bool


@dataclass(frozen=True)
class Starts:
    """`configurations` to be tried first, as given.

    `objective` is that of `trials`, where there are such.
    """

    source: str
    configurations: list[dict[str, Any]]
    objective: str | None = None
    trials: list[EarlierTrial] = field(default_factory=list)
