"""KerasTuner's MNIST example, whole: from a fresh process to the best model on disk, start-up
included.

Run:  python benchmarks/example.py --ours 5 --ours-jax 3 --ours-ten 3 --keras-tuner 3 --ray-tune 3
      python benchmarks/example.py --dataset digits --search-space cnn --good 0.98 --ours 2

Each side's option asks for so many more runs of it, of seeds that it has not had; the sides take
turns. A run is added to `results/example-runs.jsonl`, so that one sitting need not hold them all;
`results/<date>-example.json` then compares what was recorded on this processor, ours of the newest
commit alone, by the medians. KerasTuner: its example as it stands (random search, ten trials of ten
epochs). Ray Tune: ten trials with ASHA and HyperOptSearch, as it shows them. Ours: one command on
the same space with all defaults (twenty trials), the same on JAX with nothing compiled before, and
with `--trials 10`.

`seconds_until_good` is the expected time until a val_accuracy of `--good` first stands: of random
search by bootstrap from all of KerasTuner's recorded trials, of ours from its runs. Where a side
has runs or trials that never were good, their time counts whole: then it is `at_least` that.
"""

import json
import random
import statistics
from datetime import UTC, datetime

import recording
import subject
from sides import GOOD, is_good, ours, peer

RUNS = recording.RESULTS / "example-runs.jsonl"
SIDES = {
    "ours": lambda command, **how: ours(*command, **how),
    "ours_jax": lambda command, **how: ours(*command, KERAS_BACKEND="jax", **how),
    "ours_ten": lambda command, **how: ours(*command, "--trials", "10", **how),
    "keras_tuner": lambda command, **how: peer("keras_tuner_example.py", "--dataset", *command),
    "ray_tune": lambda command, **how: peer(
        "ray_tune_example.py", "--dataset", *command, first="--flatten"
    ),
}
OURS = [side for side in SIDES if side.startswith("ours")]
GOALS = {"keras_tuner": 10, "ray_tune": 6}


def recorded(of, good):
    """Runs of this subject on this processor; ours for this threshold alone, and of the newest
    commit."""
    lines = RUNS.read_text().splitlines() if RUNS.exists() else []
    wanted = (of, recording.hardware())
    here = [run for run in map(json.loads, lines) if (run.get("of", ""), run["hardware"]) == wanted]
    here = [run for run in here if run["side"] not in OURS or run.get("good", GOOD) == good]
    newest = {run["side"]: run["commit"] for run in here}
    return [run for run in here if run["side"] not in OURS or run["commit"] == newest[run["side"]]]


def until_good(runs, good):
    """Seconds until one of a random search's trials is good: the mean of 10,000 searches drawn from
    records."""
    pool = [
        (value, run["seconds"] / len(run["val_accuracies"]))
        for run in runs
        for value in run["val_accuracies"]
    ]
    found = {"trials": len(pool), "good": sum(is_good(value, good) for value, _ in pool)}
    if not found["good"]:
        return found | {"at_least": round(sum(seconds for _, seconds in pool), 1)}
    rng = random.Random(0)
    taken = []
    for _ in range(10_000):
        seconds, value = 0.0, 0.0
        while not is_good(value, good):
            value, more = rng.choice(pool)
            seconds += more
        taken.append(seconds)
    return found | {"mean": round(statistics.mean(taken), 1)}


def ours_until_good(runs, good):
    """The same of our runs, of which one that never was good counts whole."""
    first = [run["good_s"] for run in runs if is_good(run["val_accuracy"], good) and run["good_s"]]
    whole = [
        run["seconds"] for run in runs if not (is_good(run["val_accuracy"], good) and run["good_s"])
    ]
    mean = round(statistics.mean(first + whole), 1)
    return {"runs": len(runs), "good": len(first), "at_least" if whole else "mean": mean}


def main():
    arguments = subject.options(__doc__)
    arguments.add_argument("--good", type=float, default=GOOD, help="a val_accuracy to be reached")
    for side in SIDES:
        arguments.add_argument(
            "--" + side.replace("_", "-"), type=int, default=0, help="runs to add"
        )
    asked = arguments.parse_args()
    of, counts = subject.label(asked), {side: getattr(asked, side) for side in SIDES}
    for turn in range(max(counts.values())):
        for side, count in counts.items():
            if turn < count:
                mine = [run for run in recorded(of, asked.good) if run["side"] == side]
                had = {
                    run["seed"]
                    for run in mine
                    if side not in OURS or run["commit"] == recording.commit()
                }
                seed = min(set(range(asked.seed, asked.seed + len(had) + 1)) - had)
                command = (asked.dataset, "--search-space", asked.search_space, "--seed", str(seed))
                found = {"side": side, "seed": seed, **SIDES[side](command, good=asked.good)}
                print(found, flush=True)
                found |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": recording.commit()}
                with RUNS.open("a") as file:
                    file.write(
                        json.dumps(
                            found | {"of": of, "good": asked.good, "hardware": recording.hardware()}
                        )
                        + "\n"
                    )
    runs = {
        side: [run for run in recorded(of, asked.good) if run["side"] == side] for side in SIDES
    }
    medians = {
        side: {
            name: statistics.median(run[name] for run in done)
            for name in ("seconds", "test_accuracy")
        }
        for side, done in runs.items()
        if done
    }
    faster = {
        side: {
            other: round(medians[other]["seconds"] / medians[side]["seconds"], 2)
            for other in medians
            if other not in OURS
        }
        for side in OURS
        if side in medians
    }
    print(f"medians {medians}; times faster {faster}; goals {GOALS}")
    recording.write(
        f"example{of}" + ("" if asked.good == GOOD else f"-{asked.good:g}"),
        __doc__.partition("\n")[0],
        "ray",
        "tensorflow",
        "keras",
        "keras-tuner",
        "hyperopt",
        dataset=asked.dataset,
        search_space=recording.relative(asked.search_space),
        n={side: len(done) for side, done in runs.items()},
        commits={side: sorted({run["commit"] for run in done}) for side, done in runs.items()},
        medians=medians,
        goals=GOALS,
        times_faster=faster,
        good=asked.good,
        seconds_until_good={
            side: ours_until_good(runs[side], asked.good) for side in OURS if runs[side]
        }
        | (
            {"keras_tuner": until_good(runs["keras_tuner"], asked.good)}
            if runs["keras_tuner"]
            else {}
        ),
    )


if __name__ == "__main__":
    main()
