"""A process that several trials share, each in a seat: the actor, and what they have in common."""

import os
from dataclasses import dataclass, field
from typing import Any

import ray

from pipeline.worker.spaces.turns import Turns


class Together:
    """Carries out what the trials of a process ask for: of each several requests."""

    _programs: Any = None

    def __call__(self, asked: list[list[Any]]) -> list[list[Any]]:
        """What came of the requests of each trial."""
        if self._programs is None:
            from pipeline.worker.fused.programs import Programs  # Keras is there by now

            self._programs = Programs()
        done = iter(self._programs.carry_out([request for each in asked for request in each]))
        return [[next(done) for _ in each] for each in asked]


@dataclass
class Process:
    """What the trials of one process have in common.

    `fresh_bytes` is what it held before its first trial, 0 before that is known; `space` the search
    space, once it is loaded.
    """

    turns: Turns = field(default_factory=Turns)
    space: Any = None
    fresh_bytes: int = 0


class Host:
    """The actor: each method is told the seat first, and those of one seat are called in order.

    Args:
        gpus: what the process sees of them, as CUDA names them; "" where trials take none.
        seats: how many there are.
    """

    def __init__(self, gpus: str, seats: int) -> None:
        if gpus:  # Ray, which counts the seats' parts, leaves it all of them (2.60)
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus
        self._process = Process(Turns(Together(), seats=seats))
        self._trials: dict[int, Any] = {}
        self._ends = False

    def begin(self, seat: int, trainable: Any, kwargs: dict[str, Any]) -> None:
        """Give a seat what Tune would start as an actor, with these arguments."""
        trial = trainable(**kwargs)
        trial.live_in(self._process)
        self._trials[seat] = trial

    def call(self, seat: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method of what is in a seat."""
        return getattr(self._trials[seat], method)(*args, **kwargs)

    def leave(self, seat: int, last: bool) -> None:
        """End what is in a seat; `last` says that no seat is taken after this."""
        self._ends = self._ends or last
        trial = self._trials.pop(seat, None)
        if trial is not None:
            trial.stop()

    def end(self, seat: int) -> None:
        """End the process, if all have left it and nobody comes."""
        if self._ends and not self._trials:
            ray.actor.exit_actor()
