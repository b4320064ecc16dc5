"""What befalls a search: drawn from a seed, and caused for real."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

SEARCHERS = ("random", "grid", "hyperopt")
SCHEDULERS = ("asha", "asha-stopping", "hyperband", "median", "pbt", "none")

# Each kind, and in how many ways it comes.
WAYS = {
    "a worker is killed": ("",),
    "the driver is killed": ("",),
    "the driver is killed as it writes": ("trial.json", "trial.json", "trials.csv", "summary.json"),
    "a file is damaged": ("experiment.yaml", "history.jsonl", "trial.json", "last.npz", "best.npz"),
    "the disk is full": ("for a while", "until the driver gives up"),
    "a worker is frozen": ("",),
}
DAMAGES = ("cut", "emptied", "zeroed")
# A trial is given up when its worker is lost three times without an epoch between.
MOST_LOST_WORKERS = 2

DISK_BYTES = 16 * 2**20
WRITE_S = 20.0  # so long a write is waited for, where a driver is to be killed in one
FULL_S = (2.0, 10.0)  # so long a disk is full "for a while": less than what the driver endures
GIVES_UP_S = 240.0
ZEROES = 512


@dataclass(frozen=True)
class Fault:
    """`reports` and `seconds` say when, counted from the start or the fault before; `place` is what
    of many it hits."""

    kind: str
    way: str
    reports: int
    seconds: float
    place: float  # in [0, 1)
    damage: str

    @property
    def ends_the_driver(self):
        return self.kind.startswith("the driver") or self.kind == "a file is damaged"

    def __str__(self):
        way = f" ({', '.join(filter(None, (self.way, self.damage)))})" if self.way else ""
        return f"{self.kind}{way} {self.reports} reports and {self.seconds:.2f} s later, at {self.place:.2f}"


@dataclass(frozen=True)
class Search:
    """What is searched how, and what befalls it."""

    seed: int
    searcher: str
    scheduler: str
    concurrent: int
    faults: tuple[Fault, ...]

    @property
    def settings(self):
        return self.searcher, self.scheduler, self.concurrent

    def __str__(self):
        lines = [
            f"seed {self.seed}: {self.searcher} + {self.scheduler}, {self.concurrent} at a time"
        ]
        return "\n  ".join(lines + [str(fault) for fault in self.faults])


def draw(seed):
    """The search of a seed."""
    rng = random.Random(seed)
    searcher, scheduler, concurrent = (
        rng.choice(SEARCHERS),
        rng.choice(SCHEDULERS),
        rng.choice((1, 2)),
    )
    faults, lost = [], 0
    for _ in range(rng.randint(2, 4)):
        kind = rng.choice(list(WAYS))
        lost += kind.startswith("a worker")
        if kind.startswith("a worker") and lost > MOST_LOST_WORKERS:
            kind = "the driver is killed"
        reports = rng.choice((0, 1, 2, 3, 5))
        # Before the first report there are many seconds in which to be killed.
        seconds = rng.uniform(0, 1 if reports else 15)
        damage = rng.choice(DAMAGES)
        faults.append(
            Fault(
                kind,
                rng.choice(WAYS[kind]),
                reports,
                seconds,
                rng.random(),
                damage if "damaged" in kind else "",
            )
        )
    return Search(seed, searcher, scheduler, concurrent, tuple(faults))


class Disk:
    """A small file system of its own, that can be filled."""

    def __init__(self, folder):
        self.folder, self._ballast = folder, folder / "ballast"

    @classmethod
    def mounted(cls, folder):
        """One in this folder; None where this process may not mount."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
        return cls(folder) if subprocess.run(command, capture_output=True).returncode == 0 else None

    def unmount(self):
        """End it; its files stay where they are, on the disk beneath."""
        with tempfile.TemporaryDirectory() as aside:
            shutil.copytree(self.folder, aside, dirs_exist_ok=True)
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
            shutil.copytree(aside, self.folder, dirs_exist_ok=True)

    def fill_until(self, over):
        """Leave no room, nor what comes free meanwhile, until `over()`."""
        with self._ballast.open("ab", buffering=0) as file:
            while not over():
                for size in (2**16, 2**12):
                    with suppress(OSError):
                        while file.write(bytes(size)):
                            pass
                time.sleep(0.05)
        self._ballast.unlink()


def befall(fault, driver, disk):
    """Cause a fault whose moment has come.

    Returns what was done, in a few words, or None where there was nothing left that it could have
    hit.
    """
    if fault.kind == "a worker is killed":
        return _signal_worker(fault, driver, signal.SIGKILL)
    if fault.kind == "a worker is frozen":
        return _signal_worker(fault, driver, signal.SIGSTOP)
    if fault.kind == "the disk is full":
        return _fill(fault, driver, disk)
    if fault.kind == "the driver is killed as it writes" and not _writing(fault.way, driver):
        return None
    if not driver.kill():
        return None
    if fault.kind == "a file is damaged":
        return _damage(fault, driver) or f"killed, and there was no {fault.way} yet"
    return "killed"


def _signal_worker(fault, driver, number):
    while driver.running():
        if workers := driver.workers():
            victim = workers[int(fault.place * len(workers))]
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(number)
                return f"process {victim.pid}"
        time.sleep(0.05)
    return None


def _fill(fault, driver, disk):
    if not driver.running():
        return None
    low, high = FULL_S
    seconds = low + fault.place * (high - low) if fault.way == "for a while" else GIVES_UP_S
    until = time.monotonic() + seconds
    disk.fill_until(lambda: time.monotonic() > until or not driver.running())
    return f"{seconds:.1f} s at most"


def _writing(name, driver):
    """Wait until the driver writes a file of that name: its temporary is seen. False if it ended
    before."""
    run, at_the_end = driver.run, name != "trial.json"
    until = time.monotonic() + WRITE_S
    while at_the_end or time.monotonic() < until:
        folders = [run]
        if not at_the_end:
            with suppress(FileNotFoundError):
                folders = [entry.path for entry in os.scandir(run / "trials")]
        for folder in folders:
            with suppress(FileNotFoundError):
                if any(found.startswith(f".{name}.") for found in os.listdir(folder)):
                    return True
        if not driver.running():
            return False
        time.sleep(0.0002)
    return True


def _damage(fault, driver):
    files = sorted(
        path for path in driver.run.rglob(fault.way) if path.is_file() and path.stat().st_size
    )
    if not files:
        return None
    path = files[int(fault.place * len(files))]
    data = bytearray(path.read_bytes())
    start = int(fault.place * len(data))
    if fault.damage == "cut":
        del data[start:]
    elif fault.damage == "emptied":
        data.clear()
    else:  # as a power cut leaves it
        data[start : start + ZEROES] = bytes(len(data[start : start + ZEROES]))
    path.write_bytes(data)
    return str(path.relative_to(driver.run))
