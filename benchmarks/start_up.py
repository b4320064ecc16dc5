"""From the command to the first reported epoch, against a bare script that imports Keras and trains
the same epoch.

Run:  python benchmarks/start_up.py --n 5
      python benchmarks/start_up.py --dataset digits --search-space cnn

The command has all defaults, but for its storage. The first trial of its search over the example's
space is its default model, one hidden layer of 32, which the script trains too, in batches of 32.
On `digits` the epoch itself takes a fraction of a second, on `mnist` some seconds. Once its first
report stands, the search is interrupted. The sides take turns. Writes
`results/<date>-start-up.json`.
"""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import recording
import subject
from sides import PEERS, ROOT, timed

GOAL = 2  # times the script's time, at most
INTERRUPTED = 130


def first_report(dataset, search_space):
    """Seconds until the first epoch is in the records."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "pipeline.run", dataset, "--search-space", search_space]
        process = subprocess.Popen(
            [*command, "--quiet", "--storage", folder],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not any(file.stat().st_size for file in Path(folder).glob("*/history.jsonl")):
            if process.poll() is not None:
                raise SystemExit("The search ended without a report.")
            time.sleep(0.02)
        seconds = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        if process.wait() not in (0, INTERRUPTED):
            raise SystemExit("The search failed.")
    return seconds


def main():
    arguments = subject.options(__doc__, dataset=None)
    arguments.add_argument("--n", type=int, default=5, help="repetitions")
    asked = arguments.parse_args()
    rows = []
    for dataset in [asked.dataset] if asked.dataset else ["mnist", "digits"]:
        runs = {"bare script": [], "first report": []}
        of = ("--dataset", dataset, "--search-space", asked.search_space)
        for _ in range(asked.n):
            runs["bare script"].append(round(timed([PEERS / "bare_script.py", *of])[0], 2))
            runs["first report"].append(round(first_report(dataset, asked.search_space), 2))
        medians = {side: statistics.median(seconds) for side, seconds in runs.items()}
        ratio = round(medians["first report"] / medians["bare script"], 2)
        rows.append({"dataset": dataset, "ratio": ratio, "median_s": medians, "runs_s": runs})
        print(rows[-1], flush=True)
    asked.dataset = asked.dataset or "mnist"
    recording.write(
        f"start-up{subject.label(asked)}",
        __doc__.partition("\n")[0],
        "ray",
        "tensorflow",
        "keras",
        n=asked.n,
        search_space=recording.relative(asked.search_space),
        goal=GOAL,
        rows=rows,
    )


if __name__ == "__main__":
    main()
