"""What reading a run of 10,000 trials of 10 epochs back takes: its records, its tables, and a
searcher told the past.

Run:  python benchmarks/read_back.py --n 3

The run is written by the ledger itself, with what the example's search space requests and reports.
Promised: opening the ledger, writing the tables from it and reading them as results takes under 5 s
together; what a resume adds, the telling of a fresh searcher, is given by itself. Each repetition
is a process of its own, with the files in the system's cache. Writes
`results/<date>-read-back.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import recording
from example_hyperparameters import trace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.engine.trials.recorder import tell_past
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialFacts, as_plain
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.outputs.results import Results
from pipeline.records.outputs.summary import find_best, summary_of, write_summary
from pipeline.records.outputs.tables import write_tables
from pipeline.search.searcher import searcher_class
from pipeline.space.configuration import configuration_of

TRIALS, EPOCHS = 10_000, 10
PROMISED_S = 5
OBJECTIVE = Objective("val_accuracy", "max")


def write_run(layout):
    os.fsync = lambda descriptor: None  # nothing is measured here
    rng = np.random.default_rng(0)
    ledger = Ledger(layout)
    for number in range(TRIALS):
        trial, requested = f"t{number:04d}", trace({}, number)
        ledger.start(trial, configuration_of(requested))
        ledger.note(
            trial,
            TrialFacts(
                requested=as_plain(requested, len(requested)), node="10.0.0.1", devices="-1"
            ),
        )
        for epoch in range(1, EPOCHS + 1):
            metrics = dict(
                zip(
                    ("accuracy", "loss", "val_accuracy", "val_loss"),
                    rng.random(4).tolist(),
                    strict=True,
                )
            )
            ledger.report(
                Report(
                    epoch, metrics["val_accuracy"], metrics, 1.5, trial=trial, time=1.8e9 + number
                )
            )
        ledger.end(trial, "finished")
    epochs = len(ledger.reports)
    write_summary(
        layout,
        summary_of(
            layout,
            best=None,
            test=None,
            trials=ledger.trials,
            epochs=epochs,
            objective="val_accuracy:max",
        ),
    )
    ledger.close()


def measure(layout):
    """Seconds of each step, in this process."""
    seconds, clock = {}, time.perf_counter()

    def lap(step):
        nonlocal clock
        seconds[step] = time.perf_counter() - clock
        clock = time.perf_counter()

    ledger = Ledger(layout)
    lap("open the ledger")
    find_best(ledger.trials, ledger.reports, OBJECTIVE)
    lap("find the best")
    write_tables(layout, OBJECTIVE, ledger)
    lap("write the tables")
    results = Results(layout.root)
    assert len(results.trials) == TRIALS and len(results.history) == TRIALS * EPOCHS
    lap("read the results")
    for name in ("random", "hyperopt"):
        searcher = searcher_class(name)(seed=0, objective=OBJECTIVE, trials=2 * TRIALS, trace=trace)
        clock = time.perf_counter()
        tell_past(ledger, searcher, OBJECTIVE)
        lap(f"tell the past to {name}")
    ledger.close()
    return seconds


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    arguments.add_argument("--directory", help="measure this run, in this process")
    given = arguments.parse_args()
    if given.directory:
        print(json.dumps(measure(Layout(given.directory))))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_run(Layout(folder))
        command = [sys.executable, __file__, "--directory", folder]
        runs = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(given.n)
        ]
    seconds = {step: round(statistics.median(run[step] for run in runs), 2) for step in runs[0]}
    total = statistics.median(
        sum(s for step, s in run.items() if not step.startswith("tell")) for run in runs
    )
    print(seconds, f"read back: {total:.2f} s", sep="\n")
    recording.write(
        "read-back",
        __doc__.partition("\n")[0],
        "pandas",
        n=given.n,
        trials=TRIALS,
        epochs=EPOCHS,
        promised_s=PROMISED_S,
        read_back_s=round(total, 2),
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
