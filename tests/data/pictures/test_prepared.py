"""The array that pictures are decoded into: once, whole or not at all, and found again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.pictures import prepared, shares
from pipeline.data.pictures.prepared import Prepared, prepare, prepared_folder
from pipeline.data.pictures.sources import Files
from pipeline.errors import KerasweepError, RequestError, StorageError


@pytest.fixture
def paths(photos: Path) -> list[str]:
    return sorted(map(str, photos.rglob("*.png")))


def made(paths: Sequence[str], tmp_path: Path, size: tuple[int, int] | None = None) -> Prepared:
    return prepare(Files(paths), size, str(tmp_path / "runs"))


def names(tmp_path: Path) -> set[str]:
    return set(os.listdir(tmp_path / "runs" / ".prepared"))


def test_pictures_are_decoded_once_while_nothing_changes(paths: list[str], tmp_path: Path) -> None:
    said: list[str] = []
    first = prepare(Files(paths), None, str(tmp_path / "runs"), said.append)
    again = prepare(Files(paths), None, str(tmp_path / "runs"), said.append)

    assert first.array.shape == (30, 8, 8, 1) and first.array.dtype == np.uint8
    assert isinstance(first.array, np.memmap) and not first.array.flags.writeable
    np.testing.assert_array_equal(first.array[3, ..., 0], np.asarray(Image.open(paths[3])))
    assert again.folder == first.folder
    assert said == [
        "reading the sizes of 30 pictures",
        f"decoding 30 pictures into {tmp_path / 'runs' / '.prepared'}",
    ]
    assert names(tmp_path) == {first.folder.name}


def test_how_far_it_is_is_said_every_tenth(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "EVERY_S", 0)
    said: list[str] = []

    prepare(Files(paths), None, str(tmp_path / "runs"), said.append)

    assert said[2:4] == ["decoding 30 pictures: 10%", "decoding 30 pictures: 20%"]
    assert len(said) <= 12


def test_another_time_size_list_or_request_is_another_array(
    paths: list[str], tmp_path: Path
) -> None:
    folders = {made(paths, tmp_path).folder}
    folders.add(made(paths[1:], tmp_path).folder)
    folders.add(made(paths, tmp_path, (4, 4)).folder)
    os.utime(paths[0], ns=(1, 1))
    folders.add(made(paths, tmp_path).folder)

    assert len(folders) == 4


def test_what_was_not_used_for_longest_makes_room_for_others(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = 86_400.0
    ages = {(4, 4): 30.0, (5, 5): 20.0, (6, 6): 10.0, (7, 7): 1.0}
    folders = {size: made(paths, tmp_path, size).folder for size in ages}
    for size, days in ages.items():
        then = time.time() - days * day
        os.utime(folders[size], (then, then))
    monkeypatch.setattr(prepared, "MOST_BYTES", 3500)  # each takes 600 to 1,600 bytes

    again = made(paths, tmp_path, (4, 4)).folder  # it is used, and the oldest no more
    new = made(paths, tmp_path, (3, 3)).folder

    assert names(tmp_path) == {folder.name for folder in (again, new, folders[7, 7])}
    # what was used lately stays, however much it is
    monkeypatch.setattr(prepared, "MOST_BYTES", 0)
    made(paths, tmp_path, (2, 2))
    assert names(tmp_path) >= {again.name, new.name, folders[7, 7].name}


def test_sizes_are_the_medians_unless_they_are_asked_for(tmp_path: Path) -> None:
    found = []
    for place, size in enumerate([(10, 20), (30, 20), (14, 28)]):
        path = tmp_path / f"{place}.png"
        Image.new("L" if place else "RGB", size[::-1]).save(path)
        found.append(str(path))

    median, asked = made(found, tmp_path), made(found, tmp_path, (5, 7))

    assert median.array.shape == (3, 14, 20, 3) and not median.asked
    assert asked.array.shape == (3, 5, 7, 3) and asked.asked
    assert (median.facts.smallest, median.facts.largest) == ((10, 20), (30, 28))
    assert median.facts.grey == 2


def test_several_processes_decode_the_same(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = np.array(made(paths, tmp_path).array)
    monkeypatch.setattr(prepared, "WORTH_PIXELS", 0)
    monkeypatch.setattr(prepared, "usable_processes", lambda: 2)

    together = prepare(Files(paths), None, str(tmp_path / "other"))

    np.testing.assert_array_equal(together.array, alone)
    assert sorted(os.listdir(together.folder)) == ["facts.json", "pictures.npy"]


def test_a_picture_that_does_not_decode_is_named_and_nothing_stays(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(paths[4]).read_bytes()
    Path(paths[4]).write_bytes(whole[:-30])
    for processes in (1, 2):
        monkeypatch.setattr(prepared, "WORTH_PIXELS", 0)
        monkeypatch.setattr(prepared, "usable_processes", lambda n=processes: n)
        with pytest.raises(RequestError, match=rf"1 of 30 does not: '{paths[4]}' \(.*\)\. Mend"):
            made(paths, tmp_path)
        assert not (tmp_path / "runs").exists()


def test_a_process_that_is_killed_ends_the_preparation_and_nothing_stays(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "WORTH_PIXELS", 0)
    monkeypatch.setattr(prepared, "usable_processes", lambda: 2)
    monkeypatch.setattr(shares.sys, "executable", "/bin/false")

    with pytest.raises(KerasweepError, match="2 of 2 processes that decode them ended with code 1"):
        made(paths, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_an_interruption_ends_the_processes_and_nothing_stays(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "WORTH_PIXELS", 0)
    monkeypatch.setattr(prepared, "usable_processes", lambda: 2)
    monkeypatch.setattr(prepared, "EVERY_S", 0)
    monkeypatch.setattr(prepared, "SAY_EVERY", 0)
    monkeypatch.setattr(shares, "LOOK_S", 0.001)
    started = []
    begin = shares.subprocess.Popen

    def followed(*given: Any, **more: Any) -> Any:
        started.append(begin(*given, **more))
        return started[-1]

    def told(what: str) -> None:
        if "%" in what:
            raise KeyboardInterrupt

    monkeypatch.setattr(shares.subprocess, "Popen", followed)
    with pytest.raises(KeyboardInterrupt):
        prepare(Files(paths), None, str(tmp_path / "runs"), told)

    assert not (tmp_path / "runs").exists()
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


def test_a_preparation_that_is_killed_is_not_taken_for_whole_and_is_removed_later(
    paths: list[str], tmp_path: Path
) -> None:
    code = (
        "import sys, time\nfrom pipeline.data.pictures import prepared\n"
        "from pipeline.data.pictures.sources import Files\n"
        "slow = prepared.decode_into\n"
        "def decode_into(*given):\n"
        "    for fault in slow(*given):\n        print('one', flush=True); time.sleep(9)\n"
        "        yield fault\n"
        "prepared.decode_into = decode_into\n"
        "prepared.prepare(Files(sys.argv[2:]), None, sys.argv[1])"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "runs"), *paths],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert killed.stdout is not None and killed.stdout.readline() == b"one\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (left,) = names(tmp_path)

    found = made(paths, tmp_path)
    assert names(tmp_path) == {left, found.folder.name}  # it might be another's that goes on

    old = time.time() - 2 * prepared.UNFINISHED_LEFT_S
    os.utime(tmp_path / "runs" / ".prepared" / left, (old, old))
    made(paths[1:], tmp_path)
    assert left not in names(tmp_path)


def test_of_two_that_prepare_at_once_both_have_the_array(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = prepared._decode

    def overtaken(*given: object) -> None:
        decode(*given)  # type: ignore[arg-type]
        monkeypatch.setattr(prepared, "_decode", decode)
        made(paths, tmp_path)

    monkeypatch.setattr(prepared, "_decode", overtaken)

    assert made(paths, tmp_path).array.shape == (30, 8, 8, 1)
    assert len(names(tmp_path)) == 1


def test_what_does_not_fit_into_memory_is_refused_before_it_is_decoded(
    paths: list[str], tmp_path: Path
) -> None:
    with pytest.raises(RequestError) as refused:
        made(paths, tmp_path, (90_000, 90_000))

    assert "Pictures must fit into memory twice; 30 of 90000x90000 take 226.3 GiB, and " in str(
        refused.value
    )
    assert "Make them smaller: --image-size." in str(refused.value)


def test_a_folder_that_cannot_be_written_to_is_named(paths: list[str], tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")

    with pytest.raises(
        StorageError, match=r"Prepared pictures must be kept in .*: Not a directory"
    ):
        made(paths, tmp_path)


def test_pictures_that_do_not_decode_leave_a_storage_as_it_was(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.new("RGB", (64, 64), "red").save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-60])
    paths = [str(whole), str(tmp_path / "cut.png")]

    (tmp_path / "old").mkdir()
    with pytest.raises(RequestError, match=r"cut\.png"):
        prepare(Files(paths), None, str(tmp_path / "old"))
    assert list((tmp_path / "old").iterdir()) == []


def test_an_array_that_somebody_damaged_is_named(paths: list[str], tmp_path: Path) -> None:
    folder = made(paths, tmp_path).folder
    (folder / "pictures.npy").write_text("")

    with pytest.raises(RequestError, match=f"{folder} holds no prepared pictures. Remove it"):
        made(paths, tmp_path)


def test_beside_an_object_store_it_is_kept_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert prepared_folder("s3://bucket/runs") == tmp_path / "kerasweep" / "prepared"

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert prepared_folder("gs://bucket") == Path("/home/somebody/.cache/kerasweep/prepared")
