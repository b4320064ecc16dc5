"""The same ten configurations, drawn from KerasTuner's example space, for the same epochs: KerasTuner against us.

Run:  python benchmarks/same_work.py --n 3 --epochs 3
      python benchmarks/same_work.py --n 3 --epochs 3 --backend jax
Both sides train on the same arrays, in batches of 32, every trial to its last epoch; each side is a process of its own,
timed from its start to the best model on disk. The sides take turns. Writes `results/<date>-same-work[-jax].json`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import recording
from example_hyperparameters import drawn
from sides import ROOT, SPACE, ours, peer

sys.path.insert(0, str(ROOT))

from pipeline.search.configuration import configuration_of


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0, help="of the configurations")
    arguments.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax"], help="of our side")
    asked = arguments.parse_args()
    rng = np.random.default_rng(asked.seed)
    configurations = [configuration_of(drawn(rng)) for _ in range(10)]
    runs = {"keras_tuner": [], "ours": []}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(configurations, file)
        file.flush()
        epochs = ("--epochs", str(asked.epochs))
        for _ in range(asked.n):
            runs["keras_tuner"].append(peer("keras_tuner_example.py", "--configurations", file.name, *epochs))
            runs["ours"].append(
                ours(
                    "mnist", "--search-space", str(SPACE), "--start-from", file.name, "--trials", "10",
                    "--max-epochs", str(asked.epochs), "--searcher", "random", "--scheduler", "none",
                    KERAS_BACKEND=asked.backend,
                )
            )  # fmt: skip
            assert runs["ours"][-1]["epochs"] == 10 * asked.epochs
            print({side: done[-1] for side, done in runs.items()}, flush=True)
    medians = {side: statistics.median(run["seconds"] for run in done) for side, done in runs.items()}
    recording.write(
        "same-work" + ("-jax" if asked.backend == "jax" else ""),
        Path(__file__).read_text().split('"""')[1].partition("\n")[0],
        "ray", "tensorflow", "keras", "keras-tuner", *(["jax"] if asked.backend == "jax" else []),
        n=asked.n, epochs=asked.epochs, backend=asked.backend, median_seconds=medians,
        ratio=round(medians["keras_tuner"] / medians["ours"], 2), runs=runs, configurations=configurations,
    )  # fmt: skip


if __name__ == "__main__":
    main()
