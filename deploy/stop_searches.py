"""Stops the searches and sweeps of a container cleanly: a pod calls this before Kubernetes ends it.

Ray does not: told to end, `ray start --block` of 2.60 waits until its node is idle, for
RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S (30 s) at most, and then kills the driver without a word.
"""

import os
import signal
from contextlib import suppress

import psutil


def drivers() -> list[psutil.Process]:
    """The processes of `python -m pipeline.run`.

    Not the shells and clients whose arguments name it.
    """
    there = psutil.process_iter(["cmdline"])
    return [
        process
        for process in there
        if (process.info["cmdline"] or [])[1:3] == ["-m", "pipeline.run"]
    ]


def main() -> None:
    """Ask them all, and wait for as long as Ray does where a job is stopped."""
    asked = drivers()
    for process in asked:
        # As SIGTERM, but it never counts as the second, which ends a search at once: KubeRay has
        # stopped the job already where a RayJob is deleted.
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGUSR1)
    psutil.wait_procs(asked, timeout=float(os.environ["RAY_JOB_STOP_WAIT_TIME_S"]))


if __name__ == "__main__":
    main()
