"""Tables, tensors and arrays of any library, as NumPy arrays; or what really came, in words.

What is of pandas, SciPy or a backend is known by its class: none of them is imported for that.
"""

import datetime
import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ENCODE = "Encode them first, such as by pandas.get_dummies, or read them as numbers"
FILL = "Fill or drop what is missing first, such as by fillna or dropna"
PAD = "Pad them first: keras.utils.pad_sequences"
DATES = "Make numbers of them first, such as the days since one of them"
ARRAY = "Give an array, a table or a list"
DENSE = "Make it dense first"
MOST_DENSE_GIB = 1.0


class Unfit(ValueError):
    """Something that came is no numbers; it says what it is, and what to do about it."""

    def __init__(self, found: str, instead: str) -> None:
        super().__init__(f"{found}. {instead}.")


def can_be_array(thing: Any) -> bool:
    """Whether it is an array, a table, a tensor, or a list."""
    return (
        isinstance(thing, np.ndarray | list | tuple | range)
        or hasattr(thing, "__array__")
        or _is_tensor(thing, "RaggedTensor")
    )


def as_array(given: Any, *, strings: bool = False, nan: bool = True, encode: str = ENCODE) -> Array:
    """The given thing as an array of numbers; NumPy's own arrays are not copied.

    Args:
        given: what `can_be_array`.
        strings: take strings too.
        nan: take NaN in the columns of a table too.
        encode: what to do about strings that are not in a table.

    Raises:
        Unfit: it holds something else.
    """
    if is_of(given, "pandas", "DataFrame"):
        return _of_table(given, nan=nan)
    if is_of(given, "pandas", "Series"):
        return _of_column(given, "it", strings=strings, nan=nan, encode=encode)
    if _is_tensor(given, "RaggedTensor"):
        raise Unfit("it is a RaggedTensor: its rows have several lengths", f"{PAD}, or to_tensor()")
    if hasattr(given, "detach"):  # a tensor that may have a gradient, or be on a device
        if not str(given.layout).endswith("strided"):
            raise Unfit("it is a sparse tensor", f"{DENSE}: to_dense()")
        given = given.detach().cpu()
        given = given.float() if str(given.dtype).endswith("bfloat16") else given
    try:
        array = np.asanyarray(given)
    except ValueError as error:  # NumPy makes no objects of rows that differ
        raise Unfit("its rows have several lengths", PAD) from error
    return _of_numpy(array, "it", strings=strings, encode=encode)


def is_of(thing: Any, library: str, name: str) -> bool:
    """Whether it is of a library's class of this name, or of one made of that."""
    return any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == library
        for kind in type(thing).__mro__
    )


def is_sparse(thing: Any) -> bool:
    """Whether it is a sparse matrix, SciPy's or a backend's."""
    return hasattr(thing, "tocsr") or _is_tensor(thing, "SparseTensor", "BCOO")


def as_sparse(thing: Any) -> Any:
    """A sparse matrix as SciPy's of compressed rows, which can be cut.

    Raises:
        Unfit: it has another number of dimensions than two.
    """
    if len(thing.shape) != 2:
        raise Unfit(f"it is a sparse tensor of {len(thing.shape)} dimensions", DENSE)
    if hasattr(thing, "tocsr"):
        return thing.tocsr()
    import scipy.sparse

    values = thing.values if hasattr(thing, "values") else thing.data
    places = np.asarray(thing.indices)
    shape = tuple(int(size) for size in thing.shape)
    return scipy.sparse.csr_matrix((np.asarray(values), (places[:, 0], places[:, 1])), shape)


def as_dense(thing: Any) -> Array:
    """A sparse matrix as an array, its floats as float32.

    Raises:
        Unfit: that would be larger than `MOST_DENSE_GIB`.
    """
    rows = as_sparse(thing)
    rows = rows.astype(np.float32) if rows.dtype.kind == "f" else rows
    gib = math.prod(rows.shape) * rows.dtype.itemsize / 2**30
    if gib > MOST_DENSE_GIB:
        size = " x ".join(map(str, rows.shape))
        raise Unfit(
            f"it is a sparse matrix of {size}, {gib:.1f} GiB when it is dense",
            "Make it narrower first, such as by scikit-learn's TruncatedSVD; search(x, y) of "
            "pipeline.keras_tuner takes it as it is",
        )
    return np.asarray(rows.toarray())


def _is_tensor(thing: Any, *names: str) -> bool:
    """Whether it is a backend's tensor of a kind that has a class of its own."""
    return type(thing).__name__ in names


