"""Fixtures that several folders share."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPACES = Path(__file__).parent / "spaces"


def installed(backend):
    """A parameter that is skipped where Keras's backend of that name is not installed."""
    reason = f"{backend} is not installed: pip install '.[{backend}]'"
    return pytest.param(backend, marks=pytest.mark.skipif(importlib.util.find_spec(backend) is None, reason=reason))


@pytest.fixture(scope="session")
def ray_cluster():
    """One Ray for all tests that run a search in this process, told of four CPUs and two GPUs."""
    from pipeline import Experiment
    from pipeline.engine.cluster import cluster

    with cluster(Experiment(dataset="digits", cpus=4, gpus=2), []):
        yield


@pytest.fixture
def search(ray_cluster, tmp_path):
    """Run a small search in this process: `search(scheduler="none", …)`."""
    from pipeline import Experiment, tune

    def run(**settings):
        resume = settings.pop("resume", None)
        defaults = {
            "dataset": str(SPACES / "few.py"),
            "search_space": str(SPACES / "tiny.py"),
            "storage": str(tmp_path / "runs"),
            "max_concurrent": 2,
        }
        return tune(Experiment.checked(**defaults | settings), resume=resume)

    return run


def start_cli(*arguments, cwd=ROOT, **environment):
    """Start `python -m pipeline.run` as its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.run", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_cli(*arguments, timeout=200, **settings):
    """Run it to its end; exit code, standard output, standard error."""
    process = start_cli(*arguments, **settings)
    output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


@pytest.fixture
def cli():
    return run_cli


@pytest.fixture
def started_cli():
    """Start the command line; whatever still runs at the end is killed."""
    processes = []

    def start(*arguments, **settings):
        processes.append(start_cli(*arguments, **settings))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
