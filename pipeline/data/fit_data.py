"""Data as `search(x, y, …)` was handed it.

Whatever Keras's `fit` takes, neither checked nor understood.

Inputs and targets are arrays or nests of them (dicts, lists and tuples, for a model with several
inputs or outputs), or `x` is a function that makes a `tf.data.Dataset`, a `PyDataset` or a
generator where it is called: such an object itself cannot be sent to another process.
"""

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.data.dataset import FEW, Dataset
from pipeline.errors import RequestError

Nest = Any  # an array, or a dict, list or tuple of nests


@dataclass(frozen=True, eq=False, kw_only=True)
class FitData:
    """What `fit` gets, beside its callbacks.

    `(x, y, sample_weight)` to train on, and to validate on.

    There is no test split: who hands over arrays keeps that back. `build` functions that take
        `data` find `shape`.
    """

    name: str
    train: tuple[Nest, ...]
    val: tuple[Nest, ...] | None = None

    @classmethod
    def of(
        cls,
        name: str,
        x: Nest = None,
        y: Nest = None,
        sample_weight: Nest = None,
        *,
        validation_split: float = 0.0,
        validation_data: Any = None,
    ) -> "FitData":
        """As `fit` takes it; `validation_split` cuts off the end of the arrays, as Keras does.

        Raises:
            RequestError: something cannot be sent to another process, or the arrays cannot be cut.
        """
        train = _parts("x and y", (x, y, sample_weight))
        if validation_data is not None:
            # Keras takes a list for a tuple here
            several = isinstance(validation_data, list | tuple)
            given = tuple(validation_data) if several else (validation_data,)
            return cls(name=name, train=train, val=_parts("validation_data", given))
        if not validation_split:
            return cls(name=name, train=train)
        count = _length(train[0])
        if not 0 < validation_split < 1 or count is None:
            raise RequestError(
                "validation_split must be a fraction in (0, 1) of arrays; "
                + (
                    "a function needs validation_data."
                    if callable(x)
                    else f"got {validation_split}."
                )
            )
        at = math.floor(count * (1 - validation_split))
        if not 0 < at < count:
            raise RequestError(
                f"validation_split must leave examples on both sides; got {validation_split} of "
                f"{count}."
            )
        return cls(name=name, train=_rows(train, slice(at)), val=_rows(train, slice(at, None)))

    @classmethod
    def like(cls, name: str, inputs: Any) -> "FitData":
        """Zeros in the place of inputs that only `inputs()` is known of.

        Enough to build a model on.
        """
        return cls(name=name, train=(None if inputs is None else _zeros(inputs), None, None))

    @property
    def parts(self) -> list[Any]:
        """All that is the user's own code: the functions that make data."""
        return [leaf for leaf in _leaves([*self.train, *(self.val or ())]) if callable(leaf)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example of the (first) input; empty where a function makes the data."""
        first = next(_leaves(self.train[0]), None)
        return tuple(getattr(first, "shape", ())[1:])

    def inputs(self) -> Any:
        """The nest of the inputs, each as `{"shape": of an example, "dtype": its name}`.

        None where unknown.
        """
        if self.train[0] is None or callable(self.train[0]):
            return None
        return _map(self.train[0], lambda a: {"shape": list(a.shape[1:]), "dtype": str(a.dtype)})

    def fit_arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What `fit` is called with: positional and keyword arguments."""
        x, y, weight = _made(self.train)
        arguments: dict[str, Any] = {}
        if weight is not None:
            arguments["sample_weight"] = weight
        if self.val is not None:
            val = _made(self.val)
            arguments["validation_data"] = (
                val[0] if val[1] is None else val[: 2 if val[2] is None else 3]
            )
        return tuple(part for part in (x, y) if part is not None), arguments

    def first_inputs(self) -> Any:
        """A batch of one training example, for a model that is built by its first call.

        Raises:
            RequestError: there is no data, or it is not known here.
        """
        if self.train[0] is None:
            raise RequestError(
                "A model that takes its shapes from its first call needs data; there is none here."
            )
        x = _made(self.train)[0]
        if not callable(self.train[0]):
            return _map(x, lambda a: a[:1])
        # a PyDataset counts its batches
        batch = x[0] if hasattr(x, "__getitem__") else next(iter(x))
        return batch[0] if isinstance(batch, tuple) else batch

    def measured(self) -> dict[str, tuple[Any, ...]]:
        """Inputs, targets and weights of each split that the best model is measured on."""
        return {} if self.val is None else {"validation": _made(self.val)}

    def sample(self, count: int = FEW) -> "FitData":
        """A few examples of each split."""
        return replace(
            self,
            train=_few(self.train, count),
            val=None if self.val is None else _few(self.val, count),
        )

    def describe(self) -> dict[str, Any]:
        """What is known of it, fit for JSON; the keys of `Dataset.describe`."""
        made = callable(self.train[0])
        counts = {"train": self.train, "val": self.val}
        return {
            "name": self.name,
            "task": None,
            "classes": None,
            "shape": None if made else [list(a.shape[1:]) for a in _leaves(self.train[0])],
            "target_shape": None,
            "dtype": None
            if made
            else ", ".join(sorted({str(a.dtype) for a in _leaves(self.train[0])})),
            "range": None,
            "counts": {k: None if v is None else _length(v[0]) for k, v in counts.items()},
            "source": "",
            "licence": "",
            "standardisation": None,
        }


Data = Dataset | FitData


def _rows(parts: tuple[Nest, ...], rows: slice) -> tuple[Nest, ...]:
    return tuple(None if part is None else _map(part, lambda array: array[rows]) for part in parts)


def _parts(field: str, given: tuple[Any, ...]) -> tuple[Nest, ...]:
    """(x, y, sample_weight) with arrays for what can be one."""
    if len(given) > 3:
        raise RequestError(
            f"{field} must be (x, y) or (x, y, sample_weight); got {len(given)} parts."
        )
    parts = tuple(_sendable(field, part) for part in (*given, None, None)[:3])
    lengths = [len(leaf) for leaf in _leaves(list(parts)) if not callable(leaf)]
    if len(set(lengths)) > 1:
        raise RequestError(
            f"{field} must have as many examples each; they have "
            f"{' and '.join(map(str, dict.fromkeys(lengths)))}."
        )
    return parts


def _sendable(field: str, part: Any) -> Nest:
    if part is None or inspect.isroutine(part) or (callable(part) and not _made_of_arrays(part)):
        return part
    if isinstance(part, dict):
        return {key: _sendable(field, value) for key, value in part.items()}
    if isinstance(part, list | tuple) and any(
        isinstance(p, dict) or np.ndim(_shaped(p)) for p in part
    ):
        return type(part)(_sendable(field, value) for value in part)
    array = np.asarray(_shaped(part))
    if array.ndim == 0:
        raise RequestError(
            f"{field} must be arrays, or a function without arguments that makes a dataset in the "
            "trial's own process; "
            f"got {type(part).__name__}, which cannot be sent there. Write: def make(): return …, "
            "and give make."
        )
    return array


def _made_of_arrays(part: Any) -> bool:
    return hasattr(part, "__array__") or hasattr(part, "__getitem__") or hasattr(part, "__iter__")


def _shaped(part: Any) -> Any:
    """Tensors and tables as arrays; 0 for what is neither."""
    if isinstance(part, np.ndarray | list | tuple | int | float) or hasattr(part, "__array__"):
        return np.asarray(part)
    return 0


def _made(parts: tuple[Nest, ...]) -> tuple[Any, Any, Any]:
    x, y, weight = (part() if callable(part) else part for part in (*parts, None, None)[:3])
    return x, y, weight


def _few(parts: tuple[Nest, ...], count: int) -> tuple[Nest, ...]:
    if any(callable(part) for part in parts):
        return tuple(_Short(part, count // FEW) if callable(part) else part for part in parts)
    return _rows(parts, slice(count))


class _Short:
    """Makes the first batches alone, where what is made can be shortened."""

    def __init__(self, make: Callable[[], Any], batches: int) -> None:
        self._make, self._batches = make, batches

    def __call__(self) -> Any:
        made = self._make()
        return (
            made.take(self._batches) if hasattr(made, "take") and hasattr(made, "batch") else made
        )


def _map(nest: Nest, function: Callable[[Any], Any]) -> Nest:
    if isinstance(nest, dict):
        return {key: _map(value, function) for key, value in nest.items()}
    if isinstance(nest, list | tuple):
        return type(nest)(_map(value, function) for value in nest)
    return function(nest)


def _leaves(nest: Nest) -> Iterator[Any]:
    if isinstance(nest, dict):
        nest = list(nest.values())
    if isinstance(nest, list | tuple):
        for part in nest:
            yield from _leaves(part)
    elif nest is not None:
        yield nest


def _zeros(inputs: Any) -> Nest:
    if isinstance(inputs, list):
        return [_zeros(part) for part in inputs]
    if inputs.keys() != {"shape", "dtype"}:
        return {key: _zeros(part) for key, part in inputs.items()}
    return np.zeros((1, *inputs["shape"]), inputs["dtype"])


def _length(nest: Nest) -> int | None:
    """Examples in it; None for a function."""
    first = next(_leaves(nest), None)
    return None if first is None or callable(first) else len(first)
