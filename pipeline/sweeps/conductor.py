"""Carries a sweep out.

Each search in a process of its own, by the command line that a person would use.
"""

import ctypes
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pipeline.console.words import short
from pipeline.engine.past import earlier_seconds
from pipeline.errors import RequestError, one_line
from pipeline.experiment import Experiment
from pipeline.names import search_path
from pipeline.records.checksummed import file_or_copy_exists
from pipeline.records.outputs.results import Results
from pipeline.sweeps.comparison import compare, value_of, write_comparison
from pipeline.sweeps.request import Sweep
from pipeline.sweeps.sitting import Outcome, Sitting, Sittings, open_sittings
from pipeline.watch import PASSED_ON

Say = Callable[[str], None]

POLL_S = 0.1
# between two records of the time spent; so much of it is lost where a sweep is killed
SAVED_S = 15.0
# for a search whose own time is spent, to come to its end: as long as Tune takes to look
CONCLUDES_S = 1.0
STOPPED = {
    code
    for number in (signal.SIGTERM, signal.SIGINT, PASSED_ON)
    for code in (128 + number, -number)
}
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def conduct(
    sweep: Sweep, say: Say, interruption: Any, options: Sequence[str] = ()
) -> tuple[str, bool]:
    """Begin a sitting, or go on with one that was cut off.

    The comparison, and whether any experiment failed.

    Args:
        sweep: what was asked.
        say: is given a line on what begins or ends.
        interruption: stops all searches once it is set, with everything saved.
        options: of the command line, for each search.

    Raises:
        RequestError: another sweep has the directory, or a sitting's record is damaged.
        StorageError: the sitting could not be recorded.
    """
    with open_sittings(sweep.directory) as sittings:
        interruption.graceful = True
        sitting = sittings.gone_on_with(sweep)
        again = "goes on"
        if sitting is None:
            sitting, again = sittings.begin(sweep), "begins"
        say(f"The sitting {sitting.name} of {sweep.name} {again}: {short(sitting.root)}")
        _Conductor(sweep, sitting, say, interruption, options).carry_out()
        earlier = [each for each in sittings.all if each is not sitting]
        text = write_comparison(sitting, f"{sweep.name}, {sitting.name}", compare(sitting, earlier))
        return text, any(outcome.status == "failed" for outcome in sitting.outcomes.values())


def planned(sweep: Sweep) -> str:
    """What a start of the sweep would do, a line an experiment."""
    sitting = Sittings(sweep.directory).gone_on_with(sweep)
    begins = f"goes on with {sitting.name}" if sitting else "begins a new sitting"
    count = f"Experiments: {len(sweep.experiments)}, {sweep.parallel} at once"
    lines = [f"{count}; in {short(sweep.directory)} the sweep {begins}:"]
    for name, experiment in sweep.experiments.items():
        status = sitting.outcomes[name].status if sitting else "unfinished"
        budget = f"{experiment.trials} trials, at most {experiment.max_epochs} epochs each"
        lines.append(f"  {name}  {budget}" + (f"  {status}" if status != "unfinished" else ""))
    return "\n".join(lines)


def share_s(left_s: float, waiting: int, parallel: int) -> float:
    """The time of the next experiment.

    What is left is divided evenly, so that the last has as much as the first.
    """
    return left_s / math.ceil(waiting / parallel)


def limit_s(own_s: float | None, spent_s: float, budget_s: float | None) -> float | None:
    """The time budget of a search that has spent so much of it already; None for none.

    One that was killed when its own was spent still has to conclude, and would be refused without
    any.

    Args:
        own_s: what the experiment asks for.
        spent_s: what earlier processes spent on the run: its budget counts in total.
        budget_s: what the sweep gives it from now on.
    """
    limits = [] if own_s is None else [max(own_s, spent_s + CONCLUDES_S)]
    limits += [] if budget_s is None else [spent_s + budget_s]
    return min(limits, default=None)