def _of_table(table: Any, *, nan: bool) -> Array:
    """A data frame's columns side by side, in the type that holds them all."""
    columns = [
        _of_column(table.iloc[:, place], f"its column {name!r}", nan=nan)
        for place, name in enumerate(table.columns)
    ]
    if len({column.dtype for column in columns}) < 2:
        return np.asarray(table.to_numpy(columns[0].dtype if columns else None))
    return np.stack(columns, axis=1, dtype=np.result_type(*columns))


def _of_column(
    column: Any, subject: str, *, strings: bool = False, nan: bool = True, encode: str = ENCODE
) -> Array:
    kind, dtype = column.dtype.kind, column.dtype
    if not (nan and isinstance(dtype, np.dtype) and kind == "f"):
        _refuse_where(np.asarray(column.isna()), f"{subject} has", "missing value", FILL)
    if kind in "biufc":
        # of pandas' own types, nullable and sparse ones
        plain = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
        return np.asarray(column.to_numpy(plain))
    if dtype.name == "category" and not strings:
        raise Unfit(
            f"{subject} holds categories",
            "Encode them first, such as by pandas.get_dummies or .cat.codes",
        )
    if kind in "mM":
        raise _dates(subject, dtype)
    return _of_numpy(np.asarray(column), subject, strings=strings, encode=encode)


def _of_numpy(array: Array, subject: str, *, strings: bool, encode: str) -> Array:
    kind = array.dtype.kind
    if isinstance(array, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(array)
        _refuse_where(masked, f"{subject} has", "masked value", "Fill them first: filled(…)")
        array = array.data
    array = np.asarray(array)
    if kind in "biufc":
        return array.astype(np.float64) if array.dtype == np.longdouble else array
    if kind in "mM":
        raise _dates(subject, array.dtype)
    if array.dtype.names:
        raise Unfit(
            f"{subject} has the fields {', '.join(array.dtype.names)}",
            "Make columns of them first: numpy.lib.recfunctions.structured_to_unstructured",
        )
    if kind == "V" and "float" in array.dtype.name:  # bfloat16 and 8 bits
        return array.astype(np.float32)
    if kind == "O" and not array.ndim:
        raise Unfit(f"{subject} is of type {type(array[()]).__name__}", ARRAY)
    if kind == "O":
        array = _of_objects(array, subject)
    if array.dtype.kind in "biufc" or (strings and array.dtype.kind in "OUST"):
        return array
    raise Unfit(f"{subject} holds strings, such as {_shown(array.ravel()[:1].tolist()[0])}", encode)


def _of_objects(array: Array, subject: str) -> Array:
    """Objects as numbers if they are; strings as they are."""
    values = array.ravel().tolist()
    rows = [value for value in values if isinstance(value, list | tuple | np.ndarray)]
    if rows:
        sizes = sorted({len(row) for row in rows if np.ndim(row) or not hasattr(row, "ndim")})
        if len(sizes) > 1:
            raise Unfit(f"its rows have several lengths, {sizes[0]} to {sizes[-1]}", PAD)
        raise Unfit(f"{subject} holds a {type(rows[0]).__name__} each", "Stack them: numpy.stack")
    missing = [v is None or type(v).__name__ in ("NAType", "NaTType") for v in values]
    if any(isinstance(value, str) for value in values):  # beside which NaN is no number
        missing = [gone or v != v for gone, v in zip(missing, values, strict=True)]
    _refuse_where(np.reshape(missing, array.shape), f"{subject} has", "missing value", FILL)
    if all(isinstance(value, numbers.Number | np.bool_) for value in values):
        found = np.array(values).reshape(array.shape)
        if found.dtype.kind in "biufc":
            return found
    elif all(isinstance(value, str | bytes) for value in values):
        return array
    other = next(
        (v for v in values if not isinstance(v, int | float | str | np.generic)), values[0]
    )
    if isinstance(other, datetime.date | datetime.timedelta):
        raise _dates(subject, type(other).__name__)
    kinds = sorted({type(value).__name__ for value in values})
    raise Unfit(
        f"{subject} holds {' and '.join(kinds)}, such as {_shown(other)}",
        "Make numbers of them first",
    )


def _dates(subject: str, dtype: Any) -> Unfit:
    return Unfit(f"{subject} holds dates ({dtype})", DATES)


def _refuse_where(wrong: Array, has: str, what: str, instead: str) -> None:
    """Refuse what is wrong at these places, if there are any."""
    rows = np.nonzero(wrong)[0]
    if len(rows):
        several = len(rows) > 1
        found = f"{has} {len(rows)} {what}{'s' * several}"
        raise Unfit(f"{found}, {'the first ' * several}in row {rows[0]}", instead)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
