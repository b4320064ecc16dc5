"""What a suggestion of the `hyperopt` searcher costs: 20 hyperparameters, after 100, 1,000 and
5,000 finished trials.

Run:  python benchmarks/tpe_cost.py --n 30

No model is trained. Each suggestion follows one more ended trial, as in a search, and is timed from
asking to the configuration; the first after a resume, which encodes all of the past, is given by
itself. Writes `results/<date>-tpe-cost.json`. At most 100 ms at 1,000 trials is what is promised.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import recording

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.objective import Objective
from pipeline.search.hyperopt import HyperOpt
from pipeline.space.hyperparameters import HyperParameters, filling

FINISHED = (100, 1000, 5000)
EPOCHS = 10
PROMISED_MS = 100


def build(hp):
    """20 hyperparameters of every kind; a half of the layers' are not requested by every trial."""
    for i in range(hp.Int("num_layers", 1, 6)):
        hp.Int(f"units_{i}", 32, 512, step=32)
        hp.Choice(f"activation_{i}", ["relu", "tanh", "gelu"])
    hp.Float("learning_rate", 1e-5, 1e-1, sampling="log")
    hp.Float("dropout", 0, 0.5, step=0.1)
    hp.Float("weight_decay", 1e-6, 1e-2, sampling="log")
    hp.Choice("optimizer", ["adam", "sgd", "rmsprop"])
    hp.Choice("batch_size", [16, 32, 64, 128])
    hp.Boolean("normalise")
    hp.Int("warm_up", 0, 10)


def trace(proposal, fill):
    rng = np.random.default_rng(fill if isinstance(fill, int) else 0)
    hp = HyperParameters(proposal, filling(fill, lambda spec: spec.random(rng)))
    build(hp)
    return hp.requested


def end(searcher, trial, requested, rng):
    """Half of the trials are stopped early, as by ASHA."""
    searcher.tell_requested(trial, requested, len(requested))
    for epoch in range(1, 1 + (EPOCHS if rng.random() < 0.5 else int(rng.integers(1, EPOCHS)))):
        searcher.tell_report(trial, epoch, float(rng.random()))
    searcher.tell_end(trial)


def measure(finished, n):
    rng = np.random.default_rng(0)
    searcher = HyperOpt(
        seed=0, objective=Objective("val_loss", "min"), trials=finished + n, trace=trace
    )
    for number in range(finished):
        searcher.tell_asked(str(number), {})
        end(searcher, str(number), trace({}, number), rng)
    taken = []
    for number in range(finished, finished + n + 1):
        start = time.perf_counter()
        configuration = searcher.ask(str(number))
        taken.append((time.perf_counter() - start) * 1e3)
        end(searcher, str(number), trace(configuration, "default"), rng)
    first, *others = taken
    assert len(searcher.known) == 20
    return {
        "finished": finished,
        "median_ms": round(statistics.median(others), 1),
        "quartiles_ms": [round(q, 1) for q in statistics.quantiles(others, n=4)[::2]],
        "first_after_a_resume_ms": round(first, 1),
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--n", type=int, default=30, help="suggestions that are timed, each number of trials"
    )
    n = arguments.parse_args().n
    measure(100, 5)  # hyperopt and numpy are loaded
    rows = []
    for finished in FINISHED:
        rows.append(measure(finished, n))
        print(rows[-1], flush=True)
    recording.write(
        "tpe-cost",
        __doc__.partition("\n")[0],
        "hyperopt",
        "numpy",
        n=n,
        promised_ms_at_1000=PROMISED_MS,
        rows=rows,
    )


if __name__ == "__main__":
    main()
