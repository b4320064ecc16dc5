"""KerasTuner's MNIST example, whole: from a fresh process to the best model on disk, start-up included.

Run:  python benchmarks/example.py --ours 5 --ours-jax 3 --ours-ten 3 --keras-tuner 3 --ray-tune 3
Each asks for so many more runs of a side, of seeds that it has not had; the sides take turns. A run is added to
`results/example-runs.jsonl`, so that one sitting need not hold them all; `results/<date>-example.json` then compares
all that were recorded on this processor, by their medians. KerasTuner: its example as it stands (random search, ten
trials of ten epochs). Ray Tune: ten trials with ASHA and HyperOptSearch, as its documentation shows. Ours: one command
on the same space with all defaults (twenty trials), the same on JAX, and with `--trials 10`.

`seconds_until_good` is the expected time until a val_accuracy of `sides.GOOD` first stands: of random search by
bootstrap from all of KerasTuner's recorded trials, of ours from its runs.
"""

import argparse
import json
import random
import statistics
from datetime import UTC, datetime

import recording
from sides import GOOD, ROOT, SPACE, ours, peer

RUNS = ROOT / "benchmarks" / "results" / "example-runs.jsonl"
COMMAND = ("mnist", "--search-space", str(SPACE), "--seed")
SIDES = {
    "ours": lambda seed: ours(*COMMAND, seed),
    "ours_jax": lambda seed: ours(*COMMAND, seed, KERAS_BACKEND="jax"),
    "ours_ten": lambda seed: ours(*COMMAND, seed, "--trials", "10"),
    "keras_tuner": lambda seed: peer("keras_tuner_example.py", "--seed", seed),
    "ray_tune": lambda seed: peer("ray_tune_example.py", "--seed", seed),
}
OURS = [side for side in SIDES if side.startswith("ours")]


def recorded():
    """Runs on this processor; of ours those of the newest commit alone."""
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    here = [run for run in map(json.loads, lines) if run["hardware"] == recording.hardware()]
    newest = {run["side"]: run["commit"] for run in here}
    return [run for run in here if run["side"] not in OURS or run["commit"] == newest[run["side"]]]


def until_good(runs):
    """Seconds until one of a random search's trials is good: the mean of 10,000 searches drawn from records."""
    pool = [(value, run["seconds"] / len(run["val_accuracies"])) for run in runs for value in run["val_accuracies"]]
    if not any(value >= GOOD for value, _ in pool):
        return {"trials": len(pool), "mean": None}
    rng = random.Random(0)
    taken = []
    for _ in range(10_000):
        seconds, value = 0.0, 0.0
        while value < GOOD:
            value, more = rng.choice(pool)
            seconds += more
        taken.append(seconds)
    good = sum(value >= GOOD for value, _ in pool)
    return {"trials": len(pool), "good": good, "mean": round(statistics.mean(taken), 1)}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    for side in SIDES:
        arguments.add_argument("--" + side.replace("_", "-"), type=int, default=0, help="runs to add")
    asked = vars(arguments.parse_args())
    for turn in range(max(asked.values())):
        for side, count in asked.items():
            if turn < count:
                commits = {recording.commit()} if side in OURS else {run["commit"] for run in recorded()}
                had = {run["seed"] for run in recorded() if run["side"] == side and run["commit"] in commits}
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
        commits={side: sorted({run["commit"] for run in done}) for side, done in runs.items()},
        medians=medians,
        seconds_until_good={"keras_tuner": until_good(runs["keras_tuner"])} | {
            side: {
                "runs": len(runs[side]),
                "good": sum(run["good_s"] is not None for run in runs[side]),
                # A run that never was good counts whole, though it would have taken longer.
                "mean": round(statistics.mean(run["good_s"] or run["seconds"] for run in runs[side]), 1),
            } for side in OURS if runs[side]
        },
        times_faster={
            side: {
                other: round(medians[other]["seconds"] / medians[side]["seconds"], 2)
                for other in medians if other not in OURS
            } for side in OURS if side in medians
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
