"""How long the first command takes and what it finds: `python -m pipeline.run mnist` with all
defaults, several seeds.

Run:  .venv/bin/python benchmarks/first_command.py --seeds 3

Each seed is a fresh process, start-up included. Writes `results/<date>-first-command.json`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import recording

ROOT = Path(__file__).resolve().parents[1]


def measure(seed):
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "pipeline.run",
            "mnist",
            "--quiet",
            "--seed",
            str(seed),
            "--storage",
            folder,
        ]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        (summary,) = Path(folder).glob("*/summary.json")
        found = json.loads(summary.read_text())
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "test_accuracy": round(found["test"]["accuracy"], 4),
        "val_accuracy": round(found["best"]["objective"], 4),
        "epochs": found["epochs"],
        "trials": found["trials"],
        "best": found["best"],
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=3)
    seeds = arguments.parse_args().seeds
    runs = []
    for seed in range(seeds):
        runs.append(measure(seed))
        print(
            {
                k: runs[-1][k]
                for k in ("seed", "seconds", "test_accuracy", "val_accuracy", "epochs")
            },
            flush=True,
        )
    recording.write(
        "first-command",
        "python -m pipeline.run mnist, all defaults, start-up included",
        "ray",
        "tensorflow",
        "keras",
        "hyperopt",
        n=seeds,
        median_seconds=statistics.median(r["seconds"] for r in runs),
        median_test_accuracy=statistics.median(r["test_accuracy"] for r in runs),
        runs=runs,
    )


if __name__ == "__main__":
    main()
