"""Carries out epochs of trainings whose models are alike, each group as one compiled program."""

import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from pipeline.errors import one_line
from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.batches import fed_dtype
from pipeline.worker.backends.known import current
from pipeline.worker.backends.number import Number
from pipeline.worker.backends.together import Form, Given, Steps
from pipeline.worker.fused.company import Done, Examples, Request
from pipeline.worker.fused.likeness import differing

# Arrays are held once, or once a member where each has its own; those that were met first make
# room.
HELD_BYTES = 2**30


class Programs:
    """Carries out requests, and keeps what was compiled for them.

    Args:
        backend: Keras's, unless another is given.
    """

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or current()
        self._made: dict[Hashable, list[_Program]] = defaultdict(list)
        self._apart: dict[Hashable, str] = {}  # groups that have no program, and why
        self._arrays = _Arrays(self._backend)

    def carry_out(self, requests: list[Request]) -> list[Done | BaseException]:
        """What came of each request, or the exception that its training is to raise."""
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            groups[request.group].append(place)
        done: list[Any] = [None] * len(requests)
        for key, places in groups.items():
            members = [requests[place] for place in places]
            for place, result in zip(places, self._group(key, members), strict=True):
                done[place] = result
        return done

    def _group(self, key: Hashable, members: list[Request]) -> Sequence[Done | BaseException]:
        if len(members) > 1 and key not in self._apart:
            try:
                return self._run(key, members)
            except Exception as error:
                # What Keras does with one of the numbers cannot be traced, or memory is short.
                self._apart[key] = one_line(str(error)) or type(error).__name__
        results: list[Done | BaseException] = []
        for member in members:
            try:
                results += self._run(key, [member], self._apart.get(key, ""))
            except Exception as error:
                results.append(error)
        return results

    def _run(self, key: Hashable, members: list[Request], apart: str = "") -> list[Done]:
        program = next((p for p in self._made[key] if p.serves(members)), None)
        if program is None:
            program = _Program(self._backend, members)
        done = program(members, self._arrays, apart)
        if program not in self._made[key]:
            self._made[key].append(program)
        return done


class _Program:
    """One compiled program, for groups of up to `size` members."""

    def __init__(self, backend: Backend, members: Sequence[Request]) -> None:
        first = members[0]
        self._size = len(members)
        self._differing = sorted(differing([m.likeness for m in members]))
        self._constants = self._same(first)
        self._train = _forms([m.train for m in members])
        validations = [m.validation for m in members if m.validation is not None]
        self._validation = _forms(validations) if validations else None
        self._call = backend.together(
            _KerasSteps(first, self._differing), self._train, self._validation
        )

    def serves(self, members: Sequence[Request]) -> bool:
        """Whether a group is to be carried out by it.

        A group that has lost up to half of its members goes on with it, so that not each one that
        leaves costs a compilation.
        """
        return (
            len(members) <= self._size <= 2 * len(members)
            and differing([m.likeness for m in members]) <= set(self._differing)
            and self._same(members[0]) == self._constants
            and self._train.covers(_forms([m.train for m in members]))
            and (
                self._validation is None
                or self._validation.covers(_forms([m.validation for m in members if m.validation]))
            )
        )

    def __call__(self, members: Sequence[Request], arrays: "_Arrays", apart: str) -> list[Done]:
        """What came of each member's epoch."""
        start = time.monotonic()
        filled = [*members, *[members[0]] * (self._size - len(members))]
        exact = np.array([[m.likeness.numbers[i] for i in self._differing] for m in filled])
        high = exact.astype("float32")
        numbers = np.stack([high, (exact - high).astype("float32")], -1)
        states, logs, validation_logs = self._call(
            tuple(m.state for m in filled),
            numbers,
            arrays.of([m.train for m in filled], self._train),
            arrays.of([m.validation for m in filled], self._validation)
            if self._validation
            else None,
        )
        seconds = (time.monotonic() - start) / len(members)
        return [
            Done(
                states[place],
                _of_one(logs, place),
                _of_one(validation_logs, place),
                seconds,
                apart,
            )
            for place in range(len(members))
        ]

    def _same(self, member: Request) -> list[float]:
        """The numbers that are the same in all members, which the program has as constants."""
        varying = set(self._differing)
        return [n for index, n in enumerate(member.likeness.numbers) if index not in varying]


