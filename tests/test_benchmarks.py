"""The benchmarks still run, also on another dataset with another model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize("side", ["ray", "ours"])
def test_a_side_of_overhead_measures_a_search_of_trials_that_end_well(side):
    small = f"import overhead; overhead.CASES = {{'small': (4, 3, 0.05)}}; overhead.measure({side!r}, 'small')"
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", small],
        cwd=BENCHMARKS,
        env=clean,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["seconds"] > 0.3


CONVOLUTIONS = """
import keras

def build(hp, data):
    layers = [keras.layers.Conv2D(hp.Int("filters", 4, 8, step=4), 3), keras.layers.BatchNormalization(),
              keras.layers.Flatten(), keras.layers.Dropout(hp.Float("dropout", 0.1, 0.5))]
    model = keras.Sequential([keras.Input(data.shape), *layers, keras.layers.Dense(data.classes, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "name", "compared"),
    [
        ("limit", ("--units", "16", "--batch-size", "16"), "limit-digits", "of_the_limit"),
        ("checkpoints", (), "checkpoints-digits", "rows"),
        ("fit_plans", ("--configurations", "1", "SPACE"), "fit-plans-digits-convolutions", "rows"),
        ("start_up", ("SPACE",), "start-up-digits-convolutions", "rows"),
        (
            "same_work",
            ("--configurations", "2", "--epochs", "1", "SPACE"),
            "same-work-1-epochs-digits-convolutions",
            "times_faster",
        ),
    ],
)
def test_a_benchmark_takes_another_dataset_and_another_search_space(
    script, options, name, compared, tmp_path
):
    space = tmp_path / "convolutions.py"
    space.write_text(CONVOLUTIONS)
    given = [
        part
        for option in options
        for part in (("--search-space", str(space)) if option == "SPACE" else (option,))
    ]
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", "--dataset", "digits", "--n", "1", *given],
        cwd=tmp_path,
        env=clean | {"BENCHMARK_RESULTS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    (record,) = tmp_path.glob(f"*-{name}.json")
    found = json.loads(record.read_text())
    assert (
        found["n"] == 1 and found[compared] and {"commit", "hardware", "versions"} <= found.keys()
    )
