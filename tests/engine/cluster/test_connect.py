"""Ray's start, and a signal meanwhile."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

STARTED = """
import signal
import ray
from pipeline import Experiment
from pipeline.engine.cluster.connect import cluster

def stop(number, frame):
    came.append(int(number))
    raise InterruptedError

came, init, numbers = [], ray.init, (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
for number in numbers:
    signal.signal(number, stop)

def interrupted(**options):
    signal.raise_signal(signal.SIGINT)
    init(**options)
    signal.raise_signal(signal.SIGTERM)
    for passed_on in range(2):  # a search of a sweep that is stopped may get it twice
        signal.raise_signal(signal.SIGUSR1)
    print("started", came)

ray.init = interrupted
try:
    with cluster(Experiment(dataset="digits"), []):
        print("searched")
except InterruptedError:
    print("stopped", came, ray.is_initialized(), {signal.getsignal(n) for n in numbers} == {stop})
"""


@pytest.mark.slow
def test_each_signal_while_ray_starts_waits_until_it_has():
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", STARTED],
        cwd=Path(__file__).parents[3],
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    came = [int(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    assert done.stdout.splitlines() == ["started []", f"stopped {came} False True"]


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
@pytest.mark.parametrize(
    ("victim", "times", "settings"),
    # Ray waits half a minute for either; for the second it has a setting.
    [("raylet", 1, {}), ("gcs_server", 2, {"RAY_gcs_server_port_wait_time_s": "8"})],
)
def test_a_start_that_fails_is_tried_once_more_and_leaves_nothing(
    short_folder, victim, times, settings
):
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", FAILED, victim, str(times), short_folder],
        cwd=Path(__file__).parents[3],
        env=clean | settings | {"TMPDIR": short_folder},
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
