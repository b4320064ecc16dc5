"""TensorFlow: one graph of an epoch, for all models that are alike, one after the other.

The variables of a model are arguments of the graph, so that it works on each model's own; the model
that it is traced with has the arguments in its variables' place as long as it is traced.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import tensorflow as tf

from pipeline.worker.backends.batches import fed_dtype
from pipeline.worker.backends.tensorflow_updates import fused
from pipeline.worker.backends.together.held import Held
from pipeline.worker.backends.together.members import (
    Epoch,
    Examples,
    Member,
    Pattern,
    flat,
    plain,
    variables_of,
)
from pipeline.worker.backends.together.number import Number


class Program:
    """One graph, for any number of members with any number of examples.

    Args:
        pattern: what it is traced with.
        members: the first group.
        held: the arrays that are tensors.
    """

    def __init__(self, pattern: Pattern, members: Sequence[Member], held: Held) -> None:
        self._pattern, self._held = pattern, held
        self._scratch: dict[int, Any] = {}  # lives as long as the graph
        first = members[0]
        self._graph = tf.function(self._epoch, autograph=False).get_concrete_function(
            first.state,
            tf.TensorSpec(first.numbers.shape, tf.float32),
            _specs(first.train),
            _specs(first.validation) if first.validation else None,
        )

    def serves(self, members: Sequence[Member]) -> bool:
        """Of `Program`: all of its group."""
        return True

    def __call__(self, members: Sequence[Member]) -> list[Epoch | Exception]:
        """Of `Program`."""
        return [self._carried_out(member) for member in members]

    def _carried_out(self, member: Member) -> Epoch | Exception:
        validation = self._tensors(member.validation) if member.validation else None
        try:
            logs, validation_logs = self._graph(
                member.state, tf.constant(member.numbers), self._tensors(member.train), validation
            )
        except Exception as error:
            return error  # some of its steps may be done, and those of others are
        return Epoch(None, plain(logs), plain(validation_logs))

    def _tensors(self, examples: Examples) -> Any:
        parts = [
            self._held.made_of([part], [identity], partial(tf.constant, part, fed_dtype(part)))
            for part, identity in zip(examples.parts, examples.identities, strict=True)
        ]
        return (*parts, tf.constant(examples.order, tf.int32), tf.constant(examples.batch))

    def _epoch(self, state: Any, numbers: Any, train: Any, validation: Any) -> Any:
        model = self._pattern.model
        with ExitStack() as within:
            within.enter_context(_standing_for(variables_of(model), state))
            within.enter_context(self._pattern.with_numbers(numbers, _Number))
            within.enter_context(fused(model, self._scratch))
            logs = _over(model, model.train_step, train)
            return logs, {} if validation is None else _over(model, model.test_step, validation)


class _Number(Number, tf.__internal__.types.Tensor):
    """A number that is a tensor: TensorFlow's dropout takes none but a tensor or Python's."""

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        """What TensorFlow computes with."""
        return self.high if dtype is None else tf.cast(self.high, dtype)

    @property
    def shape(self) -> Any:  # type: ignore[override]
        """A tensor's."""
        return self.high.shape

    def get_shape(self) -> Any:
        """The same, as TensorFlow asks for it too."""
        return self.high.shape


def _specs(examples: Examples) -> Any:
    parts = [tf.TensorSpec([None, *part.shape[1:]], fed_dtype(part)) for part in examples.parts]
    return (*parts, tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32))


def _over(model: Any, step: Any, given: Any) -> dict[str, Any]:
    """The metrics after all batches, of which the last may be a partial one."""
    *parts, order, size = given
    count = tf.size(order)

    def body(start: Any) -> Any:
        at = order[start : start + size]  # no further than to its end
        step(tuple(tf.gather(part, at) for part in parts))
        return (start + size,)

    model.reset_metrics()
    tf.while_loop(lambda start: start < count, body, (tf.constant(0),))
    return flat(model.get_metrics_result())


@contextmanager
def _standing_for(variables: Any, state: Any) -> Iterator[None]:
    """Have Keras's variables be those of a state."""
    pairs = [
        pair for each in zip(variables, state, strict=True) for pair in zip(*each, strict=True)
    ]
    before = [variable._value for variable, _ in pairs]
    try:
        for (variable, value), own in zip(pairs, before, strict=True):
            value._unique_id = own._unique_id  # by which an optimizer knows it
            object.__setattr__(variable, "_value", value)
        yield
    finally:
        for (variable, _), own in zip(pairs, before, strict=True):
            object.__setattr__(variable, "_value", own)
