"""From the command to the first reported epoch, against a bare script that imports Keras and trains the same epoch.

Run:  python benchmarks/start_up.py --n 5
The first trial of a search over the example's space is its default model, one hidden layer of 32, which the script
trains too, in batches of 32. On `digits` the epoch itself takes a fraction of a second, on `mnist` some seconds. The
sides take turns. Writes `results/<date>-start-up.json`.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import recording
from sides import PEERS, ROOT, SPACE, timed


def first_report(dataset):
    """Seconds until the first epoch is in the records."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            [
                sys.executable, "-m", "pipeline.run", dataset, "--search-space", str(SPACE), "--trials", "2",
                "--max-epochs", "1", "--quiet", "--storage", folder,
            ],
            cwd=ROOT, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while not any(file.stat().st_size for file in Path(folder).glob("*/history.jsonl")):
            if process.poll() is not None:
                raise SystemExit("The search ended without a report.")
            time.sleep(0.02)
        seconds = time.monotonic() - began
        if process.wait():
            raise SystemExit("The search failed.")
    return seconds


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=5, help="repetitions")
    n = arguments.parse_args().n
    rows = []
    for dataset in ("mnist", "digits"):
        runs = {"bare script": [], "first report": []}
        for _ in range(n):
            runs["bare script"].append(round(timed([PEERS / "bare_script.py", dataset])[0], 2))
            runs["first report"].append(round(first_report(dataset), 2))
        medians = {side: statistics.median(seconds) for side, seconds in runs.items()}
        ratio = round(medians["first report"] / medians["bare script"], 2)
        rows.append({"dataset": dataset, "ratio": ratio, "median_s": medians, "runs_s": runs})
        print(rows[-1], flush=True)
    recording.write("start-up", __doc__.partition("\n")[0], "ray", "tensorflow", "keras", n=n, rows=rows)


if __name__ == "__main__":
    main()
