"""A checkpoint's file is whole, or is known not to be."""

import numpy as np

from pipeline.worker.training import archive


def test_whatever_bit_of_its_list_of_parts_is_turned_it_is_noticed_or_all_is_read_as_it_was(
    tmp_path,
):
    path = tmp_path / "last.npz"
    archive.write(path, {f"w{i}": np.full(2, i) for i in range(3)}, {"epoch": 2})
    data, found = path.read_bytes(), []

    def read():
        with archive.reading(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays}

    whole = read()
    assert archive.is_whole(path)
    for place in range(data.index(b"PK\x01\x02"), len(data)):  # where the list begins
        for bit in range(8):
            turned = bytes([data[place] ^ 1 << bit])
            path.write_bytes(data[:place] + turned + data[place + 1 :])
            found.append(not archive.is_whole(path))
            assert found[-1] or read() == whole, (place, bit)
    assert np.mean(found) > 0.5


def test_what_is_plain_is_read_without_the_arrays_and_nothing_where_there_is_no_archive(tmp_path):
    path = tmp_path / "last.npz"
    assert archive.plain(path) is None and not archive.exists(path)
    archive.write(path, {"w0": np.ones(2)}, {"epoch": 2}, keep_spare=True)
    assert archive.plain(path) == archive.plain(archive.spare(path)) == {"epoch": 2}
    path.write_bytes(b"no archive")
    assert archive.plain(path) is None and archive.exists(path) and not archive.is_whole(path)
