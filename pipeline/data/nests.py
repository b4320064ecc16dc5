"""Arrays, and dictionaries, lists and tuples of them, as `fit` takes them for several inputs."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.conversion import Array
from pipeline.errors import RequestError

Nest = Any  # an array, or a dict, list or tuple of nests


@dataclass(frozen=True, eq=False)
class Strings:
    """A tensor of strings, which is one only in the trial; on its way it holds objects."""

    values: Array
    dtype = "string"

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.values.shape

    def __getitem__(self, rows: slice) -> "Strings":
        return Strings(self.values[rows])

    def tensor(self) -> Any:
        """The tensor, where Keras was imported.

        Raises:
            RequestError: the backend has no such tensors.
        """
        try:
            return sys.modules["keras"].ops.convert_to_tensor(self.values, dtype=self.dtype)
        except (TypeError, ValueError) as error:  # JAX's, PyTorch's
            raise RequestError(
                "Data must be numbers where the backend has no tensors of strings; it holds "
                f"{self.values.ravel()[0]!r}. Encode them first."
            ) from error


def are_strings(thing: Any) -> bool:
    """Whether Keras takes it for strings: a tensor of them, or a single row of objects."""
    if hasattr(thing, "numpy"):
        return getattr(getattr(thing, "dtype", None), "name", "") == Strings.dtype
    return (
        isinstance(thing, np.ndarray)
        and thing.dtype == object
        and thing.ndim == 1
        and len(thing) > 0
        and all(isinstance(value, str) for value in thing)
    )


def is_nest(part: Any) -> bool:
    """Whether a list or tuple holds arrays; numbers, and lists of them, are an array itself."""
    return isinstance(part, list | tuple) and any(_holds_arrays(inner) for inner in part)


def _holds_arrays(thing: Any) -> bool:
    if isinstance(thing, list | tuple):
        return any(map(_holds_arrays, thing))
    return isinstance(thing, dict) or len(getattr(thing, "shape", ())) > 0


def mapped(nest: Nest, function: Callable[[Any], Any]) -> Nest:
    """The nest with something else in the place of each array."""
    if isinstance(nest, dict):
        return {key: mapped(value, function) for key, value in nest.items()}
    if isinstance(nest, list | tuple):
        return like(nest, [mapped(value, function) for value in nest])
    return function(nest)


def like(nest: Any, parts: list[Any]) -> Any:
    """A list or a tuple of these parts; a namedtuple takes them one by one."""
    return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)


def leaves(nest: Nest) -> Iterator[Any]:
    """Each array, in order."""
    if isinstance(nest, dict):
        nest = list(nest.values())
    if isinstance(nest, list | tuple):
        for part in nest:
            yield from leaves(part)
    elif nest is not None:
        yield nest


def described(nest: Nest) -> Any:
    """The nest of what each array is: `{"shape": of an example, "dtype": its name}`."""
    return mapped(nest, lambda a: {"shape": list(a.shape[1:]), "dtype": str(a.dtype)})


def zeros(described: Any) -> Nest:
    """One example of such arrays, and 1 for a size that differs."""
    if isinstance(described, list):
        return [zeros(part) for part in described]
    if described.keys() != {"shape", "dtype"}:
        return {key: zeros(part) for key, part in described.items()}
    shape = (1, *(1 if size is None else size for size in described["shape"]))
    if described["dtype"] == Strings.dtype:
        return Strings(np.full(shape, "", object))
    return np.zeros(shape, described["dtype"])
