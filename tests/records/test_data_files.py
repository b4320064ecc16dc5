"""The checksums of the files that a run's data are in."""

import hashlib
from pathlib import Path

from pipeline.data.files.data_file import DataFile
from pipeline.data.request import DataRequest
from pipeline.records.data_files import recorded_files, write_data_files
from pipeline.records.layout import Layout


def test_each_file_is_known_by_its_name_and_its_own_checksum(tmp_path: Path) -> None:
    for name in ("train/x.npy", "train/y.npy", "test/x.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    sums = {
        name: hashlib.sha256(name.encode()).hexdigest()
        for name in ("train/x.npy", "train/y.npy", "test/x.npy")
    }
    asked = DataRequest(target=str(tmp_path / "train/y.npy"), test=str(tmp_path / "test/x.npy"))
    layout = Layout(tmp_path / "run")
    layout.root.mkdir()
    assert recorded_files(layout) == {}

    write_data_files(layout, DataFile(str(tmp_path / "train/x.npy"), asked).checksums())
    assert recorded_files(layout) == {
        "train/x.npy": sums["train/x.npy"],
        "test/x.npy": sums["test/x.npy"],
        "y.npy": sums["train/y.npy"],
    }


def test_a_folder_is_known_by_what_lies_in_it(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "run")
    layout.root.mkdir()
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a")
    file = DataFile(f"{folder}/", DataRequest())
    write_data_files(layout, file.checksums())

    assert list(recorded_files(layout)) == ["the names and sizes of the files in photos"]
    (folder / "b.png").write_bytes(b"b")
    assert file.checksums() != {f"{folder}/": next(iter(recorded_files(layout).values()))}
    layout.data_files.write_text("{")
    layout.copy(layout.data_files).unlink()
    assert recorded_files(layout) == {}
