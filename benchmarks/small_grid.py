"""A grid of nine small models: our command against a loop by hand, each a process from start to
end.

Run:  python benchmarks/small_grid.py --n 5
      python benchmarks/small_grid.py --backend jax

Breast cancer, three learning rates by three dropout rates, ten epochs each. Our command has all
defaults but that it tries the grid and stops no trial. The sides take turns, and nothing that
another run compiled is at hand. Writes `results/<date>-small-grid.json`.
"""

import argparse
import statistics

import recording
import sides

# Our time by that of the loop, at most.
GOALS = {"tensorflow": 0.5, "jax": 0.35}
GRID = ("--searcher", "grid", "--scheduler", "none", "--trials", "9", "--max-epochs", "10")
SPACE = sides.ROOT / "benchmarks" / "small_grid_space.py"


def measured(backend, n):
    runs = {"loop by hand": [], "ours": []}
    for _ in range(n):
        runs["loop by hand"].append(sides.peer("double_loop.py", KERAS_BACKEND=backend))
        runs["ours"].append(
            sides.ours("breast_cancer", "--search-space", SPACE, *GRID, KERAS_BACKEND=backend)
        )
    medians = {side: statistics.median(r["seconds"] for r in of) for side, of in runs.items()}
    ratio = round(medians["ours"] / medians["loop by hand"], 2)
    row = {"backend": backend, "ratio": ratio, "goal": GOALS[backend], "median_s": medians}
    print(row, flush=True)
    return row | {"runs": runs}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--n", type=int, default=5, help="repetitions")
    arguments.add_argument("--backend", choices=list(GOALS), action="append")
    asked = arguments.parse_args()
    recording.write(
        "small-grid",
        __doc__.partition("\n\n")[0].replace("\n", " "),
        "ray",
        "tensorflow",
        "jax",
        "keras",
        n=asked.n,
        rows=[measured(backend, asked.n) for backend in asked.backend or GOALS],
    )


if __name__ == "__main__":
    main()
