"""Temporary folders of a run's process, and the end of those whose process was killed.

Whether it lives, a lock says that ends with it, and not its number: in a container that shares /tmp
    it has another.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path

FOLDER_NAME = re.compile(r"kerasweep-\d+-")
OWNER = ".owner"  # in each folder; whoever works in it has it locked

# those of this process, which lets them go when it ends: no program that it starts has them
_held: dict[str, int] = {}


def new_folder() -> str:
    """A folder for this process; what processes that were killed have left is removed first."""
    for left in Path(tempfile.gettempdir()).glob("kerasweep-*"):
        if FOLDER_NAME.match(left.name):
            _remove_if_left(left)
    for folder in [folder for folder in _held if not os.path.exists(folder)]:
        os.close(_held.pop(folder))
    folder = tempfile.mkdtemp(prefix=f"kerasweep-{os.getpid()}-")
    _hold(folder)
    return folder


def _hold(folder: str) -> None:
    unlocked = Path(folder, f"{OWNER}.new")
    handle = _held[folder] = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks: nobody will remove it
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # so under this name it was locked from the start
        unlocked.rename(unlocked.with_name(OWNER))


def _remove_if_left(folder: Path) -> None:
    # Of another user, in use, or of a process that has not come so far: stays.
    with contextlib.suppress(OSError):
        handle = os.open(folder / OWNER, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
