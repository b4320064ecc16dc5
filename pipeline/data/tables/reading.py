"""Tables in files: CSV, TSV, Parquet and Feather, read whole or, where that is too much, drawn."""

import csv
import gzip
import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from numpy.typing import NDArray

from pipeline.errors import RequestError, one_line, quoted

SEPARATORS = (",", ";", "\t", "|")
CHUNK = 100_000  # rows that are read at once where a table is sampled
SHARE = 0.25  # of the free memory that a table may take
LOOKED_AT = 2e8  # bytes of a file of text whose lines are looked at one by one: some 5 s
UNREADABLE = (OSError, EOFError, zlib.error)
IN_MEMORY = 3.0  # times the size of a file of text, measured on columns of numbers and short names


def read_frame(
    path: str,
    columns: Sequence[str] | None = None,
    seed: int = 0,
    most_bytes: float | None = None,
    text: Sequence[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table; `index` is the line that each row begins in, else its number from 0.

    Args:
        path: of the file.
        columns: the ones that are read; all of them if None.
        text: those of a file of text that are read as text, so that 00501 is no number.
        seed: of the rows that are drawn where the table is too large.
        most_bytes: what it may take in memory; a quarter of what is free if None.

    Returns:
        The table, and what a person should know of how it was read.

    Raises:
        RequestError: it cannot be read; says the line.
    """
    if most_bytes is None:
        most_bytes = SHARE * psutil.virtual_memory().available
    kind = Path(path.lower().removesuffix(".gz")).suffix
    try:
        if kind in (".parquet", ".feather"):
            frame, share = _read_columnar(path, kind, columns, seed, most_bytes)
        else:
            frame, share = _read_text(path, kind, columns, text, seed, most_bytes)
    except UNREADABLE as error:
        raise RequestError(f"{path} must be a file that can be read; {_said(error)}.") from error
    if not len(frame) or not len(frame.columns):
        raise RequestError(f"{path} must hold rows; it has {len(frame)}.")
    frame.columns = frame.columns.map(str)
    notes = []
    if share < 1:
        notes.append(
            f"{Path(path).name} is larger than the memory that it may take: {len(frame):,} rows "
            f"were drawn, {share:.0%} of them"
        )
    return frame, notes


def header_of(path: str) -> list[str]:
    """The names of the columns, read quickly.

    Raises:
        RequestError: it cannot be read.
    """
    kind = Path(path.lower().removesuffix(".gz")).suffix
    try:
        if kind in (".parquet", ".feather"):
            return [str(name) for name in _schema(path, kind).names]
        with _opened(path) as file:
            separator = separator_of(path, file)
            rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
            names = next(filter(None, rows), [])
            # what pandas calls a column without a name, such as the index that it writes
            return [name.strip() or f"Unnamed: {i}" for i, name in enumerate(names)]
    except UnicodeDecodeError:
        raise _no_utf8(path) from None
    except csv.Error as error:
        raise RequestError(f"{path}, line 1: must be names of columns; {_said(error)}.") from error
    except UNREADABLE as error:
        raise RequestError(f"{path} must be a file that can be read; {_said(error)}.") from error


def _read_text(
    path: str,
    kind: str,
    columns: Sequence[str] | None,
    text: Sequence[str],
    seed: int,
    most_bytes: float,
) -> tuple[pd.DataFrame, float]:
    header = header_of(path)
    if not header:
        raise RequestError(f"{path} must begin with the names of its columns; it is empty.")
    lines = _lines(path, header)
    with _opened(path) as file:
        separator = separator_of(path, file)
    asked: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True}
    asked |= {"header": 0, "names": header, "index_col": False, "low_memory": False}
    asked |= {"usecols": list(columns)} if columns is not None else {}
    asked["dtype"] = dict.fromkeys(text, "str")
    share = min(1.0, most_bytes / (IN_MEMORY * _text_bytes(path)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of types that differ, which we look at ourselves
            if share == 1:
                frame = pd.read_csv(path, **asked)
            else:
                frame = _drawn(pd.read_csv(path, **asked, chunksize=CHUNK), share, seed)
    except pd.errors.ParserError as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found is None:
            raise RequestError(f"{path} must be a table; {_said(error)}.") from error
        fields, line, came = map(int, found.groups())
        raise _wrong_fields(path, line, fields, came) from error
    # each row knows the line that it begins in
    frame.index = frame.index + 2 if lines is None else pd.Index(lines[frame.index])
    return frame, share


def _lines(path: str, header: list[str]) -> NDArray[np.int64] | None:
    """The line that each row begins in; None of a file that is too large to look at each line.

    Raises:
        RequestError: a line has more values than the header, or fewer; or is no UTF-8.
    """
    if _text_bytes(path) > LOOKED_AT:
        return None
    found: list[int] = []
    try:
        with _opened(path) as file:
            separator = separator_of(path, file)
            rows = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
            begins = 1
            for row in rows:
                if row:  # else the line is empty
                    if len(row) != len(header):
                        raise _wrong_line(path, begins, row, header, separator)
                    found.append(begins)
                begins = rows.line_num + 1
    except UnicodeDecodeError:
        raise _no_utf8(path) from None
    except csv.Error as error:
        raise RequestError(f"{path}, line {begins}: must be a row; {_said(error)}.") from error
    return np.array(found[1:], np.int64)


def _wrong_line(
    path: str, line: int, row: list[str], header: list[str], separator: str
) -> RequestError:
    for other in SEPARATORS:
        if len(row) == 1 and len(header) > 1 and row[0].count(other) == len(header) - 1:
            return RequestError(
                f"{path} must have one separator; its header has {separator!r}, line {line} has "
                f"{other!r}."
            )
    return _wrong_fields(path, line, len(header), len(row))


def _wrong_fields(path: str, line: int, fields: int, came: int) -> RequestError:
    return RequestError(
        f"{path}, line {line}: must have {fields} values, as the header; it has {came}."
    )


def _text_bytes(path: str) -> int:
    """Bytes of a file of text, of an archive what is in it."""
    size = Path(path).stat().st_size
    if not path.lower().endswith(".gz"):
        return size
    with open(path, "rb") as file:  # the last four bytes say how much it is, modulo 4 GiB
        file.seek(max(0, size - 4))
        return max(size, int.from_bytes(file.read(4), "little"))


def separator_of(path: str, file: Any) -> str:
    """What parts the names of the columns; the open file is at its beginning again."""
    header = next(filter(str.strip, file), "")
    file.seek(0)
    if path.lower().removesuffix(".gz").endswith(".tsv"):
        return "\t"
    plain = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=plain.count)


def _opened(path: str) -> Any:
    if path.lower().endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _no_utf8(path: str) -> RequestError:
    """Say in which line the text is no UTF-8."""
    with (gzip.open if path.lower().endswith(".gz") else open)(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                wrong = line[error.start : error.start + 1]
                return RequestError(
                    f"{path}, line {number}: must be UTF-8 text; got the byte {wrong!r}. Convert "
                    f"it: iconv -f WINDOWS-1252 -t UTF-8 {quoted(path)} > utf8.csv"
                )
    return RequestError(f"{path} must be UTF-8 text.")


def _schema(path: str, kind: str) -> Any:
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    try:
        if kind == ".parquet":
            return pyarrow.parquet.read_schema(path)
        with pa.memory_map(path) as source:
            return pa.ipc.open_file(source).schema
    except pa.ArrowInvalid as error:
        raise RequestError(f"{path} must be a whole {kind[1:]} file; {_said(error)}.") from error


def _read_columnar(
    path: str, kind: str, columns: Sequence[str] | None, seed: int, most_bytes: float
) -> tuple[pd.DataFrame, float]:
    import pyarrow as pa
    import pyarrow.dataset

    _schema(path, kind)
    columns = None if columns is None else list(columns)
    try:
        source = pyarrow.dataset.dataset(path, format=kind[1:])
        size = _size(path, kind)
        share = min(1.0, most_bytes / max(size, 1))
        if share == 1:
            return source.to_table(columns=columns).to_pandas(ignore_metadata=True), share
        batches = source.to_batches(columns=columns, batch_size=CHUNK)
        return _drawn((batch.to_pandas() for batch in batches), share, seed), share
    except pa.ArrowInvalid as error:
        raise RequestError(f"{path} must be a whole {kind[1:]} file; {_said(error)}.") from error


def _size(path: str, kind: str) -> int:
    """Bytes of the table in memory, roughly."""
    import pyarrow.parquet

    if kind == ".feather":
        return 2 * Path(path).stat().st_size
    metadata = pyarrow.parquet.ParquetFile(path).metadata
    held = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return 2 * int(held)


def _drawn(parts: Iterator[pd.DataFrame], share: float, seed: int) -> pd.DataFrame:
    """About this share of the rows of all parts, in their order."""
    rng = np.random.default_rng(seed)
    kept, first = [], 0
    for part in parts:
        part.index = pd.RangeIndex(first, first + len(part))
        first += len(part)
        kept.append(part[rng.random(len(part)) < share])
    return pd.concat(kept) if kept else pd.DataFrame()


def _said(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return one_line(said).rstrip(".")
