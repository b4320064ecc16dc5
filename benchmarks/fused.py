"""Trainings that are carried out together, against the same apart; sides alternate.

Run:  .venv/bin/python benchmarks/fused.py --pairs 4 [--only CASE ...]

`sixteen`: sixteen trainings of one model that differ in learning rate and dropout rate, in one
process on one core, on JAX: CPU seconds and seconds of the trainings (compiling included), and of
the whole process. `search`: the same as a search, its command whole, on all cores. `folds`: five
folds of a grid of nine against one hold-out of it. `pbt`: a population of sixteen on digits. What
JAX has compiled is of no earlier run. A ratio is of geometric means over the pairs,
with a 90 % interval (Student's t on the logarithms). Writes `results/<date>-fused.json`.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import recording
from sides import compiled, ours, timed
from two_checkouts import compared

SPACE = Path(__file__).with_name("fused_space.py")
EPOCHS = 30
# name -> dataset, units, batch size
SIZES = {
    "16 units, 30 inputs": ("breast_cancer", 16, 32),
    "64 units, 30 inputs": ("breast_cancer", 64, 32),
    "64 units, 64 inputs": ("digits", 64, 32),
    "128 units, 64 inputs, batches of 128": ("digits", 128, 128),
}
GRID = ("--search-space", SPACE, "--searcher", "grid", "--scheduler", "none")


def sixteen(size, side):
    """In this process: sixteen trainings, seconds and CPU seconds; one line of JSON."""
    import os

    from pipeline.worker.devices import machine

    machine.claim(1, 0)
    from pipeline import names
    from pipeline.objective import Objective
    from pipeline.worker.fused.programs import Programs
    from pipeline.worker.session import Job, Stopped, Until
    from pipeline.worker.spaces.loading import load_dataset, load_search_space
    from pipeline.worker.training.group import train_group
    from pipeline.worker.training.trial import train

    dataset, units, batch = SIZES[size]
    os.environ |= {"UNITS": str(units), "BATCH": str(batch), "SIDE": "4"}
    data = load_dataset(names.resolve("dataset", dataset), 0, None)
    space = load_search_space(names.resolve("search space", str(SPACE)))
    import fused_space

    pairs = [(r, d) for r in fused_space.RATES for d in fused_space.DROPOUTS]
    began, cpu = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        plan = "fused" if side == "together" else "auto"
        jobs = [
            Job(
                f"t{number:04d}",
                {"learning_rate": rate, "dropout": dropout},
                0,
                EPOCHS,
                Objective("val_loss", "min"),
                Path(folder, str(number)),
                fit_plan=plan,
            )
            for number, (rate, dropout) in enumerate(pairs)
        ]
        if side == "together":
            train_group(jobs, space, data, [Until(EPOCHS) for _ in jobs], Programs())
        else:
            for job in jobs:
                with contextlib.suppress(Stopped):
                    train(job, space, data, Until(EPOCHS))
    print(json.dumps({"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}))


def of_sixteen(size, side):
    """Seconds of a process that trains sixteen; all by what they are."""
    with tempfile.TemporaryDirectory() as nothing:
        command = [__file__, "--in-process", size, side]
        whole, line = timed(command, KERAS_BACKEND="jax", **compiled(nothing))
    return {**json.loads(line), "whole process": whole}


def search(dataset, backend, *more, **environment):
    """Seconds of our command."""
    return ours(dataset, *GRID, *more, KERAS_BACKEND=backend, **environment)["seconds"]


def cases():
    """name -> sides, each a function that gives seconds by what they are."""
    found = {}
    for size in SIZES:
        found[f"sixteen, {size}"] = {
            side: lambda size=size, side=side: of_sixteen(size, side)
            for side in ("together", "apart")
        }
    for size, (dataset, units, batch) in SIZES.items():
        found[f"search, {size}"] = {
            side: lambda d=dataset, u=units, b=batch, plan=plan: {
                "seconds": search(
                    d,
                    "jax",
                    "--trials",
                    16,
                    "--max-epochs",
                    EPOCHS,
                    "--fit-plan",
                    plan,
                    SIDE="4",
                    UNITS=str(u),
                    BATCH=str(b),
                )
            }
            for side, plan in (("together", "auto"), ("apart", "compiled"))
        }
    for backend in ("jax", "tensorflow"):
        for dataset in ("breast_cancer", "digits"):
            of_nine = ("--trials", 9, "--max-epochs", 10)
            found[f"folds, {dataset}, {backend}"] = {
                side: lambda d=dataset, b=backend, more=more, n=of_nine: {
                    "seconds": search(d, b, *n, *more)
                }
                for side, more in (("five folds", ("--folds", 5)), ("hold-out", ()))
            }
    found["pbt"] = {
        side: lambda plan=plan: {
            "seconds": ours(
                "digits",
                "--search-space",
                SPACE,
                "--scheduler",
                "pbt",
                "--searcher",
                "random",
                "--trials",
                16,
                "--max-epochs",
                20,
                "--fit-plan",
                plan,
                KERAS_BACKEND="jax",
            )["seconds"]
        }
        for side, plan in (("together", "auto"), ("apart", "compiled"))
    }
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pairs", type=int, default=4)
    arguments.add_argument("--only", action="append", help="the beginning of a case's name")
    arguments.add_argument("--in-process", nargs=2, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.in_process:
        sixteen(*asked.in_process)
        return
    chosen = {
        n: sides
        for n, sides in cases().items()
        if not asked.only or n.startswith(tuple(asked.only))
    }
    measured = {name: {side: {} for side in sides} for name, sides in chosen.items()}
    rows = {}
    for pair in range(asked.pairs):
        for name, sides in chosen.items():
            for side in sorted(sides, reverse=bool(pair % 2)):
                for what, seconds in sides[side]().items():
                    measured[name][side].setdefault(what, []).append(round(seconds, 2))
            one, other = measured[name].values()
            if pair:
                rows[name] = {what: compared(one[what], other[what]) for what in one}
            print(pair + 1, name, measured[name], rows.get(name, ""), flush=True)
    recording.write(
        "fused",
        __doc__.partition("\n")[0],
        "keras",
        "jax",
        "tensorflow",
        "ray",
        pairs=asked.pairs,
        epochs=EPOCHS,
        ratios=rows,
        measured=measured,
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
