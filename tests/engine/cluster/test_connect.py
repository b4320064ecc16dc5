"""Ray's start, and a signal meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STARTED = """
import signal, sys
import ray
from pipeline import Experiment
from pipeline.engine.cluster.connect import cluster

def stop(number, frame):
    came.append(int(number))
    raise InterruptedError

came, init, number = [], ray.init, signal.Signals[sys.argv[1]]
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(each, stop)

def interrupted(**options):
    signal.raise_signal(number)
    init(**options)
    for passed_on in range(2):  # a search of a sweep that is stopped may get it twice
        signal.raise_signal(signal.SIGUSR1)
    print("started", came)

ray.init = interrupted
try:
    with cluster(Experiment(dataset="digits"), []):
        print("searched")
except InterruptedError:
    print("stopped", came, ray.is_initialized(), signal.getsignal(number) is stop)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_while_ray_starts_waits_until_it_has(name):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", STARTED, name],
        cwd=Path(__file__).parents[3],
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    came = dict.fromkeys([signal.Signals[name].value, signal.SIGUSR1.value])
    assert done.stdout.splitlines() == ["started []", f"stopped {list(came)} False True"]
