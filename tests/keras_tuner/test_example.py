"""KerasTuner's MNIST example runs to its end, as it stands but for the number of images."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "mnist_keras_tuner.py"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(600)
def test_the_mnist_example_runs_to_its_end_on_fewer_images(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    heading = "\n\ndef build_model(hp):"
    assert text.count(heading) == 1
    fewer = "\nx_train, y_train, x_test, y_test = x_train[:1000], y_train[:1000], x_test[:500], y_test[:500]\n"
    script = tmp_path / "examples" / EXAMPLE.name
    script.parent.mkdir()
    script.write_text(text.replace(heading, fewer + heading), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Default search space size: 4\nnum_layers (Int)" in run.stdout
    assert "\nRecords: runs/mnist_keras_tuner\n" in run.stdout
    assert "Showing 10 best trials" in run.stdout
    scores = [
        float(line.split()[-1])
        for line in run.stdout.splitlines()
        if line.startswith("test accuracy")
    ]
    assert len(scores) == 3 and min(scores) > 0.7
    (values,) = [line for line in run.stdout.splitlines() if line.startswith("{'num_layers'")]
    layers = int(values.split("'num_layers': ")[1].split(",")[0])
    assert values.count("'units_") == layers, "only the layers that the best model has"
    assert (tmp_path / "runs" / "mnist_keras_tuner" / "trials.csv").is_file()
