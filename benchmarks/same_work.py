"""The same ten configurations, drawn from KerasTuner's example space, for the same epochs: KerasTuner against us.

Run:  python benchmarks/same_work.py --n 3 --epochs 3
KerasTuner on TensorFlow, ours on TensorFlow and on JAX. All train on the same arrays, in batches of 32, every trial to
its last epoch; each side is a process of its own, timed from its start to the best model on disk. The sides take turns.
Writes `results/<date>-same-work-<epochs>-epochs.json`.
"""

import argparse
import json
import statistics
import sys
import tempfile

import numpy as np
import recording
from example_hyperparameters import drawn
from sides import ROOT, SPACE, ours, peer

sys.path.insert(0, str(ROOT))

from pipeline.search.configuration import configuration_of

BACKENDS = ("tensorflow", "jax")  # of our side


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=0, help="of the configurations")
    asked = arguments.parse_args()
    rng = np.random.default_rng(asked.seed)
    configurations = [configuration_of(drawn(rng)) for _ in range(10)]
    runs = {"keras_tuner": [], **{backend: [] for backend in BACKENDS}}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(configurations, file)
        file.flush()
        epochs = ("--epochs", str(asked.epochs))
        for _ in range(asked.n):
            runs["keras_tuner"].append(peer("keras_tuner_example.py", "--configurations", file.name, *epochs))
            for backend in BACKENDS:
                done = ours(
                    "mnist", "--search-space", str(SPACE), "--start-from", file.name, "--trials", "10",
                    "--max-epochs", str(asked.epochs), "--searcher", "random", "--scheduler", "none",
                    KERAS_BACKEND=backend,
                )  # fmt: skip
                assert done["epochs"] == 10 * asked.epochs
                runs[backend].append(done)
            print({side: done[-1] for side, done in runs.items()}, flush=True)
    medians = {side: statistics.median(run["seconds"] for run in done) for side, done in runs.items()}
    recording.write(
        f"same-work-{asked.epochs}-epochs",
        __doc__.partition("\n")[0],
        "ray", "tensorflow", "jax", "keras", "keras-tuner",
        n=asked.n, epochs=asked.epochs, median_seconds=medians,
        times_faster={backend: round(medians["keras_tuner"] / medians[backend], 2) for backend in BACKENDS},
        runs=runs, configurations=configurations,
    )  # fmt: skip


if __name__ == "__main__":
    main()
