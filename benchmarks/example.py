"""KerasTuner's MNIST example, whole: from a fresh process to the best model on disk, start-up included.

Run:  python benchmarks/example.py --ours 5 --keras-tuner 3 --ray-tune 3
Each asks for so many more runs of a side, of seeds that it has not had; the sides take turns. A run is added to
`results/example-runs.jsonl`, so that one sitting need not hold them all; `results/<date>-example.json` then compares
all that were recorded on this processor, by their medians. KerasTuner: its example as it stands (random search, ten
trials of ten epochs). Ray Tune: ten trials with ASHA and HyperOptSearch, as its documentation shows. Ours: one command
on the same space with all defaults (twenty trials).
"""

import argparse
import json
import statistics
from datetime import UTC, datetime

import recording
from sides import ROOT, SPACE, ours, peer

RUNS = ROOT / "benchmarks" / "results" / "example-runs.jsonl"
SIDES = {
    "ours": lambda seed: ours("mnist", "--search-space", str(SPACE), "--seed", seed),
    "keras_tuner": lambda seed: peer("keras_tuner_example.py", "--seed", seed),
    "ray_tune": lambda seed: peer("ray_tune_example.py", "--seed", seed),
}


def recorded():
    """Runs on this processor; of ours those of the newest commit alone."""
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    here = [run for run in map(json.loads, lines) if run["hardware"] == recording.hardware()]
    newest = next((run["commit"] for run in reversed(here) if run["side"] == "ours"), None)
    return [run for run in here if run["side"] != "ours" or run["commit"] == newest]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for side in SIDES:
        arguments.add_argument("--" + side.replace("_", "-"), type=int, default=0, help="runs to add")
    asked = vars(arguments.parse_args())
    for turn in range(max(asked.values())):
        for side, count in asked.items():
            if turn < count:
                had = {run["seed"] for run in recorded() if run["side"] == side and run["commit"] == recording.commit()}
                had |= {run["seed"] for run in recorded() if run["side"] == side != "ours"}
                seed = min(set(range(len(had) + 1)) - had)
                found = {"side": side, "seed": seed, **SIDES[side](str(seed))}
                print(found, flush=True)
                found |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": recording.commit()}
                with RUNS.open("a") as file:
                    file.write(json.dumps(found | {"hardware": recording.hardware()}) + "\n")
    runs = {side: [run for run in recorded() if run["side"] == side] for side in SIDES}
    medians = {
        side: {name: statistics.median(run[name] for run in done) for name in ("seconds", "test_accuracy")}
        for side, done in runs.items()
        if done
    }
    recording.write(
        "example",
        __doc__.partition("\n")[0],
        "ray", "tensorflow", "keras", "keras-tuner", "hyperopt",
        n={side: len(done) for side, done in runs.items()},
        medians=medians,
        times_faster_than={
            side: round(medians[side]["seconds"] / medians["ours"]["seconds"], 2) for side in medians if side != "ours"
        } if "ours" in medians else {},
    )  # fmt: skip


if __name__ == "__main__":
    main()
