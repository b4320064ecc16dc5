"""Temporary folders of a run's process, and the end of those whose process was killed."""

import re
import shutil
import tempfile
from pathlib import Path

import psutil

NAME = re.compile(r"kerasweep-(\d+)-")


def new_folder() -> str:
    """A folder for this process; what processes that were killed have left is removed first."""
    place = Path(tempfile.gettempdir())
    for left in place.glob("kerasweep-*"):
        if (owner := NAME.match(left.name)) and not psutil.pid_exists(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)  # of another user: stays
    return tempfile.mkdtemp(prefix=f"kerasweep-{psutil.Process().pid}-")