def _of_one(logs: dict[str, Any], place: int) -> dict[str, Any]:
    """One member's metrics, of those of all; a number as Python has it."""
    found = {name: values[place] for name, values in logs.items()}
    return {n: float(value) if np.ndim(value) == 0 else value for n, value in found.items()}


def _forms(examples: Sequence[Examples]) -> Form:
    return Form(
        examples[0].batch,
        max(each.full for each in examples),
        tuple(sorted({each.rest for each in examples})),
        len({each.full for each in examples}) == 1,
    )


class _KerasSteps(Steps):
    """A model's own steps as functions of its state, with numbers that differ between models."""

    def __init__(self, request: Request, differing: Sequence[int]) -> None:
        self._model, self._likeness, self._differing = request.model, request.likeness, differing
        numbers = request.likeness.numbers
        self._tests = [(numbers[index] == 0, numbers[index] == 1) for index in differing]

    @contextmanager
    def _with(self, numbers: Any) -> Any:
        rows = zip(self._differing, self._tests, strict=True)
        values = {
            index: Number(numbers[row, 0], numbers[row, 1], *tests)
            for row, (index, tests) in enumerate(rows)
        }
        with self._likeness.with_numbers(values):
            yield

    def train(self, state: Any, numbers: Any, batch: Any) -> Any:
        with self._with(numbers):
            return self._model.train_step(state, batch)[1]

    def test(self, state: Any, numbers: Any, batch: Any) -> Any:
        weights, others, optimizer, metrics = state
        with self._with(numbers):
            _, found = self._model.test_step((weights, others, metrics), batch)
        return (found[0], found[1], optimizer, found[2])

    def reset(self, state: Any) -> Any:
        variables = self._model.metrics_variables
        with keras.StatelessScope(list(zip(variables, state[3], strict=True))) as scope:
            self._model.reset_metrics()
        found = [scope.get_current_value(variable) for variable in variables]
        kept = zip(found, state[3], strict=True)
        return (*state[:3], [old if new is None else new for new, old in kept])

    def scores(self, state: Any) -> dict[str, Any]:
        variables = self._model.metrics_variables
        with keras.StatelessScope(list(zip(variables, state[3], strict=True))):
            return flat(self._model.get_metrics_result())


def flat(logs: dict[str, Any]) -> dict[str, Any]:
    """Metrics with those of a metric that has several beside them, as Keras has them in logs."""
    found: dict[str, Any] = {}
    for name, value in logs.items():
        found |= flat(value) if isinstance(value, dict) else {name: value}
    return found


class _Arrays:
    """The examples of a group as its program takes them, each array held once."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._held: dict[Hashable, tuple[Any, Any]] = {}

    def of(self, examples: Sequence[Examples | None], form: Form) -> Given:
        """The examples of all members."""
        given = [each for each in examples if each is not None]
        columns = list(zip(*[each.parts for each in given], strict=True))
        shared = all(len({_identity(part) for part in column}) == 1 for column in columns)
        parts = tuple(self._placed(column[:1] if shared else column) for column in columns)
        longest = max(len(each.order) for each in given)
        # so long that the last batch of whoever has fewest is within it
        length = max(longest, form.batch * form.full) + max(form.rests)
        orders = np.zeros((len(given), length), "int32")
        for row, each in zip(orders, given, strict=True):
            row[: len(each.order)] = each.order
        full = np.array([each.full for each in given], "int32")
        rests = np.array([each.rest for each in given], "int32")
        return Given(parts, orders, full, rests, shared)

    def _placed(self, column: Sequence[Any]) -> Any:
        key = tuple(_identity(part) for part in column)
        if key not in self._held:
            longest = max(len(part) for part in column)
            whole = np.zeros((len(column), longest, *column[0].shape[1:]), fed_dtype(column[0]))
            for row, part in zip(whole, column, strict=True):
                row[: len(part)] = part
            while self._held and self._bytes() + whole.nbytes > HELD_BYTES:
                self._held.pop(next(iter(self._held)))
            # The arrays are kept too, so that no others come to lie where they are.
            self._held[key] = (list(column), self._backend.placed(whole))
        return self._held[key][1]

    def _bytes(self) -> int:
        return sum(placed.nbytes for _, placed in self._held.values())


def _identity(part: Any) -> Hashable:
    """Where an array lies: views of the same memory are the same array."""
    return (part.__array_interface__["data"][0], part.shape, part.strides, str(part.dtype))
