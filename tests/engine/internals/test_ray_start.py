"""Ray's processes on this machine."""

import time

import psutil

from pipeline.engine.internals.ray_start import start_more

STARTED_S = 20.0


def workers():
    """Ids of the processes that Ray has started for tasks and actors, busy or not."""
    return {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if process.name().startswith("ray::")
    }


def test_one_process_more_is_started_when_it_is_asked_for(ray_cluster):
    before = workers()
    start_more(1)
    until = time.monotonic() + STARTED_S
    while not (new := workers() - before) and time.monotonic() < until:
        time.sleep(0.02)
    assert len(new) == 1
