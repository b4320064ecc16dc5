"""A sweep's directory: a folder a sitting, each with its runs and a record of how far it is.

    runs/nightly/
      .lock
      20261122-220000/     a sitting
        sweep.json         what was asked, and how far it is
        experiments/       NAME.yaml: what each search was asked
        logs/              NAME.log: what each search said
        runs/              NAME/: the run directories
        comparison.md      each experiment beside the sitting before      comparison.json

A start goes on with the last sitting if it was cut off and has time left. If it ended with
failures, a start within an hour tries those again, as a scheduler's retry does. Every other start
begins a new sitting, and so does one whose sweep file asks for something else.
"""

import fcntl
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.records.entries.former_names import SETTINGS, renamed
from pipeline.records.layout import Layout, persist, write_whole
from pipeline.sweeps.request import Sweep

# Schedulers try again within minutes, also where a cluster's machines must be had anew; nights are
# further apart.
RETRY_S = 3600.0


@dataclass
class Outcome:
    """How an experiment of a sitting ended, if it has."""

    status: Literal["unfinished", "done", "failed"] = "unfinished"
    error: str | None = None


@dataclass
class _Record:
    """What `sweep.json` holds.

    `seen` is when it was last written, `spent_s` the time that was searched until then.
    """

    asked: dict[str, Any]
    outcomes: dict[str, Outcome]
    began: float = field(default_factory=time.time)
    seen: float = field(default_factory=time.time)
    spent_s: float = 0.0


_RECORD = TypeAdapter(_Record)


def _sound(record: _Record) -> _Record:
    asked = record.asked.get("experiments")
    if not isinstance(asked, dict) or asked.keys() != record.outcomes.keys():
        raise ValueError("its experiments are not those that were asked for")
    if not all(isinstance(settings, dict) for settings in asked.values()):
        raise ValueError("an experiment must be settings")
    record.asked["experiments"] = {name: _as_now_asked(each) for name, each in asked.items()}
    return record


def _as_now_asked(settings: dict[str, Any]) -> dict[str, Any]:
    """An experiment of an earlier version, as it would be asked for now.

    A setting has today's name, and one that there was not yet has its default.
    """
    now = yaml.safe_load(Experiment(dataset="").to_yaml())
    return {name: value for name, value in now.items() if name != "dataset"} | renamed(
        settings, SETTINGS
    )


class Sitting:
    """One time that a sweep was carried out, be it by several processes after each other."""

    def __init__(self, root: Path, record: _Record) -> None:
        self.root, self.record = root, record
        self.comparison_table = root / "comparison.md"
        self.comparison = root / "comparison.json"

    @classmethod
    def read(cls, root: Path) -> "Sitting":
        """Read what `save` wrote.

        Raises:
            RequestError: it is damaged.
        """
        path = root / "sweep.json"
        try:
            return cls(root, _sound(_RECORD.validate_json(path.read_bytes(), strict=True)))
        except (OSError, ValueError) as error:
            fault = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise RequestError(
                f"{path} must say how far the sitting is; it is damaged: {one_line(fault)}. "
                f"Without {root} the sweep "
                "begins a new one."
            ) from error

    @property
    def name(self) -> str:
        """When it began."""
        return self.root.name

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Of each experiment."""
        return self.record.outcomes

    def settings(self, experiment: str) -> dict[str, Any]:
        """What an experiment was asked to do."""
        return dict(self.record.asked["experiments"][experiment])

    def asked(self, experiment: str) -> Path:
        """What a search is given as its experiment."""
        return self.root / "experiments" / f"{experiment}.yaml"

    def log(self, experiment: str) -> Path:
        """What a search says."""
        return self.root / "logs" / f"{experiment}.log"

    def run(self, experiment: str) -> Layout:
        """A search's run directory."""
        return Layout(self.root / "runs" / experiment)

    def save(self) -> None:
        """Write the record."""
        self.record.seen = time.time()
        self.write(self.root / "sweep.json", asdict(self.record))

    def write(self, path: Path, content: str | dict[str, Any]) -> None:
        """Write one of the sitting's files, text or JSON; retry for a while where storage fails."""
        text = (
            content
            if isinstance(content, str)
            else json.dumps(content, indent=2, allow_nan=False) + "\n"
        )
        persist(Layout(self.root), path, lambda: write_whole(path, text))

    def goes_on(self, sweep: Sweep) -> bool:
        """Whether a start of the sweep goes on with this one."""
        if self.record.asked != sweep.asked():
            return False
        recent = time.time() - self.record.seen < RETRY_S
        time_left = sweep.time_budget_s is None or self.record.spent_s < sweep.time_budget_s
        statuses = {outcome.status for outcome in self.outcomes.values()}
        return ("unfinished" in statuses and (time_left or recent)) or (
            "failed" in statuses and recent
        )


class Sittings:
    """All of a sweep's, the oldest first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        found = [Sitting.read(file.parent) for file in directory.glob("*/sweep.json")]
        self.all = sorted(found, key=lambda sitting: (sitting.record.began, sitting.name))

    def gone_on_with(self, sweep: Sweep) -> Sitting | None:
        """The last one, if a start of the sweep goes on with it."""
        return self.all[-1] if self.all and self.all[-1].goes_on(sweep) else None

    def begin(self, sweep: Sweep) -> Sitting:
        """A new one, recorded."""
        stem = time.strftime("%Y%m%d-%H%M%S")
        names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        root = next(root for root in (self.directory / name for name in names) if not root.exists())
        sitting = Sitting(
            root, _Record(sweep.asked(), {name: Outcome() for name in sweep.experiments})
        )
        sitting.save()
        self.all.append(sitting)
        return sitting


@contextmanager
def open_sittings(directory: Path) -> Iterator[Sittings]:
    """A sweep's directory for this process alone, which lets it go when it ends, however it ends.

    Raises:
        RequestError: another sweep has it, or it cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / ".lock").open("a")
    except OSError as error:
        raise RequestError(
            f"A sweep's directory must be a folder that can be written to; {one_line(str(error))}."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RequestError(
                f"A sweep's directory must belong to one process; {directory} is in use by another."
            ) from error
        yield Sittings(directory)
