"""One side of a comparison, run as a process of its own from start to end, and timed by the clock
on the wall."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
# the val_accuracy of KerasTuner's example where it was first measured: the best of ten trials
GOOD = 0.979


def timed(command, **environment):
    """Seconds of a command, and the last line that it printed."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(
            f"{command} ended with exit code {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return seconds, (done.stdout.strip().splitlines() or [""])[-1]


def peer(script, *arguments, first=None, **environment):
    """Run a script of `peers/` in a folder that is thrown away; what it printed, and its seconds.

    Where it has an option that is to be run `first`, that is not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        if first:
            timed([PEERS / script, folder, *arguments, first], **environment)
        seconds, line = timed([PEERS / script, folder, *arguments], **environment)
    return {"seconds": round(seconds, 1), **json.loads(line)}


def compiled(folder):
    """Have JAX keep in this folder what it compiles: in a new one there is nothing of an earlier
    run."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def is_good(accuracy, good=GOOD):
    """Whether it reaches a threshold, as far as float32 tells."""
    return accuracy is not None and round(accuracy, 6) >= good


def ours(*arguments, good=GOOD, **environment):
    """Run our command; what it recorded, its seconds, and those until a val_accuracy of `good`
    first stood."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as nothing:
        began = time.time()
        seconds, _ = timed(
            ["-m", "pipeline.run", *arguments, "--quiet", "--storage", folder],
            **compiled(nothing) | environment,
        )
        (run,) = Path(folder).iterdir()
        summary = json.loads((run / "summary.json").read_text())
        reports = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return {
        "seconds": round(seconds, 1),
        "first_report_s": round(reports[0]["time"] - began, 1),
        "good_s": next(
            (round(r["time"] - began, 1) for r in reports if is_good(r["objective"], good)), None
        ),
        "val_accuracy": summary["best"]["objective"],
        "test_accuracy": summary["test"]["accuracy"],
        "epochs": summary["epochs"],
        "trials": summary["trials"],
    }
