"""The benchmarks still run, also on another dataset with another model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.worker.devices.cuda import has_driver

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


ON_GPU = """
from on_gpu import fused, plans
plans.FAMILIES, plans.WINDOW_S = [("mlp", "digits")], 0.2
fused.DATASETS, fused.GROUPS = ["digits"], (1, 8)
plans.main()
fused.main()
"""


@pytest.mark.slow
def test_what_a_gpu_benchmark_runs_in_a_process_of_its_own_runs_without_a_gpu():
    done = subprocess.run(
        [sys.executable, "-c", ON_GPU],
        cwd=BENCHMARKS,
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(BENCHMARKS.parent)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    plain, compiled, alone, group = (json.loads(line) for line in done.stdout.splitlines())
    assert (plain["plan"], compiled["plan"]) == ("plain", "compiled")
    assert plain["failed"] == compiled["failed"] == ""
    assert plain["epochs_a_s"] > 0 and compiled["epochs_a_s"] > 0 and alone["alone_s"] > 0
    assert (alone["group"], group["group"]) == (1, 8)


def test_the_gpu_benchmark_says_where_there_is_no_gpu_and_knows_its_parts(tmp_path):
    def run(*parts):
        return subprocess.run(
            [sys.executable, "gpu.py", *parts],
            cwd=BENCHMARKS,
            env=os.environ | {"BENCHMARK_RESULTS": str(tmp_path), "LD_LIBRARY_PATH": ""},
            capture_output=True,
            text=True,
        )

    wrong = run("cap")
    assert wrong.stderr == "Parts are caps, fused, plans, auto, packing; got cap.\n"
    if has_driver():
        return
    assert run("caps", "auto").returncode == 0
    (record,) = tmp_path.glob("*-gpu-caps-auto.json")
    found = json.loads(record.read_text())
    assert found["why"] == "this machine has no NVIDIA GPU, or none is seen"
    assert found["verified"] is False
