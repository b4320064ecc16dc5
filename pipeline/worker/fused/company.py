"""What trainings that go on together wait for.

Each training has a loop over its epochs of its own, with its own callbacks. Where it comes to an
epoch it pauses with a `Request`. Requests of models that are alike are carried out as one program.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.worker.backends.together.members import Epoch, Examples
from pipeline.worker.fused.coroutine import Coroutine
from pipeline.worker.fused.likeness import Likeness, NotAlike
from pipeline.worker.fused.reading import likeness


@dataclass(frozen=True)
class Request:
    """An epoch of a training: its steps, and its validation where there is one.

    `state` and the examples are as a `Member` has them. `draws` says whether code of the user's
    runs between two requests, which may draw random numbers.
    """

    model: Any
    likeness: Likeness
    state: Any
    train: Examples
    validation: Examples | None
    draws: bool

    def is_as_it_was(self) -> bool:
        """Whether the model still is what it was when the training began."""
        try:
            now = likeness(self.model)
        except NotAlike:
            return False
        return (now.key, now.numbers) == (self.likeness.key, self.likeness.numbers)

    @property
    def group(self) -> Hashable:
        """The same for requests that one program may carry out."""
        validation = self.validation.shape if self.validation else None
        trained = tuple(len(each) for each in self.state)  # a callback may have frozen a layer
        return (self.likeness.key, trained, self.train.shape, validation)


@dataclass(frozen=True)
class Done:
    """What came of an epoch, and what is known of it beside.

    `seconds` is the training's part of the time that its program took; `apart` says why it had none
    with others, where there were others.
    """

    epoch: Epoch
    seconds: float
    apart: str = ""


class Company(Protocol):
    """Others that a training may be carried out together with, as the training sees it."""

    def carry_out(self, request: Request) -> Done:
        """Wait for the others, and have the epoch carried out together."""


class Carrier(Protocol):
    """What carries requests out: `Programs`, or what hands them on to others'."""

    def carry_out(self, requests: list[Request]) -> list[Done | BaseException]:
        """What came of each request, or what is to be raised where it waits."""


def to_next_pause(trainings: Iterable[Coroutine], carrier: Carrier) -> dict[Coroutine, Any]:
    """Let trainings run until each pauses with something else than a request, or ends.

    Returns:
        What each paused with; None where it ended.
    """
    asked = {training: training.advance() for training in trainings}
    while waiting := {t: r for t, r in asked.items() if isinstance(r, Request)}:
        for training, done in zip(waiting, carrier.carry_out(list(waiting.values())), strict=True):
            asked[training] = training.advance(done)
    return asked


@dataclass(frozen=True)
class OfOne:
    """The company of a training that hands its requests to a carrier by itself."""

    carrier: Carrier

    def carry_out(self, request: Request) -> Done:
        """Of `Company`."""
        done = self.carrier.carry_out([request])[0]
        if isinstance(done, BaseException):
            raise done
        return done
