"""From what `search(x, y, …)` is handed to what is sent to the trials in its place.

Tables and tensors become arrays with the values that Keras's own data adapters would give them;
where code of the user's own is handed the data, it gets them as they were given.
"""

from functools import partial
from typing import Any

import numpy as np

from pipeline.data import conversion
from pipeline.data.batches import is_pydataset, makes_batches
from pipeline.data.kept import Kept, is_plain
from pipeline.data.nests import Nest, Strings, are_strings, is_nest, leaves, like
from pipeline.data.pipelines.pipeline import Pipeline, is_pipeline
from pipeline.data.pipelines.portable import portable
from pipeline.errors import RequestError

# What to do about strings: in x, and elsewhere.
TENSOR = "Encode them first; a model that takes text is given a tensor, keras.ops.array(x.tolist())"
NUMBER = "Number them first: numpy.unique(y, return_inverse=True)[1]"


def sent_parts(field: str, given: tuple[Any, ...], *, as_given: bool) -> tuple[Nest, ...]:
    """(x, y, sample_weight) with arrays for what can be one, or `as_given`."""
    if len(given) > 3:
        raise RequestError(
            f"{field} must be (x, y) or (x, y, sample_weight); got {len(given)} parts."
        )
    names = [f"{name} of {field}" if field else name for name in ("x", "y", "sample_weight")]
    send = partial(_sendable, as_given=as_given)
    parts = tuple(map(send, names, (*given, None, None)[:3]))
    beside = [name for name, part in zip(names[1:], parts[1:], strict=True) if part is not None]
    # a `fit` of one's own may call its second dataset as it likes
    beside = [] if makes_batches(parts[1]) else beside
    if is_pydataset(parts[0]) and beside:
        raise RequestError(
            f"{beside[0]} must not be given beside a PyDataset, whose batches hold it; return "
            "(inputs, targets) from __getitem__."
        )
    if isinstance(parts[0], Pipeline) and beside:
        raise RequestError(
            f"{beside[0]} must not be given beside a tf.data.Dataset, whose elements hold it: zip "
            "them by tf.data.Dataset.zip((inputs, targets))."
        )
    lengths = dict.fromkeys(length(leaf) for leaf in leaves(list(parts)) if not makes_batches(leaf))
    if len(lengths) > 1:
        shown = [*map(str, lengths)][:3] + ["…"] * (len(lengths) > 3)
        raise RequestError(
            f"{field or 'x and y'} must have as many examples each; they have "
            f"{' and '.join(shown)}."
            + " Each array of a list is an input of its own; pad the rows of one first "
            "(keras.utils.pad_sequences)." * any(map(is_nest, given))
        )
    return parts


def _sendable(field: str, part: Any, as_given: bool) -> Nest:
    """What is sent to the trials in the place of what was given as `field`."""
    send = partial(_sendable, as_given=as_given)
    if is_pipeline(part):
        return portable(field, part)
    if part is None or makes_batches(part):
        return part
    if isinstance(part, dict):
        return {key: send(f"{field}[{key!r}]", value) for key, value in part.items()}
    if is_nest(part):
        return like(part, [send(f"{field}[{i}]", value) for i, value in enumerate(part)])
    as_array = partial(_as_array, encode=TENSOR if field.startswith("x") else NUMBER)
    try:
        keep = as_given and _can_be_kept(part)
        array = Kept.of(part, as_array) if keep else as_array(part)
    except conversion.Unfit as error:
        raise RequestError(f"{field} must hold numbers; {error}") from error
    if array is None:
        raise RequestError(
            f"{field} must be arrays, a tf.data.Dataset, or a function without arguments that "
            "makes a dataset in the trial's own process; "
            f"got {type(part).__name__}, which cannot be sent there. Write: def make(): return …, "
            "and give make."
        )
    return array


def _can_be_kept(part: Any) -> bool:
    """Whether it has to be kept to arrive as it is, and can be; what has no rows cannot."""
    if conversion.is_sparse(part):
        return getattr(part, "format", "csr") != "csr"
    own = type(part).__module__ == "__main__"  # which a trial's process has not
    rows = hasattr(part, "__len__") and len(getattr(part, "shape", (1,))) > 0
    return rows and not own and not is_plain(part) and conversion.can_be_array(part)


def as_fed(part: Nest) -> Nest:
    """What Keras's `fit` is fed in the place of tables, Series, lists and tensors.

    What is no numbers stays as it is: Keras says what is wrong with it.
    """
    if isinstance(part, dict):
        return {key: as_fed(value) for key, value in part.items()}
    if is_nest(part):
        return like(part, [as_fed(value) for value in part])
    known = is_plain(part) or makes_batches(part) or is_pipeline(part) or are_strings(part)
    if known or conversion.is_sparse(part) or not conversion.can_be_array(part):
        return part
    try:
        array = _as_array(part, NUMBER)
    except conversion.Unfit:
        return part
    return part if array is None else array


def _as_array(part: Any, encode: str) -> Any:
    """What Keras makes of it; None of what it cannot slice."""
    if conversion.is_sparse(part):
        return conversion.as_sparse(part)
    if are_strings(part) and (encode == TENSOR or not isinstance(part, np.ndarray)):
        return Strings(np.asarray(part))
    if not conversion.can_be_array(part):
        return None
    array = conversion.as_array(part, encode=encode)
    if conversion.is_of(part, "pandas", "Series"):
        return array[:, None]  # Keras takes it for a column
    return array if array.ndim else None


def length(nest: Nest) -> int | None:
    """Examples in it; None where that is known only once batches are made."""
    array = next(leaves(nest), None)
    if isinstance(array, Pipeline):
        return array.elements.examples
    return None if array is None or makes_batches(array) else int(array.shape[0])
