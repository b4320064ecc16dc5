"""Temporary folders: what a killed process left goes with the next start, what a living one has stays."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from pipeline.engine.scratch import new_folder


def test_what_a_process_that_was_killed_has_left_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    living = psutil.Process().ppid()
    for name in (f"kerasweep-{ended.pid}-a", f"kerasweep-{living}-b", "kerasweep-inline-c", "others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    own = Path(new_folder())
    assert {p.name for p in tmp_path.iterdir()} == {f"kerasweep-{living}-b", "kerasweep-inline-c", "others", own.name}
