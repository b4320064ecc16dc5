"""Whole files are written whole or not at all, and every name is within the run's directory."""

import json
import os
from pathlib import Path

import pytest

from pipeline.errors import StorageError
from pipeline.records.layout import Layout, new_directory, storage_of, write_json, write_whole
from pipeline.records.store.remote import RemotePath


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_with_the_folders_it_needs(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "b" / "file.txt", "täxt\n")
    write_whole(tmp_path / "a" / "b" / "bytes", b"\x00\xff")

    assert (tmp_path / "a" / "b" / "file.txt").read_text(encoding="utf-8") == "täxt\n"
    assert (tmp_path / "a" / "b" / "bytes").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "a" / "b") == ["bytes", "file.txt"]


def test_a_file_that_exists_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "a long text")
    write_whole(path, "short")

    assert path.read_text() == "short"


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left on device"):
        write_whole(path, "new")

    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_an_interrupt_while_writing_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, "new")

    assert (path.read_text(), names(tmp_path)) == ("old", ["file"])


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "x")

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_directory_is_there_once_it_is_filled_and_its_name_is_free_until_then(
    tmp_path: Path,
) -> None:
    with new_directory(tmp_path / "runs" / "one") as unfinished:
        (unfinished / "file").write_text("whole")
        assert not (tmp_path / "runs" / "one").exists()
    assert (tmp_path / "runs" / "one" / "file").read_text() == "whole"

    with pytest.raises(KeyboardInterrupt), new_directory(tmp_path / "runs" / "two"):
        raise KeyboardInterrupt
    assert names(tmp_path / "runs") == ["one"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o077, 0o700), (0o002, 0o2775)])
def test_who_may_read_a_directory_is_as_for_any_that_is_made_there(
    tmp_path: Path, mask: int, mode: int
) -> None:
    tmp_path.chmod(0o755 | mode & 0o2000)
    before = os.umask(mask)
    try:
        with new_directory(tmp_path / "one"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "one").stat().st_mode & 0o7777 == mode


def test_what_was_left_unfinished_long_ago_is_removed(tmp_path: Path) -> None:
    for name in (".new-run-old", ".new-run-young"):
        (tmp_path / name / "within").mkdir(parents=True)
    os.utime(tmp_path / ".new-run-old", (0, 0))
    with new_directory(tmp_path / "one"):
        pass
    assert names(tmp_path) == [".new-run-young", "one"]


@pytest.mark.parametrize("filled", [True, False])
def test_a_directory_that_another_has_made_meanwhile_stays_as_it_is(
    tmp_path: Path, filled: bool
) -> None:
    with pytest.raises(FileExistsError), new_directory(tmp_path / "one") as unfinished:
        (unfinished / "file").touch()
        (tmp_path / "one").mkdir()
        if filled:
            (tmp_path / "one" / "theirs").touch()
    assert names(tmp_path) == ["one"] and names(tmp_path / "one") == ["theirs"] * filled


def test_json_is_strict_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": [1, None]})

    assert path.read_text().endswith("}\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": [1, None]}


def test_a_run_in_an_object_store_is_there_and_so_are_its_checkpoints(tmp_path: Path) -> None:
    assert Layout(tmp_path).place == tmp_path
    assert Layout(tmp_path).checkpoints("t0001") == Layout(tmp_path).trial("t0001")
    layout = Layout(tmp_path, home=RemotePath("s3://bucket/runs/mine"))
    assert str(layout.place) == "s3://bucket/runs/mine"
    assert str(layout.checkpoints("t0001")) == "s3://bucket/runs/mine/trials/t0001"
    assert layout.trial_record("t0001").is_relative_to(tmp_path)


def test_every_name_is_within_the_run(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    paths = [p for name, p in vars(layout).items() if name not in ("root", "home", "resumable")]
    paths += [layout.trial("t1"), layout.trial_record("t1")]

    assert all(isinstance(p, Path) and tmp_path in p.parents for p in paths)
    assert len(set(paths)) == len(paths)


def test_the_documented_names_are_kept(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    documented = {
        "experiment.yaml": layout.experiment,
        "history.jsonl": layout.history,
        "decisions.jsonl": layout.decisions,
        "history.csv": layout.history_table,
        "trials.csv": layout.trials_table,
        "summary.json": layout.summary,
        "best/model.keras": layout.best_model,
        "best/hyperparameters.json": layout.best_hyperparameters,
        "best/metrics.json": layout.best_metrics,
        "trials/t0001": layout.trial("t0001"),
    }

    assert {name: tmp_path / name for name in documented} == documented


def test_a_full_disk_that_another_program_meets_is_named_and_how_to_go_on(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    full = OSError(28, "No space left on device", str(layout.engine))
    with pytest.raises(StorageError) as first, storage_of(layout):
        raise full
    layout.experiment.touch()
    with pytest.raises(StorageError) as later, storage_of(layout):
        raise full

    layout.resumable = False
    with pytest.raises(StorageError) as unfinished, storage_of(layout):
        raise full

    line = f"{layout.engine} could not be written: No space left on device. What was recorded before is whole."
    assert [str(first.value), str(later.value)] == [
        line,
        f"{line} Once it is mended, go on: --resume {tmp_path}",
    ]
    assert str(unfinished.value) == line


def test_whatever_a_store_says_is_named_as_its_fault(tmp_path: Path) -> None:
    line = r"^s3://bucket/x could not be written: ACCESS_DENIED: no\."
    with pytest.raises(StorageError, match=line), storage_of(Layout(tmp_path)):
        raise OSError(13, "ACCESS_DENIED: no", "s3://bucket/x")


def test_other_errors_of_the_system_are_no_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ConnectionRefusedError), storage_of(Layout(tmp_path)):
        raise ConnectionRefusedError(111, "Connection refused")
