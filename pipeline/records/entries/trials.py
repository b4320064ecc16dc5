"""A trial's record: what a worker tells of it, and what is decided on it."""

import functools
import json
import os
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from pipeline.errors import RequestError
from pipeline.facts import Value
from pipeline.records.checksummed import Warned, damaged, read_checksummed, validate
from pipeline.records.entries.former_names import TRIAL, renamed
from pipeline.records.entries.trial_ids import sort_key
from pipeline.records.layout import Layout
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, from_dict

# A duplicate is a trial whose first report showed that another trial has the same configuration: it
# was ended then, none of its epochs is recorded, and it does not count.
Status = Literal["running", "finished", "stopped", "failed", "duplicate"]
COUNTED: tuple[Status, ...] = ("finished", "stopped", "failed")
ENDED: tuple[Status, ...] = (*COUNTED, "duplicate")


@dataclass(kw_only=True)
class TrialFacts:
    """The facts of a trial that a worker tells; they pass into the record as they are.

    What is None is not known.
    """

    # hyperparameters as plain data, in order, each with its "value" and whether "build" or "fit"
    # asked for it ("asked_by")
    requested: list[dict[str, Any]] | None = None
    node: str | None = None
    node_id: str | None = None
    devices: str | None = None
    fit_plan: str | None = None  # how its steps were carried out, and why so
    measured: dict[str, Value] | None = None  # by the files of `pipeline.facts`

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Name to value of what was requested."""
        if self.requested is None:
            return {}
        return {item["name"]: item["value"] for item in self.requested}

    @property
    def asked_by_build(self) -> int:
        """How many of them `build` asked for; they come first."""
        return sum(item["asked_by"] == "build" for item in self.requested or ())

    @property
    def asked(self) -> Requested:
        """What was requested: each hyperparameter and its value, in order.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: these are none.
        """
        return [(_spec_of(item), item["value"]) for item in self.requested or ()]

    def known(self) -> dict[str, Any]:
        """Each fact by its name, as far as it is known."""
        facts = {name: getattr(self, name) for name in _FACTS}
        return {name: value for name, value in facts.items() if value is not None}


_FACTS = tuple(field.name for field in fields(TrialFacts))


@dataclass
class TrialRecord(TrialFacts):
    """One trial.

    `configuration` is what the searcher gave, `requested` what `build` and `fit` asked for;
    `fit_plan` says from which epoch on it was another.
    """

    trial: str
    configuration: dict[str, Any]
    status: Status = "running"
    error: str | None = None
    traceback: str | None = None
    fault: str | None = None  # where, if the program is at fault and not the configuration
    gpus: float | None = None  # if not the share that the search asked for, which was too little
    outgrown: int | None = None  # the last epoch before it ran out of that share, if it did
    # Where another's weights were taken over: after which "epoch", "from" which trial, and what was
    # in force "before".
    changes: list[dict[str, Any]] = field(default_factory=list)
    after: int = 0  # epochs of all trials that were recorded when it was decided on
    started: float = field(default_factory=time.time)
    ended: float | None = None
    epochs: int | None = None  # once it has ended: the last that is recorded

    def with_fit_plan(self, plan: str, epoch: int) -> str:
        """Its `fit_plan` once it is known how this epoch's steps were carried out."""
        if self.fit_plan and not self.fit_plan.endswith(plan):
            return f"{self.fit_plan}, from epoch {epoch} {plan}"
        return self.fit_plan or plan

    def in_force(self, epoch: int) -> dict[str, Any]:
        """Name to value of what was requested in `epoch`."""
        for change in self.changes:
            if epoch <= change["epoch"]:
                return dict(change["before"])
        return self.hyperparameters

    @property
    def asked(self) -> Requested:
        """What was requested: each hyperparameter and its value, in order.

        Raises:
            RequestError: the record was written by hand, and these are none.
        """
        try:
            return super().asked
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError(
                f"A trial's record must hold what it requested; that of {self.trial} is damaged: "
                f"{error!r:.200}."
            ) from error

    def to_plain(self) -> dict[str, Any]:
        """As its file holds it: the trial first."""
        plain = asdict(self)
        return {name: plain[name] for name in _ORDER}


_ORDER = tuple(dict.fromkeys(["trial", *(f.name for f in fields(TrialRecord))]))
_RECORD = TypeAdapter(TrialRecord)


def as_plain(requested: Requested, asked_by_build: int) -> list[dict[str, Any]]:
    """What was requested, the first `asked_by_build` of it by `build`, as a record holds it.

    The inverse of its `asked`.
    """
    return [
        {**spec.to_dict(), "asked_by": "build" if place < asked_by_build else "fit", "value": value}
        for place, (spec, value) in enumerate(requested)
    ]


def _spec_of(item: dict[str, Any]) -> Hyperparameter:
    return _spec(json.dumps({k: v for k, v in item.items() if k not in ("value", "asked_by")}))


@functools.lru_cache(maxsize=1024)
def _spec(plain: str) -> Hyperparameter:
    """Trials share their hyperparameters: of 10,000 there are no more than the space has."""
    return from_dict(json.loads(plain))


def read_trials(layout: Layout, warned: Warned | None = None) -> dict[str, TrialRecord]:
    """Every trial's record, in the order of the trials.

    `warned` is for the process that writes the run: see `checksummed.read_checksummed`.

    Raises:
        RequestError: a record is damaged, and so is its copy; the message names it.
    """
    records = {}
    names = _folders(layout.trials) | _folders(layout.copy(layout.trials))
    for name in sorted(names, key=sort_key):
        path = layout.trial_record(name)
        try:
            records[name] = read_checksummed(layout, path, functools.partial(_record, name), warned)
        except FileNotFoundError:  # the folder of a trial whose record was never written
            continue
        except ValueError as error:
            raise damaged(path, "one trial's record", error) from error
    return records


def _record(name: str, plain: dict[str, Any]) -> TrialRecord:
    plain = renamed(plain, TRIAL)
    record = TrialRecord(**plain)
    validate(_RECORD, plain)
    record.hyperparameters, record.in_force(0)  # each item has what it must have
    if record.trial != name:
        raise ValueError(f"it is of trial {record.trial!r}")
    return record


def _folders(path: Path) -> set[str]:
    if not path.is_dir():
        return set()
    with os.scandir(path) as entries:
        return {entry.name for entry in entries if entry.is_dir()}
