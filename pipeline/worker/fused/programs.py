"""Carries out epochs of trainings whose models are alike, each group by one program."""

import re
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pipeline.errors import one_line
from pipeline.worker.backends.backend import Backend
from pipeline.worker.backends.known import current
from pipeline.worker.backends.together.held import Held
from pipeline.worker.backends.together.members import Member, Pattern
from pipeline.worker.backends.together.number import Number
from pipeline.worker.fused.company import Done, Request
from pipeline.worker.fused.likeness import differing

# Programs that are kept: each holds a model, and what was compiled of it.
MOST_PROGRAMS = 8


class Programs:
    """Carries out requests, and keeps what was compiled for them.

    Args:
        backend: Keras's, unless another is given.
    """

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or current()
        # of each group, the one that was used last at the end
        self._made: list[tuple[Hashable, _Program]] = []
        self._joined: set[int] = set()  # groups that have had several members, by hash
        self._apart: dict[int, str] = {}  # groups that have no program, and why
        self._held = Held()

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
        named = hash(key)
        if len(members) > 1 and named not in self._apart:
            self._joined.add(named)
            try:
                return self._run(key, members)
            except Exception as error:
                # What Keras does with one of the numbers cannot be traced, or memory is short.
                self._apart[named] = _reason(error)
        why = self._apart.get(named, "" if named in self._joined else NO_OTHER)
        results: list[Done | BaseException] = []
        for member in members:
            try:
                results += self._run(key, [member], why)
            except Exception as error:
                results.append(error)
        return results

    def _run(
        self, key: Hashable, members: list[Request], apart: str = ""
    ) -> list[Done | BaseException]:
        program = next((p for k, p in self._made if k == key and p.serves(members)), None)
        if program is None:
            program = _Program(self._backend, members, self._held)
        done = program(members, apart)
        others = [(k, p) for k, p in self._made if p is not program]
        self._made = [*others, (key, program)][-MOST_PROGRAMS:]
        return done


NO_OTHER = "no other that trains beside it is like it"


def _reason(error: Exception) -> str:
    """Why there is no program, in a line; Keras colours what it says, and says much."""
    said = one_line(re.sub(r"\x1b\[[0-9;]*m", "", str(error)))
    return f"{type(error).__name__}: {said}"[:200]


class _Program:
    """A backend's program, and the numbers that stand in it as inputs."""

    def __init__(self, backend: Backend, members: Sequence[Request], held: Held) -> None:
        first = next((m for m in members if m.is_as_it_was()), members[0])
        self._differing = sorted(differing([m.likeness for m in members]))
        self._constants = self._same(first)
        self._carry_out = backend.together(
            Pattern(first.model, partial(self._with, first)),
            list(map(self._member, members)),
            held,
        )

    def serves(self, members: Sequence[Request]) -> bool:
        """Whether a group is to be carried out by it."""
        return (
            differing([m.likeness for m in members]) <= set(self._differing)
            and self._same(members[0]) == self._constants
            and self._carry_out.serves(list(map(self._member, members)))
        )

    def __call__(self, members: Sequence[Request], apart: str) -> list[Done | BaseException]:
        """What came of each member's epoch."""
        start = time.monotonic()
        found = self._carry_out(list(map(self._member, members)))
        seconds = (time.monotonic() - start) / len(members)
        return [
            each if isinstance(each, Exception) else Done(each, seconds, apart) for each in found
        ]

    def _member(self, request: Request) -> Member:
        numbers = request.likeness.in_two_parts[self._differing]
        return Member(request.state, numbers, request.train, request.validation)

    def _same(self, member: Request) -> list[float]:
        """The numbers that are the same in all members, which the program has as constants."""
        varying = set(self._differing)
        return [n for index, n in enumerate(member.likeness.numbers) if index not in varying]

    @contextmanager
    def _with(self, first: Request, numbers: Any, kind: type[Number]) -> Iterator[None]:
        """Have inputs of the program in the place of the numbers that differ."""
        own = first.likeness.numbers
        # The others are as they were when the training began, as in Keras's own traces.
        values: dict[int, Any] = dict(enumerate(own))
        values |= {
            index: kind(numbers[row, 0], numbers[row, 1], own[index] == 0, own[index] == 1)
            for row, index in enumerate(self._differing)
        }
        with first.likeness.with_numbers(values):
            yield
