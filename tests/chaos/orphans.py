"""Starts and kills, and what is left running after each: `N=100 SEED=0 make orphans`.

Each is killed by SIGKILL at a moment drawn from the seed: by turns while it starts and while it
trains. The result is kept as `benchmarks/results/<date>-orphans-<seed>.json`.
"""

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import recording
from tests.chaos.driver import Driver
from tests.chaos.run import GONE_S, SPACE

START_S = 15.0  # from the start to the kill, at most
MOST_REPORTS, AFTER_S = 12, 2.0  # before the kill of one that trains, and after the last of them


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--starts", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    moments, folder = random.Random(asked.seed), Path(tempfile.mkdtemp(prefix="kerasweep-orphans-"))
    found = []
    try:
        for number in range(asked.starts):
            found.append(killed(start(folder, number), moments, training=number % 2 == 1))
            print(f"{number}: {found[-1]}", flush=True)
    finally:
        shutil.rmtree(folder)
        if found:
            write(asked.seed, found)
    sys.exit(any(each["left"] for each in found))


def killed(driver, moments, *, training):
    """Kill a search, and wait for the end of what it started."""
    try:
        if training:
            driver.await_moment(
                reports=moments.randint(1, MOST_REPORTS), seconds=moments.uniform(0.0, AFTER_S)
            )
        else:
            time.sleep(moments.uniform(0.0, START_S))
        found = {"killed": driver.kill(), "reports": driver.reports()}
        seconds, left = await_none(driver)
        return found | {"gone_after_s": seconds, "left": left}
    finally:
        driver.clear()


def write(seed, found):
    """Record what was found."""
    seconds = [each["gone_after_s"] for each in found]
    recording.write(
        f"orphans-{seed}",
        f"Processes of a search that are left {GONE_S:g} s after its driver was killed.",
        "ray",
        "tensorflow",
        starts=len(found),
        killed=sum(each["killed"] for each in found),
        killed_while_training=sum(each["killed"] and each["reports"] > 0 for each in found),
        left=[name for each in found for name in each["left"]],
        median_s_until_none=statistics.median(seconds),
        longest_s_until_none=max(seconds),
    )


def start(folder, number):
    """Start a search of its own."""
    run = folder / f"run-{number}"
    return Driver(
        run,
        folder / f"output-{number}.txt",
        [
            "digits",
            "--search-space",
            SPACE,
            "--trials",
            50,
            "--storage",
            run.parent,
            "--name",
            run.name,
        ],
    )


def await_none(driver):
    """Seconds until no process of it was left, and the names of those that were when that took too
    long."""
    began = time.monotonic()
    while (found := driver.processes()) and time.monotonic() - began < GONE_S:
        time.sleep(0.1)
    return round(time.monotonic() - began, 1), [name for _, name in found]


if __name__ == "__main__":
    main()
