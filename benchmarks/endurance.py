"""A long search: whether its memory levels off, what its files grow to, and what it leaves behind.

`python benchmarks/endurance.py --trials 2000` starts the command line on a tiny model and looks at
its processes from outside, at each so many trials. Memory is what a process shares with no other,
in MiB.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil
import recording

sys.path.insert(0, str(recording.ROOT))
from tests.chaos.driver import Driver
from tests.chaos.run import GONE_S

SPACES = recording.ROOT / "tests" / "spaces"
LOOKS = 20  # at a search


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=2000)
    arguments.add_argument("--searcher", default="hyperopt")
    arguments.add_argument("--scheduler", default="asha")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kerasweep-endurance-") as folder:
        began = time.monotonic()
        driver = start(Path(folder), asked)
        looks = watch(driver, asked.trials)
        seconds = time.monotonic() - began
        time.sleep(GONE_S)
        left = [name for _, name in driver.processes()]
        temporary = [path.name for path in driver.temporary.iterdir()]
        sizes = {
            str(p.relative_to(driver.run)): p.stat().st_size
            for p in driver.run.glob("*")
            if p.is_file()
        }
        trials = sorted(driver.run.glob("trials/*"))
        weights = sum(1 for path in trials for _ in path.glob("*.npz"))
        output = driver.output.read_text()
        driver.clear()
    recording.write(
        "endurance",
        f"A search of {asked.trials} trials of a tiny model: memory in MiB, files, what is left "
        "behind.",
        "ray",
        "tensorflow",
        "hyperopt",
        trials=asked.trials,
        searcher=asked.searcher,
        scheduler=asked.scheduler,
        exit_code=driver.process.returncode,
        seconds=round(seconds),
        looks=looks,
        growth_kib_a_trial=growth(looks),
        bytes_of_records=sizes,
        folders_of_trials=len(trials),
        checkpoints_kept=weights,
        processes_left=left,
        temporary_left=temporary,
    )
    if driver.process.returncode or left or temporary:
        sys.exit(output)


def start(folder, asked):
    """Start the search."""
    run = folder / "run"
    return Driver(
        run,
        folder / "output.txt",
        [
            SPACES / "few.py",
            "--search-space",
            SPACES / "tiny.py",
            "--trials",
            asked.trials,
            "--max-epochs",
            2,
            "--searcher",
            asked.searcher,
            "--scheduler",
            asked.scheduler,
            "--storage",
            run.parent,
            "--name",
            run.name,
        ],
    )


def watch(driver, trials):
    """What there is at each look, from the first trials to the end."""
    looks, due = [], 0
    while driver.running():
        there = len(list(driver.run.glob("trials/*/trial.json")))
        if there >= due:
            looks.append({"trials": there, "seconds": seconds_of(driver.process), **held(driver)})
            print(looks[-1], flush=True)
            due = max(due + trials // LOOKS, there)
        time.sleep(1)
    return looks


def seconds_of(process):
    """Seconds since a process started."""
    return round(time.time() - psutil.Process(process.pid).create_time())


def held(driver):
    """Memory by kind of process, and how many files and bytes Ray keeps beside."""
    memory = {"driver": 0.0, "helper": 0.0, "workers": 0.0, "ray": 0.0}
    workers = 0
    for process, name in driver.processes():
        try:
            info = process.memory_info()
        except psutil.Error:
            continue
        kind = "driver" if process.pid == driver.process.pid else "ray"
        if "Helper" in name:
            kind = "helper"
        elif any(part in name for part in ("_Inner", "KerasTrial")):
            kind, workers = "workers", workers + 1
        memory[kind] += (info.rss - info.shared) / 2**20
    files = [path for path in driver.temporary.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files if path.exists())
    return {kind: round(mib) for kind, mib in memory.items()} | {
        "workers_alive": workers,
        "temporary_files": len(files),
        "temporary_mib": round(size / 2**20, 1),
    }


def growth(looks):
    """KiB that the driver, and all workers, grew by for each trial of the second half."""
    later = [look for look in looks if look["trials"] >= looks[-1]["trials"] / 2]
    trials = max(1, later[-1]["trials"] - later[0]["trials"])
    return {
        kind: round((later[-1][kind] - later[0][kind]) * 1024 / trials, 1)
        for kind in ("driver", "workers", "ray")
    }


if __name__ == "__main__":
    main()
