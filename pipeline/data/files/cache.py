"""Where files of this user are on this machine."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder for what can be made anew. It need not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "kerasweep"
