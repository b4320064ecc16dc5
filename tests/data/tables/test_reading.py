"""Tables in files, whole and broken ones."""

import gzip

import numpy as np
import pandas as pd
import pytest

from pipeline.data.tables.reading import header_of, read_frame
from pipeline.errors import RequestError

WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "parquet": lambda frame, path: frame.to_parquet(path),
    "feather": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_is_read_as_it_was_written(penguins, kind, tmp_path):
    path = str(tmp_path / f"penguins.{kind}")
    WRITERS[kind](penguins, path)
    frame, notes = read_frame(path)

    pd.testing.assert_frame_equal(frame.reset_index(drop=True), penguins)
    assert frame.index[0] == (0 if kind in ("parquet", "feather") else 2)  # the row's line
    assert not notes and header_of(path) == list(penguins.columns)
    assert set(read_frame(path, ["sex", "island"])[0].columns) == {"island", "sex"}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_that_of_the_header(separator, written):
    path = written(f'"a,b"{separator}c\n1{separator}x\n2{separator}"y;z"\n')
    frame, _ = read_frame(path)

    assert list(frame.columns) == ["a,b", "c"] and frame["c"].tolist() == ["x", "y;z"]


def test_a_byte_order_mark_is_no_part_of_a_name(written):
    path = written("a,b\n1,2\n", encoding="utf-8-sig")

    assert header_of(path) == list(read_frame(path)[0].columns) == ["a", "b"]


BROKEN = {
    "a line with more values": (
        "a,b\n1,2\n3,4,5\n",
        r"data.csv, line 3: must have 2 values, as the header; it has 3\.",
    ),
    "the first line with more values": (
        "a,b\n1,2,3\n",
        r"data.csv, line 2: must have 2 values, as the header; it has 3\.",
    ),
    "two separators": (
        "a,b,c\nx,y,z\nx;y;z\n",
        r"data.csv must have one separator; its header has ',', line 3 has ';'\.",
    ),
    "nothing": ("", r"data.csv must begin with the names of its columns; it is empty\."),
    "a header alone": ("a,b\n", r"data.csv must hold rows; it has 0\."),
    "a line with fewer values": (
        "a,b\n1,2\n\n3\n",
        r"data.csv, line 4: must have 2 values, as the header; it has 1\.",
    ),
    "another separator late in a line": (
        "a,b,c\n1,2,3\n1,2;3\n",
        r"data.csv, line 3: must have 3 values, as the header; it has 2\.",
    ),
    "an open quotation mark": (
        'a,b\n"1,2\n3,4\n',
        r"data.csv, line 2: must be a row; unexpected end of data",
    ),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_line_that_names_the_place(text, says, written):
    with pytest.raises(RequestError, match=says):
        read_frame(written(text))


@pytest.mark.parametrize("line", [1, 3])
def test_a_wrong_encoding_names_the_line_and_the_way_out(line, written):
    lines = ["name,age", "Ann,3", "Bob,4"]
    lines[line - 1] += "é"
    path = written("\n".join(lines), encoding="latin-1")
    says = (
        rf"data.csv, line {line}: must be UTF-8 text; got the byte b'\\xe9'. Convert it: iconv -f"
    )

    with pytest.raises(RequestError, match=says):
        read_frame(path)


@pytest.mark.parametrize("kind", ["parquet", "feather"])
@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_cut_off_file_is_one_line(penguins, kind, left, tmp_path):
    path = tmp_path / f"penguins.{kind}"
    WRITERS[kind](penguins, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])

    for read in (header_of, read_frame):
        with pytest.raises(RequestError, match=rf"penguins.{kind} must be a whole {kind} file; "):
            read(str(path))


def test_a_file_that_is_no_archive_is_one_line(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"a,b\n1,2\n")

    with pytest.raises(RequestError, match="must be a file that can be read; Not a gzipped file"):
        read_frame(str(path))


def test_a_folder_is_no_table(tmp_path):
    (tmp_path / "a.csv").mkdir()

    with pytest.raises(RequestError, match="must be a file that can be read; Is a directory"):
        read_frame(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_too_large_for_memory_is_drawn_from_and_that_is_said(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.tables.reading.CHUNK", 500)
    whole = pd.DataFrame({"number": np.arange(20_000), "half": np.arange(20_000) / 2})
    path = tmp_path / f"large.{kind}"
    WRITERS[kind](whole, path)
    size = path.stat().st_size

    frame, notes = read_frame(str(path), most_bytes=size, seed=3)
    again, _ = read_frame(str(path), most_bytes=size, seed=3)
    other, _ = read_frame(str(path), most_bytes=size, seed=4)

    assert 0 < len(frame) < len(whole) and frame.equals(again) and not frame.equals(other)
    first = 0 if kind in ("parquet", "feather") else 2
    assert (frame["number"] == frame.index - first).all()  # each row knows its place
    assert frame["number"].min() < 500 and frame["number"].max() > 19_500
    share = len(frame) / len(whole)
    (note,) = notes
    assert note.startswith(
        f"large.{kind} is larger than the memory that it may take: {len(frame):,} rows were drawn"
    )
    assert abs(float(note.split()[-3].rstrip("%")) / 100 - share) < 0.03


def test_each_row_knows_its_line_whatever_stands_between(written):
    path = written('\na,b\n1,"x\ny"\n\n2,z\n')
    frame, _ = read_frame(path)

    assert frame.index.tolist() == [3, 6] and frame["b"].tolist() == ["x\ny", "z"]


def test_what_a_frame_was_written_with_is_read(penguins, tmp_path):
    path = str(tmp_path / "indexed.csv")
    penguins.to_csv(path)  # the index is a column without a name
    frame, _ = read_frame(path)

    assert header_of(path)[0] == frame.columns[0] == "Unnamed: 0"
    indexed = penguins.set_index("island")
    indexed.to_parquet(tmp_path / "indexed.parquet")
    assert "island" in read_frame(str(tmp_path / "indexed.parquet"))[0].columns


def test_columns_of_text_keep_their_zeros(written):
    path = written("zip,n\n00501,1\n2139,2\n")

    assert read_frame(path, text=["zip"])[0]["zip"].tolist() == ["00501", "2139"]


def test_a_cut_off_archive_is_one_line(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-9])

    with pytest.raises(RequestError, match="must be a file that can be read; "):
        read_frame(str(path))


def test_an_archive_counts_with_what_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.data.tables.reading.CHUNK", 500)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 20_000))

    assert len(read_frame(str(path), most_bytes=50_000)[0]) < 10_000


def test_a_table_in_an_archive_is_read(written, tmp_path):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("a,b\n1,x\n")

    assert read_frame(str(path))[0]["b"].tolist() == ["x"]
