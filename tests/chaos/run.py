"""Searches under faults, resumed until they are done: `N=10 SEED=0 make chaos`.

The first has the seed that is given, the next the next. A seed that failed fails again, as far as
its faults hit the same moments. What came of them is kept as
`benchmarks/results/<date>-chaos-<first seed>.json`, the directory of a search that failed where it
is.
"""

import argparse
import functools
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import recording
from tests.chaos import checks
from tests.chaos.driver import ROOT, Driver
from tests.chaos.faults import Disk, Search, befall, draw

SPACE = Path(__file__).parent / "space.py"
EPOCH_TIMEOUT_S = 15  # of searches in which a worker is frozen
GONE_S = 30.0  # after the end of a search no process of it is left
MOST_STARTS = 12


@dataclass
class Outcome:
    """What came of a search: what befell it, what did not and why, and what is wrong with it in the
    end."""

    search: Search
    folder: Path
    befell: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    drivers: list[Driver] = field(default_factory=list)
    # after how many starts, and which record
    damaged: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def storage(self):
        return self.folder / "runs"

    @property
    def run(self):
        """The run's directory."""
        return self.storage / "run"


def carry_out(search, folder, undisturbed=None):
    """Carry out a search with its faults, resume it until it is done, and check what it leaves.

    Args:
        search: what is searched, and what befalls it.
        folder: an empty one, for all that it writes.
        undisturbed: the run directory of the same search without faults.
    """
    began = time.monotonic()
    outcome = Outcome(search, folder)
    outcome.storage.mkdir()
    full = any(fault.kind == "the disk is full" for fault in search.faults)
    disk = Disk.mounted(outcome.storage) if full else None
    try:
        _until_done(outcome, disk)
        if not outcome.problems:
            outcome.problems += checks.problems(outcome.run, search, undisturbed)
            outcome.problems += [*_unsaid(outcome), *_left_behind(outcome.drivers)]
    finally:
        for driver in outcome.drivers:
            driver.clear()
        if disk is not None:
            disk.unmount()
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def _until_done(outcome, disk):
    waiting = deque(_possible(outcome, disk))
    while True:
        driver = _start(outcome)
        last = None
        while waiting and driver.await_moment(waiting[0].reports, waiting[0].seconds):
            fault = waiting.popleft()
            done = befall(fault, driver, disk)
            if done is None:
                outcome.skipped.append(f"{fault.kind}: there was nothing to hit")
                continue
            print(f"    {fault.kind}: {done}", flush=True)
            outcome.befell.append(fault.kind)
            if (outcome.run / done).is_file():
                outcome.damaged.append((len(outcome.drivers), done))
            last = fault
            if not driver.running():
                break
        code = driver.await_end()
        if code == 0:
            break
        if not _may_end_so(code, driver, last, outcome):
            what = "stood still" if code is None else f"ended with exit code {code}"
            outcome.problems.append(f"start {len(outcome.drivers)} {what}: {driver.output}")
            return
    outcome.skipped += [f"{fault.kind}: the search was done before" for fault in waiting]


def _start(outcome):
    """Start the search, or go on with it; where it was killed before it wrote what it was asked,
    start it again."""
    run, number = outcome.run, len(outcome.drivers) + 1
    begun = (run / "experiment.yaml").exists() or (run / ".copies" / "experiment.yaml").exists()
    arguments = ["--resume", run] if begun else _arguments(outcome.search, run)
    outcome.drivers.append(Driver(run, outcome.folder / f"output-{number}.txt", arguments))
    return outcome.drivers[-1]


def _may_end_so(code, driver, last, outcome):
    """Whether a driver that was not done may have ended with this code, after this fault."""
    if last is None or len(outcome.drivers) == MOST_STARTS:
        return False
    said = driver.output.read_text(errors="replace")
    if last.kind == "the disk is full":  # 2: it was before there was a run
        return code in (1, 2) and "No space left on device" in said and "Traceback" not in said
    return code == -signal.SIGKILL and last.ends_the_driver


def _possible(outcome, disk):
    """The faults that can be caused here."""
    for fault in outcome.search.faults:
        if fault.kind == "the disk is full" and disk is None:
            outcome.skipped.append(f"{fault.kind}: mounting a file system is not permitted here")
        elif fault.kind == "a worker is frozen" and not has_epoch_timeout():
            outcome.skipped.append(f"{fault.kind}: there is no --epoch-timeout")
        else:
            yield fault


@functools.cache
def has_epoch_timeout():
    """Whether the command line can be told when a trial hangs."""
    command = [sys.executable, "-m", "pipeline.run", "--help"]
    return (
        "--epoch-timeout"
        in subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    )


