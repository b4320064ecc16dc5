"""JAX: a group's epochs, all at once, by functions that are compiled for several models."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from pipeline.worker.backends.batches import fed_dtype
from pipeline.worker.backends.together.held import Held
from pipeline.worker.backends.together.jax_compiled import Compiled, Form, Given, Steps
from pipeline.worker.backends.together.members import Epoch, Examples, Member, Pattern, plain


class Program:
    """One compiled program, for groups of up to as many members as it was made for.

    Args:
        pattern: what it is made of.
        members: the first group.
        held: the arrays that are on the device.
        hasty: see `jax_compiled`.
    """

    def __init__(
        self, pattern: Pattern, members: Sequence[Member], held: Held, *, hasty: bool
    ) -> None:
        self._size, self._held = len(members), held
        self._traced = _lengths(members)
        self._train = Form.of([m.train for m in members])
        validations = [m.validation for m in members if m.validation is not None]
        self._validation = Form.of(validations) if validations else None
        self._compiled = Compiled(Steps(pattern), self._train, self._validation, hasty=hasty)

    def serves(self, members: Sequence[Member]) -> bool:
        """Of `Program`.

        A group that has lost up to half of its members goes on with it, so that not each one that
        leaves costs a compilation.
        """
        return (
            len(members) <= self._size <= 2 * len(members)
            # Other lengths would be traced anew, of a model that may have changed since.
            and _lengths(members) == self._traced
            and self._train.covers(Form.of([m.train for m in members]))
            and (
                self._validation is None
                or self._validation.covers(Form.of([m.validation for m in members if m.validation]))
            )
        )

    def __call__(self, members: Sequence[Member]) -> list[Epoch | Exception]:
        """Of `Program`: all at once."""
        filled = [*members, *[members[0]] * (self._size - len(members))]
        validations = [m.validation for m in filled if m.validation is not None]
        states, logs, validation_logs = self._compiled(
            tuple(m.state for m in filled),
            np.stack([m.numbers for m in filled]),
            self._arrays([m.train for m in filled], self._train),
            self._arrays(validations, self._validation) if self._validation else None,
        )
        return [
            Epoch(states[place], _of_one(logs, place), _of_one(validation_logs, place))
            for place in range(len(members))
        ]

    def _arrays(self, examples: Sequence[Examples], form: Form) -> Given:
        """The examples of all members."""
        shared = _are_shared(examples)
        held = examples[:1] if shared else examples
        columns = zip(*[each.parts for each in held], strict=True)
        identities = zip(*[each.identities for each in held], strict=True)
        parts = tuple(map(self._placed, columns, identities))
        longest = max(len(each.order) for each in examples)
        # so long that the last batch of whoever has fewest is within it
        length = max(longest, form.batch * form.full) + max(form.rests)
        orders = np.zeros((len(examples), length), "int32")
        for row, each in zip(orders, examples, strict=True):
            row[: len(each.order)] = each.order
        full = np.array([each.full for each in examples], "int32")
        rests = np.array([each.rest for each in examples], "int32")
        return Given(parts, orders, full, rests, shared)

    def _placed(self, column: Sequence[Any], identities: Sequence[Hashable]) -> Any:
        """Arrays as one, on the default device."""
        import jax

        def stacked() -> Any:
            longest = max(len(part) for part in column)
            whole = np.zeros((len(column), longest, *column[0].shape[1:]), fed_dtype(column[0]))
            for row, part in zip(whole, column, strict=True):
                row[: len(part)] = part
            return jax.device_put(whole)

        return self._held.made_of(column, identities, stacked)


def _lengths(members: Sequence[Member]) -> Hashable:
    """What JAX traces a program for, beside how many models there are."""
    groups = [[m.train for m in members], [m.validation for m in members if m.validation]]
    return tuple(
        (max(len(each.order) for each in group), _are_shared(group)) for group in groups if group
    )


def _are_shared(examples: Sequence[Examples]) -> bool:
    """Whether all have the same arrays."""
    return len({each.identities for each in examples}) == 1


def _of_one(logs: dict[str, Any], place: int) -> dict[str, Any]:
    """One member's metrics, of those of all."""
    return plain({name: values[place] for name, values in logs.items()})
