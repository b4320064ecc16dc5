"""Several of Tune's trials in one process, each in a seat that Tune takes for a worker.

Tune starts an actor for each trial (Ray 2.60). `SeatClass` stands in place of its class, and `Seat`
in place of an actor's handle: it passes each call on to the host, the actor that holds the seats.

Tune reserves the resources of each seat, which are its part of what a process takes. The host
itself takes none, and is on the node and sees the GPU where its seats' resources are: a node's
hosts so use no more than Ray counts, once their seats are taken.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.actor import ActorClass, ActorHandle
from ray.exceptions import RayError
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

_DEAD = 4  # ray.core.generated.gcs_pb2.ActorTableData.DEAD, which takes the driver long to import


@dataclass(frozen=True)
class Seating:
    """How the trials of a search share processes.

    Attributes:
        host: the class of what holds the seats of a process: `begin`, `call`, `leave`, `end`. It is
            told the GPUs that the process is to see, as CUDA names them, "" for none; and how many
            seats it has.
        seats: how many there are in a process.
        resources: what Ray counts for one of them.
    """

    host: type
    seats: int
    resources: dict[str, float]


class SeatedClasses:
    """Tune's cache of classes, for trials that share processes.

    Args:
        tunes: Tune's own.
        seating: how they share them.
    """

    def __init__(self, tunes: Any, seating: Seating) -> None:
        self._tunes, self._seating = tunes, seating
        self._made: dict[Any, SeatClass] = {}

    def get(self, trainable: Any) -> "SeatClass":
        """What Tune is to start for a trial."""
        if trainable not in self._made:
            self._made[trainable] = SeatClass(self._tunes.get(trainable), trainable, self._seating)
        return self._made[trainable]


class SeatClass(ActorClass):  # type: ignore[type-arg]
    """Stands in place of the class of Tune's workers.

    A trial that takes other resources than a seat has a process of its own.

    Args:
        worker: Tune's class, of a process of its own.
        trainable: what it is made of.
        seating: how trials share processes.
    """

    def __init__(self, worker: Any, trainable: Any, seating: Seating) -> None:
        self._worker, self._seating = worker, seating
        self._trainable = ray.put(trainable)
        options: dict[str, Any] = {
            "num_cpus": 0,
            "runtime_env": worker._default_options.get("runtime_env"),  # as each worker has
            "concurrency_groups": {_group(seat): 1 for seat in range(seating.seats)},
        }
        self._host: Any = ray.remote(**options)(seating.host)
        self._hosts: list[_Host] = []

    def options(self, **options: Any) -> Any:
        """What Tune calls `remote` of, to start a worker with these resources."""
        asked = {"CPU": options.get("num_cpus"), "GPU": options.get("num_gpus")}
        if {name: amount for name, amount in asked.items() if amount} != self._seating.resources:
            return self._worker.options(**options)
        return _Started(self, options["scheduling_strategy"].placement_group)

    def take(self, reserved: Any, kwargs: dict[str, Any]) -> "Seat":
        """A trial's seat where resources are reserved: in the fullest host there, or in a new one.

        Args:
            reserved: a placement group of Ray's, of a seat.
            kwargs: what the trial is made of.
        """
        node = ray.util.placement_group_table(reserved)["bundles_to_node_id"][0]
        place = node, _gpus_of(reserved, self._seating.resources.get("GPU", 0))
        self._hosts = [host for host in self._hosts if not host.is_closed()]
        here = [host for host in self._hosts if host.place == place and host.free()]
        host = min(here, key=lambda host: len(host.free()), default=None)
        if host is None:
            on_node = NodeAffinitySchedulingStrategy(node, soft=False)
            actor = self._host.options(scheduling_strategy=on_node).remote(
                place[1], self._seating.seats
            )
            host = _Host(actor, place, self._seating.seats)
            self._hosts.append(host)
        return Seat(host, self._trainable, kwargs)


@dataclass(frozen=True)
class _Started:
    """What Tune starts a worker by, once its resources are reserved."""

    seats: SeatClass
    reserved: Any

    def remote(self, **kwargs: Any) -> "Seat":
        return self.seats.take(self.reserved, kwargs)


class _Host:
    """The driver's side of a process with seats."""

    def __init__(self, actor: Any, place: tuple[str, str], seats: int) -> None:
        self.actor, self.place = actor, place  # the node and its GPUs
        # seat -> the answer that tells that it was left; None before that is asked
        self._taken: dict[int, Any] = {}
        self._seats = seats
        self._closed = False

    def close(self) -> None:
        """Give no more of its seats away."""
        self._closed = True

    def is_closed(self) -> bool:
        """Whether none of its seats is given away: it ends, or its process is lost."""
        return self._closed or self.actor._get_local_state() == _DEAD

    def free(self) -> list[int]:
        """The seats that nobody has."""
        leaving = [answer for answer in self._taken.values() if answer is not None]
        left = set(ray.wait(leaving, num_returns=len(leaving), timeout=0)[0]) if leaving else set()
        self._taken = {seat: answer for seat, answer in self._taken.items() if answer not in left}
        return [seat for seat in range(self._seats) if seat not in self._taken]

    def take(self) -> int:
        """Take the first free seat."""
        seat = self.free()[0]
        self._taken[seat] = None
        return seat

    def ask(self, seat: int, method: str, *args: Any) -> Any:
        """Call a method of the host; what is asked of one seat is done in that order."""
        return (
            getattr(self.actor, method).options(concurrency_group=_group(seat)).remote(seat, *args)
        )

    def leave(self, seat: int) -> Any:
        """Have a seat's trial end; the host ends with the last."""
        if all(answer is not None for other, answer in self._taken.items() if other != seat):
            self.close()
        self._taken[seat] = left = self.ask(seat, "leave", self._closed)
        self.ask(seat, "end")
        return left


