"""Ray's start, and a signal meanwhile."""

import os
import signal
import subprocess
import sys
import tempfile
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


# Ends one of Ray's processes as soon as it is there, each time or the first time only.
FAILED = """
import sys, threading, time
from pathlib import Path
import psutil
from pipeline import Experiment
from pipeline.engine.cluster.connect import cluster
from pipeline.errors import KerasweepError

victim, times, ended, family = sys.argv[1], int(sys.argv[2]), [], set()

def watch():
    while True:
        for process in psutil.Process().children(recursive=True):
            family.add(process)
            try:
                if len(ended) < times and process not in ended and process.name() == victim:
                    process.kill()
                    ended.append(process)
            except psutil.Error:
                pass
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
try:
    with cluster(Experiment(dataset="digits", cpus=1), []):
        import ray
        print("started", ray.cluster_resources()["CPU"])
except KerasweepError as error:
    print(error)
finally:
    print("ended", len(ended), "of at least five" if len(family) > 4 else f"of {len(family)}")
    until = time.monotonic() + 20
    while (left := [p for p in family if p.is_running()]) and time.monotonic() < until:
        time.sleep(0.1)
    print("left", left, [p.name for p in Path(sys.argv[3]).iterdir()])
"""


@pytest.fixture
def short_folder():
    """A folder whose name leaves room for those of Ray's sockets, of at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="kt-", dir="/tmp") as folder:
        yield folder


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("victim", "times"), [("raylet", 1), ("raylet", 2), ("gcs_server", 2)])
def test_a_start_that_fails_is_tried_once_more_and_leaves_nothing(short_folder, victim, times):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", FAILED, victim, str(times), short_folder],
        cwd=Path(__file__).parents[3],
        env=clean | {"TMPDIR": short_folder},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    first, ended, left = done.stdout.splitlines()
    if times == 1:
        assert first == "started 1.0"
    else:
        assert first.startswith("Ray did not start on this machine: "), first
    assert ended.startswith(f"ended {times} of")
    assert left == "left [] []"
