"""Overhead and start-up of this checkout against another's, in alternating pairs.

Run:  git worktree add ../before COMMIT
      python benchmarks/two_checkouts.py ../before --pairs 8

What is compared: `overhead.py --side ours` (a whole search without Keras) by its seconds and by the
driver's CPU seconds, and the time from the command to the first report on `digits`. Each run is a
process of its own, started in its checkout under this Python; of a pair the side that goes first
changes. The ratio is this checkout's time by the other's: the geometric mean over the pairs, with a
90 % interval (Student's t on the logarithms). Writes `results/<date>-two-checkouts.json`.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import recording
from scipy import stats

CASES = ("500 trials of 1 report", "16 trials of 200 reports")
CONFIDENCE = 0.9
FIRST_REPORT = "first report"


def overhead(checkout, case):
    """Seconds, and CPU seconds of the driver."""
    line = run(checkout, "benchmarks/overhead.py", "--side", "ours", "--case", case)
    found = json.loads(line)
    return {f"{case}, seconds": found["seconds"], f"{case}, driver CPU": found["driver_cpu_s"]}


def first_report(checkout):
    """Seconds from the command to the first report."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import start_up, subject; "
        "print(start_up.first_report('digits', 'mlp'))"
    )
    return {FIRST_REPORT: float(run(checkout, "-c", code))}


def run(checkout, *command):
    """The last line that a command of a checkout prints."""
    variables = {n: v for n, v in os.environ.items() if not n.startswith(("RAY_", "TUNE_"))}
    done = subprocess.run(
        [sys.executable, *command], cwd=checkout, env=variables, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{command} failed in {checkout}:\n{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def compared(ours, theirs):
    """The ratio of pairs of times, and its interval."""
    logs = np.log(np.array(ours) / np.array(theirs))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(logs) - 1) * stats.sem(logs)
    low, ratio, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    return {"ratio": round(ratio, 3), "low": round(low, 3), "high": round(high, 3)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("other", type=Path, help="the other checkout")
    arguments.add_argument("--pairs", type=int, default=8)
    arguments.add_argument("--only", choices=[*CASES, FIRST_REPORT], action="append")
    asked = arguments.parse_args()
    measured = {"this": {}, "other": {}}
    places = {"this": recording.ROOT, "other": asked.other.resolve()}
    for pair in range(asked.pairs):
        for case in asked.only or [*CASES, FIRST_REPORT]:
            for side in sorted(places, reverse=bool(pair % 2)):
                found = (
                    first_report(places[side])
                    if case == FIRST_REPORT
                    else overhead(places[side], case)
                )
                for what, value in found.items():
                    measured[side].setdefault(what, []).append(round(value, 2))
        rows = {
            what: compared(ours, measured["other"][what])
            for what, ours in measured["this"].items()
            if len(ours) > 1
        }
        print(pair + 1, rows, flush=True)
    head = ["git", "-C", str(asked.other), "rev-parse", "HEAD"]
    recording.write(
        "two-checkouts",
        __doc__.partition("\n")[0],
        "ray",
        "tensorflow",
        "keras",
        other=subprocess.run(head, capture_output=True, text=True).stdout.strip(),
        pairs=asked.pairs,
        confidence=CONFIDENCE,
        ratios=rows,
        measured=measured,
    )


if __name__ == "__main__":
    main()
