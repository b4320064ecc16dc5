"""What a person sees of a run.

A live table in a terminal, plain lines elsewhere, and the result at the end.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.experiment import SCHEDULERS, SEARCHERS, UNBOUNDED, label
from pipeline.names import registered
from pipeline.objective import Objective
from pipeline.records.ledger import Report, TrialRecord
from pipeline.records.mirror import at_home
from pipeline.records.remote import RemotePath, location
from pipeline.records.results import Results
from pipeline.watch import SearchPlan, Watcher

HEARTBEAT_S = 10.0  # between two lines where there is no terminal
REFRESH_S = 0.5
ROWS = 14  # of the live table: what runs, then the best


def print_plain(text: str) -> None:
    """Print to standard output as it is: no markup, no wrapping."""
    Console(soft_wrap=True, highlight=False).print(Text(text))


def print_error(
    message: str, traceback: str = "", nodes: Sequence[tuple[str, str, str]] = ()
) -> None:
    """The user's traceback first, then one line, to standard error.

    Below it what is wrong with nodes of a cluster.
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if traceback:
        console.print(Text(traceback.rstrip()))
    console.print(Text(f"Error: {message}"))
    if nodes:
        table = Table("node", "what is wrong", "what to do", box=None, pad_edge=False)
        for row in nodes:
            table.add_row(*map(Text, row))
        console.print(table, soft_wrap=False)


class Display(Watcher):
    """Shows a run while it goes on."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._records: dict[str, TrialRecord] = {}
        self._last: dict[str, Report] = {}
        self._best: dict[str, Report] = {}
        self._waiting: set[str] = set()
        self._ended = self._epochs = self._tried_before = 0
        self._begun = False  # whether a trial was started by this process
        self._plan: SearchPlan | None = None
        self._began = self._drawn = self._said = time.monotonic()
        self._live: Live | None = None

    def preparing(self, what: str) -> None:
        """One line a step."""
        self._say(f"{what[0].upper()}{what[1:]} …")

    def planned(self, plan: SearchPlan) -> None:
        """What will be done."""
        self._plan = plan
        self._began = time.monotonic()
        if not self.quiet:
            print_rows(self.console, plan_rows(plan))
        self._say(f"Records: {short(plan.directory)}")

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """Count what was done before."""
        said, self.quiet = self.quiet, True
        for record in trials:
            self.started(record)
        for report in reports:
            self.reported(report)
        for record in trials:
            if record.status != "running":
                self.ended(record)
        self.quiet, self._tried_before, self._begun = said, self._tried, False

    def warned(self, text: str) -> None:
        """A line that is shown to who asked for quiet too."""
        self.console.print(Text(f"Warning: {text}"))

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Draw the table while trials run, if this is a terminal."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        with Live(self._table(), console=self.console, auto_refresh=False, transient=False) as live:
            self._live = live
            try:
                yield
            finally:
                live.update(self._table(), refresh=True)
                self._live = None

    def started(self, record: TrialRecord) -> None:
        """A trial runs."""
        self._records[record.trial] = record
        self._waiting.discard(record.trial)
        self._begun = True

    def waits(self, record: TrialRecord) -> None:
        """A trial is paused."""
        self._waiting.add(record.trial)
        if not self._begun:
            self._tried_before += 1
        elif not self._live:
            self._say(f"{self._line(record.trial)}  {values_of(record)}")

    def reported(self, report: Report) -> None:
        """An epoch is done."""
        self._records.setdefault(report.trial, TrialRecord(report.trial, {}))
        self._last[report.trial] = report
        self._epochs += 1
        held = self._best.get(report.trial)
        beaten = held.objective if held and not report.final else None
        if report.objective is not None and self._objective.better(report.objective, beaten):
            self._best[report.trial] = report
        if not self._live and time.monotonic() - self._said > HEARTBEAT_S:
            self._say(f"{self._line(report.trial)}  {self._progress()}")

    def ended(self, record: TrialRecord) -> None:
        """A trial is over."""
        self._records[record.trial] = record
        self._waiting.discard(record.trial)
        self._ended += record.status != "duplicate"
        if not self._live:
            self._say(f"{self._line(record.trial)}  {values_of(record)}")

    def tick(self) -> None:
        """Draw again, now and then."""
        if self._live and time.monotonic() - self._drawn > REFRESH_S:
            self._live.update(self._table(), refresh=True)
            self._drawn = time.monotonic()

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(Text(text))
            self._said = time.monotonic()

    @property
    def _objective(self) -> Objective:
        assert self._plan is not None
        return self._plan.objective

    def _line(self, trial: str) -> str:
        record, best = self._records[trial], self._best.get(trial)
        epoch = self._last[trial].epoch if trial in self._last else 0
        value = f"{best.objective:.5g}" if best and best.objective is not None else "none"
        reason = f" ({record.error})" if record.error else ""
        status = f"{trial} {self._status(record):<8} epoch {epoch:>2}"
        return f"{status}  best {self._objective.name} {value}{reason}"

    def _status(self, record: TrialRecord) -> str:
        return "waiting" if record.trial in self._waiting else record.status

    @property
    def _tried(self) -> int:
        """Trials that have ended, or wait and may have been all they will be."""
        return self._ended + len(self._waiting)

    def _leader(self) -> Report | None:
        ranked = sorted(self._best.values(), key=lambda r: self._objective.loss(r.objective))
        return ranked[0] if ranked else None

    def _progress(self) -> str:
        assert self._plan is not None
        total, leader = self._plan.experiment.trials, self._leader()
        passed = time.monotonic() - self._began
        of = "" if total >= UNBOUNDED else f"/{total}"
        parts = [f"{self._tried}{of} trials", f"{self._epochs} epochs"]
        if leader is not None:
            parts.append(f"best {self._objective.name} {leader.objective:.5g} ({leader.trial})")
        parts.append(f"{_duration(passed)} passed")
        left = self._left_s(passed)
        if left is not None:
            parts.append(f"about {_duration(left)} left")
        return " · ".join(parts)

    def _left_s(self, passed: float) -> float | None:
        assert self._plan is not None
        budget = self._plan.experiment.time_budget_s
        done = self._tried - self._tried_before
        known = self._plan.experiment.trials < UNBOUNDED
        by_trials = (
            passed / done * (self._plan.experiment.trials - self._tried) if done and known else None
        )
        bounds = [b for b in (by_trials, budget - passed if budget else None) if b is not None]
        return max(0.0, min(bounds)) if bounds else None

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for name in ("trial", "status", "epoch", self._objective.name, "hyperparameters"):
            table.add_column(name, no_wrap=name != "hyperparameters", overflow="ellipsis")
        running = [r for r in self._records.values() if self._status(r) == "running"]
        others = [r for r in self._records.values() if self._status(r) != "running"]
        others.sort(key=lambda r: self._objective.loss(self._value(r.trial)))
        for record in [*running, *others][:ROWS]:
            value = self._value(record.trial)
            epoch = self._last[record.trial].epoch if record.trial in self._last else 0
            table.add_row(
                record.trial,
                self._status(record),
                str(epoch),
                "" if value is None else f"{value:.5g}",
                Text(values_of(record), overflow="ellipsis", no_wrap=True),
                style="bold"
                if self._status(record) == "running"
                else "red"
                if record.status == "failed"
                else "",
            )
        return Group(table, Text(self._progress()))

    def _value(self, trial: str) -> float | None:
        return self._best[trial].objective if trial in self._best else None


def values_of(record: TrialRecord) -> str:
    """A trial's hyperparameters in one line."""
    return _values(record.hyperparameters or record.configuration)


