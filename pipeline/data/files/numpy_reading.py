"""NumPy's files as they are read: objects, which could run any code, are not loaded."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from pipeline.data.arrays import Array
from pipeline.errors import RequestError, one_line


def read_array(archive: Any, name: str, path: str) -> Array:
    """One array of an archive.

    Raises:
        RequestError: it holds objects.
    """
    try:
        array: Array = archive[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise _objects(f"{path}, array {name!r}") from error
        raise
    return plain(array)


def read_matrix(path: str) -> Array:
    """The array of an `.npy` file.

    Raises:
        RequestError: it cannot be read, or holds objects.
    """
    with opened(path) as array:
        if not isinstance(array, np.ndarray):
            raise RequestError(f"{path} must be one array; it holds several, as .npz files do.")
        return plain(array)


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """What NumPy finds in a file.

    Raises:
        RequestError: in place of whatever is raised, here or while it is read.
    """
    try:
        # NumPy would leave a file open that it cannot read
        with open(path, "rb") as file, ExitStack() as stack:
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, np.ndarray):
                stack.enter_context(found)
            yield found
    except RequestError:
        raise
    except Exception as error:  # of damaged bytes: ValueError, BadZipFile, zlib.error, KeyError, …
        said = "it is cut off, or damaged"
        if isinstance(error, OSError) and error.strerror:
            said = one_line(error.strerror)
        elif "Object arrays" in str(error):
            raise _objects(path) from error
        elif "pickle" in str(error):
            said = "it is no file of NumPy's"
        raise RequestError(f"{path} must be a file of arrays that can be read; {said}.") from error


def plain(array: Array) -> Array:
    """Text of bytes as text."""
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _objects(place: str) -> RequestError:
    return RequestError(
        f"{place} must hold numbers or text; it holds Python objects, which are not loaded: they "
        "could run any code. Save it with another dtype, such as float32."
    )