class Seat(ActorHandle):  # type: ignore[type-arg]
    """Stands in place of the handle of a worker of Tune's.

    `ray.kill` ends the host with all of its seats: a trial that does not let go cannot be ended
    alone.

    Args:
        host: holds the seat.
        trainable: the reference of what Tune would start as an actor.
        kwargs: its arguments.
    """

    def __init__(self, host: _Host, trainable: Any, kwargs: dict[str, Any]) -> None:
        self._ray_actor_id = host.actor._ray_actor_id
        self._ray_weak_ref = True  # the host's own handle keeps it
        self._host, self._left = host, False
        self._seat = host.take()
        self._begun = host.ask(self._seat, "begin", trainable, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "__ray_ready__":
            return _Method(lambda *args, **kwargs: self._begun)
        if name == "stop":
            return _Method(lambda *args, **kwargs: self.leave())
        if name.startswith("_"):
            raise AttributeError(name)
        return _Method(
            lambda *args, **kwargs: self._host.ask(self._seat, "call", name, args, kwargs)
        )

    def leave(self) -> Any:
        """End the trial and give up the seat."""
        self._left = True
        return self._host.leave(self._seat)

    def close_host(self) -> None:
        """Have its process take no other trial than those that it has."""
        self._host.close()

    def is_host_closed(self) -> bool:
        """Whether its process takes no other trial."""
        return self._host.is_closed()

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"Seat({self._seat} of {self._ray_actor_id.hex()})"

    def __del__(self) -> None:
        """Give up the seat, as an actor ends that nobody has a handle of."""
        if not self.__dict__.get("_left", True) and ray.is_initialized():
            self.leave()


@dataclass(frozen=True)
class _Method:
    """A method of an actor, as Tune calls it."""

    remote: Callable[..., Any]


def process_id(worker: Any) -> Any:
    """What is the same for workers of one process."""
    return getattr(worker, "_actor_id", worker)


def end_process(worker: Any) -> None:
    """End a worker's process, and with it all that it holds."""
    if isinstance(worker, Seat):
        worker.close_host()
    ray.kill(worker)


def let_go(worker: Any) -> None:
    """Have a worker's process take no other trial."""
    if isinstance(worker, Seat):
        worker.close_host()


def takes_others(worker: Any) -> bool:
    """Whether a worker's process may take another trial."""
    return not (isinstance(worker, Seat) and worker.is_host_closed())


def _gpus_of(reserved: Any, amount: float) -> str:
    """The GPUs that a placement group holds a part of; "" for none.

    Ray tells them to what runs there alone. A node that is lost meanwhile tells nothing: what
    starts there fails.
    """
    if not amount:
        return ""
    there = PlacementGroupSchedulingStrategy(reserved, placement_group_bundle_index=0)
    # As it leaves the GPU alone, its process may be used again: `max_calls`.
    ask = ray.remote(num_cpus=0, num_gpus=amount, max_calls=0, scheduling_strategy=there)(
        lambda: ",".join(map(str, ray.get_gpu_ids()))
    )
    with suppress(RayError):
        return str(ray.get(ask.remote()))
    return ""


def _group(seat: int) -> str:
    """Ray's name for the thread that does what is asked of a seat."""
    return f"seat-{seat}"