def _values(hyperparameters: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in hyperparameters.items()
    )


def short(path: Path | RemotePath) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return (
        str(path.relative_to(here))
        if isinstance(path, Path) and path.is_relative_to(here)
        else str(path)
    )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def plan_rows(plan: SearchPlan) -> dict[str, str]:
    """What a search is going to do, by heading."""
    experiment = plan.experiment
    executions = (
        f", {experiment.executions_per_trial} executions each"
        if experiment.executions_per_trial > 1
        else ""
    )
    rows = {
        "dataset": _described(plan.data),
        "search space": f"{label(experiment.search_space)}: "
        + " ".join(f"{spec.name}" for spec, _ in plan.requested)
        + f" (default model: {plan.weights:,} weights)",
        "objective": f"{plan.objective.name}, {plan.objective.direction}imised",
        "search": f"{experiment.searcher} + {experiment.scheduler}, seed {experiment.seed}"
        + (
            f", starting from {short(Path(experiment.start_from))}" if experiment.start_from else ""
        ),
        "budget": f"{_budget(experiment.trials, experiment.max_epochs)}{executions}"
        + (f", {_duration(experiment.time_budget_s)}" if experiment.time_budget_s else ""),
        "at once": f"{plan.concurrent} trials, each {experiment.cpus_per_trial:g} CPU"
        + (f" and {experiment.gpu_share:g} GPU" if experiment.gpu_share else ""),
    }
    if plan.measured:
        rows["GPU memory"] = plan.measured
    if plan.warnings:
        rows["warning"] = "; ".join(plan.warnings)
    return rows


def _budget(trials: int, epochs: int) -> str:
    """How many trials and epochs there will be, as far as that was said."""
    search = "every configuration" if trials >= UNBOUNDED else f"{trials} trials"
    if epochs >= UNBOUNDED:
        return f"{search}, for as many epochs as `fit` trains"
    most = "" if trials >= UNBOUNDED else f": at most {trials * epochs} epochs"
    return f"{search}, at most {epochs} epochs each{most}"