def _arguments(search, run):
    frozen = (
        any(fault.kind == "a worker is frozen" for fault in search.faults) and has_epoch_timeout()
    )
    return [
        "digits",
        "--search-space",
        SPACE,
        "--searcher",
        search.searcher,
        "--scheduler",
        search.scheduler,
        "--max-concurrent",
        search.concurrent,
        "--trials",
        checks.TRIALS,
        "--max-epochs",
        checks.MAX_EPOCHS,
        "--reduction-factor",
        checks.REDUCTION_FACTOR,
        "--objective",
        checks.OBJECTIVE,
        "--storage",
        run.parent,
        "--name",
        run.name,
        *(["--epoch-timeout", f"{EPOCH_TIMEOUT_S}s"] if frozen else []),
    ]


def _unsaid(outcome):
    """Damage to a record that was put right, and not said. A copy is never read where its original
    is good."""
    for starts, name in outcome.damaged:
        said = "".join(
            driver.output.read_text(errors="replace") for driver in outcome.drivers[starts:]
        )
        if not name.startswith(".copies") and not name.endswith(".npz") and name not in said:
            yield f"{name} was damaged, and it was not said"


def _left_behind(drivers):
    """What a search left on the machine beside its run directory."""
    until = time.monotonic() + GONE_S
    while (
        left := [p for driver in drivers for p in driver.processes()]
    ) and time.monotonic() < until:
        time.sleep(0.5)
    found = [f"process {p.pid} ({name}) is left {GONE_S:.0f} s after the end" for p, name in left]
    if temporary := sorted(path.name for path in drivers[-1].temporary.iterdir()):
        found.append(f"left in the temporary directory: {', '.join(temporary)}")
    return found


class Sitting:
    """Several searches one after the other; those of the same settings are compared with one that
    was left alone."""

    def __init__(self, folder):
        self.folder = folder
        self._undisturbed = {}

    def carry_out(self, search):
        """The outcome of one search; its directory is removed unless there is something wrong with
        it."""
        undisturbed = self.undisturbed(search)
        outcome = carry_out(search, self._folder(f"seed-{search.seed}"), undisturbed)
        if not outcome.problems:
            shutil.rmtree(outcome.folder)
        return outcome

    def undisturbed(self, search):
        """The run directory of a search of the same settings that is left alone."""
        if search.settings not in self._undisturbed:
            alone = carry_out(
                Search(-1, *search.settings, ()), self._folder("-".join(map(str, search.settings)))
            )
            if alone.problems:
                raise RuntimeError(
                    f"left alone, a search fails, in {alone.folder}: {'; '.join(alone.problems)}"
                )
            self._undisturbed[search.settings] = alone.run
        return self._undisturbed[search.settings]

    def close(self):
        """Remove all but the searches that failed."""
        for run in self._undisturbed.values():
            shutil.rmtree(run.parents[1])
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _folder(self, name):
        folder = self.folder / name
        folder.mkdir()
        return folder


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--searches", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0, help="of the first")
    asked = arguments.parse_args()
    sitting = Sitting(Path(tempfile.mkdtemp(prefix="kerasweep-chaos-")))
    outcomes = []
    try:
        for seed in range(asked.seed, asked.seed + asked.searches):
            search = draw(seed)
            print(search, flush=True)
            outcomes.append(sitting.carry_out(search))
            last = outcomes[-1]
            for line in (
                *(f"not done: {s}" for s in last.skipped),
                *(f"WRONG: {p}" for p in last.problems),
            ):
                print(f"    {line}", flush=True)
            print(
                f"    {len(last.drivers)} starts, {last.seconds} s"
                + f", {last.folder}" * bool(last.problems),
                flush=True,
            )
    finally:
        sitting.close()
        if outcomes:
            _write(asked.seed, outcomes)
    sys.exit(any(outcome.problems for outcome in outcomes))


def _write(seed, outcomes):
    name = f"chaos-{seed}"
    results = ROOT / "benchmarks" / "results"
    others = [path for path in results.glob("*-chaos-*.json") if not path.stem.endswith(f"-{name}")]
    sittings = [json.loads(path.read_text()) for path in others]
    summary = {
        "searches": len(outcomes),
        "starts": sum(len(outcome.drivers) for outcome in outcomes),
        "faults": dict(Counter(kind for outcome in outcomes for kind in outcome.befell)),
        "not_done": dict(Counter(reason for outcome in outcomes for reason in outcome.skipped)),
        "failures": [
            {"seed": o.search.seed, "problems": o.problems} for o in outcomes if o.problems
        ],
    }
    recording.write(
        name,
        "Searches under kills, damaged files, full disks and frozen workers, resumed until they "
        "are done.",
        "ray",
        "tensorflow",
        "keras",
        seeds=[outcome.search.seed for outcome in outcomes],
        **summary,
        all_sittings={
            "searches": len(outcomes) + sum(sitting["searches"] for sitting in sittings),
            "failures": len(summary["failures"])
            + sum(len(sitting["failures"]) for sitting in sittings),
        },
        seconds=[outcome.seconds for outcome in outcomes],
    )


if __name__ == "__main__":
    main()