class _Conductor:
    """Starts searches and takes up how they end."""

    def __init__(
        self, sweep: Sweep, sitting: Sitting, say: Say, interruption: Any, options: Sequence[str]
    ) -> None:
        self.sweep, self.sitting, self.say, self.interruption = sweep, sitting, say, interruption
        self.options = options
        self.waiting = [
            name for name, outcome in sitting.outcomes.items() if outcome.status != "done"
        ]
        self.running: dict[str, _SearchProcess] = {}
        self._before = dict(sitting.outcomes)
        self._counted = self._saved = time.monotonic()

    def carry_out(self) -> None:
        """Run what is not done; returns when all has ended, or was stopped."""
        for name in self.waiting:
            self.sitting.outcomes[name] = Outcome()
        self._save()
        told = False
        try:
            while self.running or (self.waiting and not told):
                if self.interruption.signal is not None and not told:
                    told = True
                    for search in self.running.values():
                        search.stop()
                while self.waiting and len(self.running) < self.sweep.parallel and not told:
                    self._start(self.waiting.pop(0))
                for name in [name for name, search in self.running.items() if search.ended]:
                    self._take_up(name, self.running.pop(name))
                if time.monotonic() - self._saved > SAVED_S:
                    self._save()
                time.sleep(POLL_S)
        finally:
            for search in self.running.values():
                search.kill()
            self._save()

    def _save(self) -> None:
        now = time.monotonic()
        self.sitting.record.spent_s += now - self._counted
        self._counted = self._saved = now
        self.sitting.save()

    def _start(self, name: str) -> None:
        budget_s = None
        if self.sweep.time_budget_s is not None:
            spent_s = self.sitting.record.spent_s + time.monotonic() - self._counted
            left_s = self.sweep.time_budget_s - spent_s
            if left_s <= 0:
                spent = Outcome("failed", "the sweep's time was spent before it was done")
                return self._end(
                    name, self._before[name] if self._before[name].status == "failed" else spent
                )
            budget_s = share_s(left_s, 1 + len(self.waiting), self.sweep.parallel)
        try:
            experiment = self.sweep.experiments[name]
            self.running[name] = _SearchProcess(
                self.sitting, name, experiment, budget_s, self.options
            )
        except RequestError as error:  # a damaged record
            return self._end(name, Outcome("failed", str(error)))
        limit = (
            f", for at most {timedelta(seconds=math.ceil(budget_s))}"
            if budget_s is not None
            else ""
        )
        self.say(f"{name} begins{limit}: {short(self.sitting.log(name))}")

    def _take_up(self, name: str, search: "_SearchProcess") -> None:
        self._end(name, search.outcome(stopped=self.interruption.signal is not None))

    def _end(self, name: str, outcome: Outcome) -> None:
        self.sitting.outcomes[name] = outcome
        self._save()
        said = {"unfinished": "is stopped", "done": "is done", "failed": "failed"}[outcome.status]
        what = outcome.error
        if outcome.status == "done":
            value = value_of(Results(self.sitting.run(name).root))
            what = f"{value.metric} {value.value:.5g}" if value else "no result"
        self.say(f"{name} {said}" + (f": {what}" if what else ""))


class _SearchProcess:
    """One search's process."""

    def __init__(
        self,
        sitting: Sitting,
        name: str,
        experiment: Experiment,
        budget_s: float | None,
        options: Sequence[str],
    ) -> None:
        self.layout, log = sitting.run(name), sitting.log(name)
        arguments: list[str | Path]
        spent_s = 0.0
        if file_or_copy_exists(self.layout, self.layout.experiment):
            spent_s = earlier_seconds(self.layout)
            arguments = ["--resume", self.layout.root]
        else:
            # of one that was killed before it recorded anything
            shutil.rmtree(self.layout.root, ignore_errors=True)
            sitting.write(sitting.asked(name), experiment.to_yaml())
            arguments = [sitting.asked(name), "--storage", self.layout.root.parent, "--name", name]
        if (limit := limit_s(experiment.time_budget_s, spent_s, budget_s)) is not None:
            arguments += ["--time-budget", f"{limit:.3f}s"]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._log, self._from = log, file.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.run", *map(str, arguments), *options],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": search_path()},
                process_group=0,  # Ctrl-C of a terminal is for the sweep, which passes it on
                preexec_fn=_end_with_the_sweep,
            )

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to save everything and end."""
        self._process.send_signal(PASSED_ON)

    def kill(self) -> None:
        """End it at once; what it recorded can be gone on with."""
        self._process.kill()
        self._process.wait()

    def outcome(self, *, stopped: bool) -> Outcome:
        """How it ended."""
        code = self._process.returncode
        if code == 0:
            return self._done()
        if stopped and code in STOPPED:
            return Outcome("unfinished")
        with self._log.open("rb") as file:
            file.seek(self._from)
            lines = file.read().decode(errors="replace").splitlines()
        faults = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        if code < 0:
            fault = f"it was ended by signal {-code}"
        elif faults:
            fault = faults[-1]
        else:
            fault = ": ".join([f"it ended with exit code {code}", *lines[-1:]])
        return Outcome("failed", one_line(fault))

    def _done(self) -> Outcome:
        try:
            results = Results(self.layout.root)
        except RequestError as error:
            return Outcome("failed", str(error))
        if (
            results.best is None and results.summary["trials"]["failed"]
        ):  # a search that had failed, and was asked again
            return Outcome("failed", "no trial reported a finite objective")
        return Outcome("done")


def _end_with_the_sweep() -> None:
    """Let the kernel end this process when its parent dies.

    Else it would go on by itself, and the next start of the sweep would find its run in use.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
