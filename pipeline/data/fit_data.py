"""Data as `search(x, y, …)` was handed it.

Whatever Keras's `fit` takes, neither checked nor understood.

Inputs and targets are arrays or nests of them (dicts, lists and tuples, for a model with several
inputs or outputs), or `x` makes batches where it is used: a `tf.data.Dataset` in a form that
travels (`pipelines`), a `PyDataset`, or a function that makes one of these or a generator.

Tables and tensors travel as arrays with the values that Keras's own data adapters would give them;
for a `fit` of one's own as they were given (`sending`, `kept`).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from pipeline.data import conversion
from pipeline.data.batches import first, first_inputs, made, makes_batches
from pipeline.data.dataset import FEW, Dataset
from pipeline.data.kept import Kept
from pipeline.data.nests import (
    Nest,
    Strings,
    described,
    leaves,
    mapped,
    zeros,
)
from pipeline.data.pipelines.pipeline import Pipeline, is_endless
from pipeline.data.sending import length, sent_parts
from pipeline.errors import RequestError


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
        as_given: bool = False,
    ) -> "FitData":
        """As `fit` takes it; `validation_split` cuts off the end of the arrays, as Keras does.

        `as_given` keeps tables, lists and tensors what they are, for a `fit` of one's own.

        Raises:
            RequestError: something cannot be sent to another process, or the arrays cannot be cut.
        """
        train = sent_parts("", (x, y, sample_weight), as_given=as_given)
        if validation_data is not None:
            # Keras takes a list for a tuple here
            several = isinstance(validation_data, list | tuple)
            given = tuple(validation_data) if several else (validation_data,)
            val = sent_parts("validation_data", given, as_given=as_given)
            return cls(name=name, train=train, val=val)
        if not validation_split:
            return cls(name=name, train=train)
        count = length(train[0])
        if not 0 < validation_split < 1 or count is None:
            raise RequestError(
                "validation_split must be a fraction in (0, 1) of arrays; "
                + (
                    "what makes batches needs validation_data."
                    if makes_batches(train[0])
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
        return cls(name=name, train=(None if inputs is None else zeros(inputs), None, None))

    @property
    def parts(self) -> list[Any]:
        """All that is the user's own code: what makes batches."""
        return [leaf for leaf in leaves([*self.train, *(self.val or ())]) if makes_batches(leaf)]

    @property
    def alike(self) -> bool:
        """Whether each epoch has the same batches in the same order, as far as that is known."""
        return isinstance(self.train[0], Pipeline) and self.train[0].alike

    @property
    def validation_is_drawn(self) -> bool:
        """Whether the validation data may be others each time that they are made."""
        x = None if self.val is None else self.val[0]
        return isinstance(x, Pipeline) and not x.alike

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example of the (first) input; empty where batches are made."""
        return next((tuple(array.shape[1:]) for array in leaves(self._known_inputs())), ())

    def inputs(self) -> Any:
        """The nest of the inputs, each as `{"shape": of an example, "dtype": its name}`.

        None where unknown.
        """
        known = self._known_inputs()
        return None if known is None else described(known)

    def _known_inputs(self) -> Nest:
        """The inputs, or what is known of each before they are made; None where that is nothing."""
        x = self.train[0]
        if isinstance(x, Pipeline):
            return x.elements.inputs
        return None if makes_batches(x) else x

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

    def fold(self, number: int) -> "FitData":
        """Itself: it has no folds."""
        return self

    def first_inputs(self) -> Any:
        """A batch of one training example, for a model that is built by its first call.

        Raises:
            RequestError: there is no data, or it is not known here.
        """
        if self.train[0] is None:
            raise RequestError(
                "A model that takes its shapes from its first call needs data; there is none here."
            )
        if makes_batches(self.train[0]):
            return first_inputs(made(self.train[0]))
        # a layer can be called with the rows of a sparse matrix only where its model is trained
        x = _made(_arrays(_rows(self.train, slice(1))))[0]
        return mapped(x, lambda a: a.toarray() if conversion.is_sparse(a) else a)

    def measured(self) -> dict[str, tuple[Any, ...]]:
        """Inputs, targets and weights of each split with an end, to measure the best model on.

        Raises:
            RequestError: only a `fit` of one's own can make numbers of them.
        """
        val = None if self.val is None else _made(_arrays(self.val))
        return {} if val is None or is_endless(val[0]) else {"validation": val}

    def sample(self, count: int = FEW) -> "FitData":
        """A few examples of each split."""
        return replace(
            self,
            train=_few(self.train, count),
            val=None if self.val is None else _few(self.val, count),
        )

    def describe(self) -> dict[str, Any]:
        """What is known of it, fit for JSON; the keys of `Dataset.describe`."""
        known = list(leaves(self._known_inputs()))
        counts = {"train": self.train, "val": self.val}
        return {
            "name": self.name,
            "task": None,
            "classes": None,
            "shape": [list(a.shape[1:]) for a in known] or None,
            "target_shape": None,
            "dtype": ", ".join(sorted({str(a.dtype) for a in known})) or None,
            "range": None,
            "counts": {k: None if v is None else length(v[0]) for k, v in counts.items()},
            "source": "",
            "licence": "",
            "standardisation": None,
            "class_names": None,
            "folds": None,
        }


Data = Dataset | FitData


def _rows(parts: tuple[Nest, ...], rows: slice) -> tuple[Nest, ...]:
    return tuple(None if part is None else mapped(part, lambda a: a[rows]) for part in parts)


def _few(parts: tuple[Nest, ...], count: int) -> tuple[Nest, ...]:
    if any(makes_batches(part) for part in parts):
        return tuple(first(p, count // FEW) if makes_batches(p) else p for p in parts)
    return _rows(parts, slice(count))


def _made(parts: tuple[Nest, ...]) -> tuple[Any, Any, Any]:
    """The parts as `fit` is called with them."""
    x, y, weight = (
        made(p) if makes_batches(p) else mapped(p, _unpacked) for p in (*parts, None, None)[:3]
    )
    return x, y, weight


def _unpacked(array: Any) -> Any:
    if isinstance(array, Kept):
        return array.whole()
    return array.tensor() if isinstance(array, Strings) else array


def _arrays(parts: tuple[Nest, ...]) -> tuple[Nest, ...]:
    """The parts as Keras's `fit` takes them, where they were kept as they were given."""
    try:
        return tuple(
            None
            if part is None
            else mapped(part, lambda a: a.array() if isinstance(a, Kept) else a)
            for part in parts
        )
    except conversion.Unfit as error:
        raise RequestError(f"Data must hold numbers to be measured; {error}") from error