def _described(facts: dict[str, Any]) -> str:
    """A dataset in one line, as far as it is known: data from Python may be of any form."""
    what = (
        [str(facts["shape"] if facts["task"] is None else tuple(facts["shape"]))]
        if facts["shape"]
        else []
    )
    what += [facts["dtype"]] if facts["dtype"] else []
    if facts["range"]:
        low, high = facts["range"]
        what.append(f"in [{low:.4g}, {high:.4g}]")
    task = f"{facts['classes']} classes" if facts["classes"] else facts["task"]
    names = {"train": "train", "val": "validation", "test": "test"}
    counts = ", ".join(
        f"{count} {names[split]}" for split, count in facts["counts"].items() if count is not None
    )
    return (
        f"{facts['name']}: {' '.join(what)}"
        + (f", {task}" if task else "")
        + (f"; {counts}" if counts else "")
    )


def print_rows(console: Console, rows: dict[str, str]) -> None:
    """One line a heading, however long: a terminal wraps it, a file keeps it whole."""
    for name, text in rows.items():
        console.print(Text.assemble((f"{name:<15}", "bold"), "  ", text))


def describe_space(plan: SearchPlan) -> Table:
    """Each hyperparameter with what it may be.

    Those that the default model does not request come last.
    """
    table = Table(box=None, pad_edge=False)
    for name in ("hyperparameter", "type", "values", "default", "decides"):
        table.add_column(name)
    decides = {"model": "the model", "algorithm": "how it is trained", None: "not known"}
    conditional = [(spec, spec.default) for spec in plan.conditional]
    for place, (spec, value) in enumerate([*plan.requested, *conditional]):
        if place == len(plan.requested):
            table.add_row("", "", "", "", "")
            table.add_row("conditional:", "", "", "", "", style="bold")
        plain = spec.to_dict()
        if "options" in plain:
            values = ", ".join(str(v) for v in plain["options"])
        elif "min_value" in plain:
            step = f", step {plain['step']:g}" if plain.get("step") else ""
            values = f"{plain['min_value']:g} to {plain['max_value']:g}{step}, {plain['sampling']}"
        else:
            values = ", ".join(str(v) for v in spec.values() or ())
        role = decides[(plan.roles or {}).get(spec.name)]
        table.add_row(Text(spec.name), spec.kind, Text(values), Text(str(value)), role)
    return table


def show_dry_run(plan: SearchPlan) -> None:
    """The plan, and the space as far as it was looked at."""
    console = Console(highlight=False, soft_wrap=True)
    print_rows(console, plan_rows(plan))
    console.print()
    console.print(describe_space(plan))
    console.print()
    console.print("Nothing was trained.")


def show_result(run: Results, *, quiet: bool, command: str) -> None:
    """Best hyperparameters, validation and test score, and where everything is."""
    console = Console(highlight=False, soft_wrap=True)
    summary, best = run.summary, run.best
    counts = summary["trials"]
    ended = ", ".join(
        f"{counts[s]} {s}" for s in ("finished", "stopped", "failed", "unfinished") if counts[s]
    )
    took = _duration(summary.get("wall_clock_s", 0))
    rows = {"trials": f"{counts['total']} ({ended}), {summary['epochs']} epochs in {took}"}
    if counts.get("duplicate"):
        rows["duplicates"] = f"{counts['duplicate']}, ended at their first report and not counted"
    if summary.get("fit_plans"):
        rows["fit plans"] = "; ".join(
            f"{count} {plan}" for plan, count in summary["fit_plans"].items()
        )
    if best is not None:
        rows["best trial"] = f"{best.trial}, epoch {best.epoch}"
        rows["hyperparameters"] = _values(best.hyperparameters)
        rows |= {
            split: _values(summary[split]) for split in ("validation", "test") if summary.get(split)
        }
        model = run.layout.best_model
        model = model if model.is_file() else model.with_suffix(".weights.h5")
        rows["model"] = short(location(at_home(run.layout, str(model))))
    rows["records"] = short(run.directory)
    if not quiet:
        console.print()
    print_rows(console, rows)
    if summary.get("exhausted"):
        console.print(
            f"The search space is exhausted: it has no more than {counts['total']} configurations."
        )
    if summary.get("interrupted") or counts["unfinished"]:
        console.print(Text(f"Go on with: {command} --resume {short(run.directory)}"))


def show_list() -> None:
    """Every dataset, search space, searcher and scheduler, with a line on each."""
    console = Console(highlight=False, soft_wrap=True)
    groups: dict[str, dict[str, str]] = {
        "datasets": registered("dataset"),
        "search spaces": registered("search space"),
        "searchers": SEARCHERS,
        "schedulers": SCHEDULERS,
    }
    for title, entries in groups.items():
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, line in entries.items():
            table.add_row(f"  {name}", Text(line))
        console.print(Text(title, style="bold"))
        console.print(table)


def show_inline(directory: Path) -> Any:
    """A function that prints each epoch of a trial in this process."""

    def show(epoch: Any) -> None:
        metrics = _values({n: v for n, v in epoch.metrics.items() if v is not None})
        print_plain(f"epoch {epoch.epoch}  {metrics}  {epoch.seconds:.1f} s")

    print_plain(f"One trial in this process; checkpoints in {directory}")
    return show
