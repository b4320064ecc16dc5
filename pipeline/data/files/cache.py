"""Where files of this user are on this machine."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """What can be made anew is kept here; it need not be there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "kerasweep"
