"""What is public, and that it costs nothing before it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

PUBLIC = [
    "Dataset",
    "Experiment",
    "KerasweepSearchCV",
    "images",
    "load_model",
    "open_run",
    "table",
    "trial",
    "tune",
]


def test_what_is_public_is_what_is_meant() -> None:
    names: dict[str, object] = {}
    exec("from pipeline import *", names)

    assert pipeline.__all__ == PUBLIC == sorted(names.keys() - {"__builtins__"})
    assert all(names[name].__module__.startswith("pipeline.") for name in PUBLIC)


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'Tuner'"):
        pipeline.Tuner  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(pipeline.__file__).parent / "py.typed").is_file()


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, pipeline; print(sorted(m for m in sys.modules if m.startswith('pipeline')))"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )

    assert done.stdout.strip() == "['pipeline', 'pipeline.version']"
