"""The same ten configurations, drawn from KerasTuner's example space, for the same epochs:
KerasTuner against us.

Run:  python benchmarks/same_work.py --n 3 --epochs 10
      python benchmarks/same_work.py --dataset digits --search-space cnn --configurations 4 --seed 1

KerasTuner on TensorFlow, ours on TensorFlow and on JAX, the latter once with nothing compiled
before and once more ("again") with what that run compiled, as in a second search. All train on the
same arrays, in the batches of the search space (Keras's own 32 where it does not say), every trial
to its last epoch; each side is a process of its own, timed from its start to the best model on
disk. The sides take turns. Writes `results/<date>-same-work-<epochs>-epochs.json`.
"""

import json
import statistics
import tempfile

import numpy as np
import recording
import subject
from sides import compiled, ours, peer

from pipeline.space.configuration import configuration_of

GOALS = {"tensorflow": 4, "jax": 6}


def main():
    arguments = subject.options(__doc__)
    arguments.add_argument("--n", type=int, default=3, help="repetitions")
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--configurations", type=int, default=10)
    asked = arguments.parse_args()
    of = ("--dataset", asked.dataset, "--search-space", asked.search_space)
    data, space = (
        subject.load_data(asked.dataset, asked.seed),
        subject.load_space(asked.search_space),
    )
    rng = np.random.default_rng(asked.seed)
    configurations = [
        configuration_of(subject.drawn(space, data, rng)[0]) for _ in range(asked.configurations)
    ]
    runs = {"keras_tuner": [], "tensorflow": [], "jax": [], "jax_again": []}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(configurations, file)
        file.flush()
        seed, epochs = ("--seed", str(asked.seed)), ("--epochs", str(asked.epochs))
        for _ in range(asked.n):
            runs["keras_tuner"].append(
                peer("keras_tuner_example.py", *of, *seed, "--configurations", file.name, *epochs)
            )
            with tempfile.TemporaryDirectory() as kept:
                for side in ("tensorflow", "jax", "jax_again"):
                    done = ours(
                        asked.dataset,
                        *of[2:],
                        *seed,
                        "--start-from",
                        file.name,
                        "--trials",
                        str(asked.configurations),
                        "--max-epochs",
                        str(asked.epochs),
                        "--searcher",
                        "random",
                        "--scheduler",
                        "none",
                        KERAS_BACKEND=side.removesuffix("_again"),
                        **compiled(kept),
                    )
                    assert done["epochs"] == asked.configurations * asked.epochs
                    runs[side].append(done)
            print({side: done[-1] for side, done in runs.items()}, flush=True)
    medians = {
        side: statistics.median(run["seconds"] for run in done) for side, done in runs.items()
    }
    faster = {
        side: round(medians["keras_tuner"] / s, 2)
        for side, s in medians.items()
        if side != "keras_tuner"
    }
    print(f"median seconds {medians}; times faster {faster}; goals {GOALS}")
    recording.write(
        f"same-work-{asked.epochs}-epochs{subject.label(asked)}",
        __doc__.partition("\n")[0],
        "ray",
        "tensorflow",
        "jax",
        "keras",
        "keras-tuner",
        n=asked.n,
        dataset=asked.dataset,
        search_space=recording.relative(asked.search_space),
        epochs=asked.epochs,
        median_seconds=medians,
        goals=GOALS,
        times_faster=faster,
        runs=runs,
        configurations=configurations,
    )


if __name__ == "__main__":
    main()
