"""What passes between a trial's worker and the driver."""

from dataclasses import dataclass
from typing import Any

from pipeline.names import Source

RESOURCES = "resources"  # what a trial takes, in Tune's `config`
# What a result carries to the driver, beside what Tune adds.
EPOCH = "epoch"  # completed epochs
OBJECTIVE = "objective"  # always there, always finite: for schedulers
REPORTED = "reported"  # the same as it was, None if not finite: for the records
METRICS = "metrics"
FINAL = "final"  # what `fit` returned, and no epoch
SECONDS = "seconds"
HELD = "held_gib"  # by the worker, and what its node has
GROWN = "grown"  # the worker holds more memory than one that is to take another trial should
# with the first report, and again when it has grown, or the plan is another
REQUESTED = "requested"
ASKED_BY_BUILD = "asked_by_build"  # so many of them by `build`
PLACE = "place"
WARNING = "warning"  # what a person should know
FAILURE = "failure"
ENDED = "ended"


@dataclass(frozen=True)
class Setting:
    """What all trials of a run share. `data` holds the reference of the loaded dataset."""

    search_space: Source | Any
    data: list[Any]


class OutOfShare(Exception):
    """The trial ran out of memory on its share of a GPU: a whole one may be enough."""


class UnfitNode(Exception):
    """A node cannot train at all: CUDA's libraries are missing there, or a package."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(node, reason)
        self.node, self.reason = node, reason
