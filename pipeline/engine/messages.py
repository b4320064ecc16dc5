"""What passes between a trial's worker and the driver."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.names import Source
from pipeline.objective import Objective
from pipeline.records.entries.reports import EpochReport
from pipeline.records.entries.trials import TrialFacts
from pipeline.worker.faults import Failure

RESOURCES = "resources"  # what a trial takes, in Tune's `config`
# What a result carries to the driver, beside what Tune adds.
EPOCH = "epoch"  # completed epochs
OBJECTIVE = "objective"  # always there, always finite: for schedulers
MESSAGE = "message"  # all that the worker tells


@dataclass(frozen=True)
class WorkerMemory:
    """What a worker holds of its node's memory, in GiB.

    `grown` says that it holds more than one that is to take another trial should.
    """

    held_gib: float
    node_gib: float
    grown: bool


@dataclass(frozen=True)
class TrialMessage:
    """What a trial's worker tells at each report and at the end.

    `report` is None if the trial ended before its first. `facts` come with the first report, and
    again when they have changed. `warning` is what a person should know.
    """

    report: EpochReport | None = None
    facts: TrialFacts | None = None
    warning: str = ""
    failure: Failure | None = None
    ended: bool = False
    memory: WorkerMemory | None = None

    def to_result(self, objective: Objective) -> dict[str, Any]:
        """As Tune takes it.

        The objective is always there and finite, or schedulers fail in their own ways.
        """
        value = self.report.objective if self.report and self.failure is None else None
        return {
            EPOCH: self.report.epoch if self.report else 0,
            OBJECTIVE: objective.worst if value is None else value,
            MESSAGE: self,
            "done": self.ended,
        }


def message_of(result: dict[str, Any]) -> TrialMessage:
    """What a worker told with a result of Tune's; nothing where the result is Tune's own."""
    message = result.get(MESSAGE)
    return message if isinstance(message, TrialMessage) else TrialMessage()


@dataclass(frozen=True)
class Setting:
    """What all trials of a run share.

    `data` holds the reference of the loaded dataset; `process` is what a process has, where several
    trials share it.
    """

    search_space: Source | Any
    data: list[Any]
    process: dict[str, float] = field(default_factory=dict)


class OutOfShare(Exception):
    """The trial ran out of memory on its share of a GPU: a whole one may be enough."""


class UnfitNode(Exception):
    """A node cannot train at all: CUDA's libraries are missing there, or a package."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(node, reason)
        self.node, self.reason = node, reason
