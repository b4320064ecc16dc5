"""Temporary folders: what a killed process left goes with the next start, what a living one has
stays."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from pipeline.records.store import scratch
from pipeline.records.store.scratch import new_folder

# Makes a folder, starts a process, and waits.
OTHER = """
import subprocess, sys
from pipeline.records.store.scratch import new_folder
print(new_folder(), subprocess.Popen(["sleep", "100"], stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where folders are made, here and in other processes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(place):
    """Another process that has a folder, and the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    folder, child = process.stdout.readline().split()
    (Path(folder) / "file").touch()
    yield process, Path(folder)
    process.kill()
    process.communicate()
    psutil.Process(int(child)).kill()


def names(place):
    return {path.name for path in place.iterdir()}


def test_what_a_process_that_was_killed_has_left_is_removed_though_those_that_it_started_live(
    place, other
):
    process, folder = other
    for name in ("kerasweep-inline-c", "others"):
        (place / name).mkdir()
        (place / name / "file").touch()
    process.kill()
    process.wait()
    own = Path(new_folder())
    assert not folder.exists()
    assert names(place) == {"kerasweep-inline-c", "others", own.name}


def test_the_folder_of_a_process_that_lives_stays_whatever_its_number_says(place, other):
    """Another container's has no such number here, or somebody else has it."""
    _, folder = other
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = folder.rename(place / f"kerasweep-{ended.pid}-elsewhere")
    own = Path(new_folder())
    assert (folder / "file").exists() and names(place) == {folder.name, own.name}


def test_a_folder_that_nobody_is_known_to_have_left_stays(place):
    (place / "kerasweep-1-new").mkdir()  # just made, or of another version
    (place / "kerasweep-1-file").touch()
    (place / "kerasweep-1-link").symlink_to(place / "kerasweep-1-new")
    own = Path(new_folder())
    assert names(place) == {"kerasweep-1-new", "kerasweep-1-file", "kerasweep-1-link", own.name}


def test_a_process_keeps_its_own_and_no_file_open_of_those_that_it_removed(place):
    first, second = Path(new_folder()), Path(new_folder())
    assert first.is_dir() and second.is_dir()
    (first / scratch.OWNER).unlink()
    first.rmdir()
    new_folder()
    assert {Path(path) for path in scratch._held} & {first, second} == {second}
