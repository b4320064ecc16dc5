"""Fixtures that several folders share."""

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[1]
SPACES = Path(__file__).parent / "spaces"
TUNE = ("resume", "quiet", "watchers", "interruption")  # what it takes beside an experiment
SECRET = "it is not for others"  # a key to a store

# Folders whose tests start searches, hosts or environments, or train models. Their files are begun
# first: begun last, one of them would leave the second processor with nothing to do for minutes.
LONG = (
    *("hosts", "packaging", "chaos", "cli", "engine", "worker", "extending", "keras_tuner"),
    "properties",
)


def pytest_collection_modifyitems(items):
    def place(item):
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


def installed(backend):
    """A parameter that is skipped where Keras's backend of that name is not installed."""
    reason = f"{backend} is not installed: pip install '.[{backend}]'"
    return pytest.param(
        backend, marks=pytest.mark.skipif(importlib.util.find_spec(backend) is None, reason=reason)
    )


def free_port():
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def store():
    """A process that is an S3 server on loopback, and its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError):
                requests.get(f"{address}/moto-api/data.json")
                break
            assert process.poll() is None and time.monotonic() < until, "no S3 server"
            time.sleep(0.1)
        yield process, address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(store, monkeypatch):
    """The address of an empty bucket there, for this process and those that it starts."""
    from pipeline.records.store import remote

    _, address = store
    settings = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    remote._store.cache_clear()
    name = f"bucket-{uuid.uuid4().hex}"
    requests.put(f"{address}/{name}").raise_for_status()
    return f"s3://{name}"


@pytest.fixture(scope="session")
def ray_cluster():
    """One Ray for all tests that run a search in this process, told of four CPUs and two GPUs."""
    from pipeline import Experiment
    from pipeline.engine.cluster.connect import cluster

    with cluster(Experiment(dataset="digits", cpus=4, gpus=2), []):
        yield


@pytest.fixture
def search(ray_cluster, tmp_path):
    """Run a small search in this process: `search(scheduler="none", …)`.

    Beside settings it takes what `tune` does: `resume`, `watchers`, `interruption`, and `quiet`,
    which it is unless that is said.
    """
    from pipeline import Experiment, tune

    def run(**settings):
        more = {"quiet": True} | {n: settings.pop(n) for n in TUNE if n in settings}
        defaults = {
            "dataset": str(SPACES / "few.py"),
            "search_space": str(SPACES / "tiny.py"),
            "storage": str(tmp_path / "runs"),
            "max_concurrent": 2,
        }
        return tune(Experiment(**defaults | settings), **more)

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
