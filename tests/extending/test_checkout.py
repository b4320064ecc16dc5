"""A model family and a column are added to a checkout by one new file each: the rest follows.

In a copy: a worker is another process, which finds the files alone and nothing that a test has set.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
FAMILY = f'"""The smallest."""\n{(ROOT / "tests" / "spaces" / "tiny.py").read_text()}'
FACT = '''"""How many parameters the model has."""


def measure(model):
    return model.count_params()
'''
# Both in one process, so that Ray starts once.
SEARCH_AND_RESUME = """
import sys
from pipeline import Experiment, tune
from pipeline.engine.cluster.connect import cluster

settings = {"dataset": "digits", "search_space": "smallest", "max_epochs": 1}
settings |= {"max_concurrent": 1, "storage": sys.argv[1]}
with cluster(Experiment(**settings), []):
    run = tune(Experiment(**settings, trials=1))
    run = tune(Experiment(**settings, trials=2), resume=run.directory)
print(run.directory)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, with a file more in `search_spaces/` and one in `pipeline/facts/`."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("pipeline", "search_spaces", "datasets"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    (copy / "search_spaces" / "smallest.py").write_text(FAMILY)
    (copy / "pipeline" / "facts" / "parameters.py").write_text(FACT)
    return copy


def python(checkout: Path, *arguments: object) -> Any:
    """Run Python on the copy alone; what it printed in `stdout` and `stderr`."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=checkout,
        # The copy is compiled once, whatever is so for what was copied.
        env={**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_family_is_listed_and_a_refusal_names_it(checkout: Path) -> None:
    listed = python(checkout, "-m", "pipeline.run", "--list").stdout
    assert "smallest The smallest." in " ".join(listed.split())

    refused = python(checkout, "-m", "pipeline.run", "digits", "--search-space", "smalest")
    assert refused.returncode == 2
    says = "Known: cnn, mlp, resnet, smallest, xception. Did you mean 'smallest'?"
    assert says in refused.stderr


def test_both_are_on_the_reference_pages(checkout: Path) -> None:
    options = python(checkout, "-m", "pipeline.command.reference").stdout
    assert "| `smallest` | The smallest. |" in options

    directory = python(checkout, "-m", "pipeline.records.outputs.reference").stdout
    assert "| `parameters` | How many parameters the model has. |" in directory


@pytest.mark.slow
@pytest.mark.ray
def test_both_are_searched_recorded_and_resumed(checkout: Path, tmp_path: Path) -> None:
    done = python(checkout, "-c", SEARCH_AND_RESUME, tmp_path)
    assert done.returncode == 0, done.stderr
    run = Path(done.stdout.splitlines()[-1])

    assert run.name.startswith("digits-smallest")
    assert "search_space: smallest" in (run / "experiment.yaml").read_text()
    trials = pd.read_csv(run / "trials.csv")
    hidden = trials["hidden"].astype(bool)
    # 64 pixels, 10 classes: without a hidden layer, and with one of so many units
    expected = (64 * 10 + 10) * ~hidden + (75 * trials["units"].fillna(0) + 10) * hidden
    assert len(trials) == 2 and list(trials["parameters"]) == list(expected)
    assert '"parameters": ' in (run / "trials" / "t0001" / "trial.json").read_text()
