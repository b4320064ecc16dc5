"""Tables in files: CSV, TSV, Parquet and Feather, read whole or, where that is too much, drawn."""

import csv
import gzip
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from pipeline.errors import RequestError, one_line, quoted

SEPARATORS = (",", ";", "\t", "|")
CHUNK = 100_000  # rows that are read at once where a table is sampled
SHARE = 0.25  # of the free memory that a table may take
IN_MEMORY = 3.0  # times the size of a file of text, measured on columns of numbers and short names


def read_frame(
    path: str, columns: list[str] | None = None, seed: int = 0, most_bytes: float | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table; `index` is each row's place in it, from 0.

    Args:
        path: of the file.
        columns: the ones that are read; all of them if None.
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
            frame, share = _read_text(path, kind, columns, seed, most_bytes)
    except OSError as error:
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
            separator = _separator(path, file.readline())
            file.seek(0)
            return next(csv.reader(file, delimiter=separator, skipinitialspace=True), [])
    except UnicodeDecodeError:
        raise _no_utf8(path) from None
    except OSError as error:
        raise RequestError(f"{path} must be a file that can be read; {_said(error)}.") from error


def _read_text(
    path: str, kind: str, columns: list[str] | None, seed: int, most_bytes: float
) -> tuple[pd.DataFrame, float]:
    header = header_of(path)
    if not header:
        raise RequestError(f"{path} must begin with the names of its columns; it is empty.")
    with _opened(path) as file:
        separator = _separator(path, file.readline())
        second = next(csv.reader([file.readline()], delimiter=separator), [])
    if len(second) > len(header):
        raise _wrong_fields(path, 2, len(header), len(second))
    asked: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True}
    asked |= {"usecols": columns} if columns is not None else {}
    share = min(1.0, most_bytes / (IN_MEMORY * Path(path).stat().st_size))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            if share == 1:
                frame = pd.read_csv(path, **asked, low_memory=False)
            else:
                parts = pd.read_csv(path, **asked, chunksize=CHUNK)
                frame = _drawn(parts, share, seed)
    except pd.errors.ParserError as error:
        found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if found is None:
            raise RequestError(f"{path} must be a table; {_said(error)}.") from error
        fields, line, came = map(int, found.groups())
        raise _wrong_fields(path, line, fields, came) from error
    except UnicodeDecodeError:
        raise _no_utf8(path) from None
    if len(header) > 1:
        _check_one_separator(path, frame, separator)
    return frame, share


def _check_one_separator(path: str, frame: pd.DataFrame, separator: str) -> None:
    """Refuse lines with another separator, which would be rows with one value and holes."""
    if len(frame.columns) < 2 or pd.api.types.is_numeric_dtype(frame.iloc[:, 0].dtype):
        return
    alone = frame.iloc[:, 1:].isna().all(axis=1)
    for other in SEPARATORS:
        if other == separator or not alone.any():
            continue
        held = frame.iloc[:, 0].astype("str")[alone].str.count(re.escape(other))
        if (held == len(frame.columns) - 1).any():
            line = int(held.index[int(np.argmax(held.to_numpy()))]) + 2
            raise RequestError(
                f"{path} must have one separator; its header has {separator!r}, line {line} has "
                f"{other!r}."
            )


def _wrong_fields(path: str, line: int, fields: int, came: int) -> RequestError:
    return RequestError(
        f"{path}, line {line}: must have {fields} values, as the lines before; it has {came}."
    )


def _separator(path: str, header: str) -> str:
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
    path: str, kind: str, columns: list[str] | None, seed: int, most_bytes: float
) -> tuple[pd.DataFrame, float]:
    import pyarrow as pa
    import pyarrow.dataset

    _schema(path, kind)
    try:
        source = pyarrow.dataset.dataset(path, format=kind[1:])
        size = _size(path, kind)
        share = min(1.0, most_bytes / max(size, 1))
        if share == 1:
            return source.to_table(columns=columns).to_pandas(), share
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
