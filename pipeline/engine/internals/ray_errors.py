"""Ray's errors in our words: one map, from each of Ray's classes to what it says of a process."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ray import exceptions as rays
from ray.exceptions import RayActorError, RayError, RayTaskError

from pipeline.errors import LostError, one_line

_LOST = "Ray lost {process}"
_NODE = "Ray lost the node of {process}"
_MEMORY = "Ray ended {process}, as its node was out of memory"
_DISK = "Ray had no room on the disk for {process}"
_DATA = "Ray lost data of {process}"
_PLACE = "Ray found no place for {process}"
_START = "Ray could not prepare {process}"
_TIME = "Ray had no answer in time from {process}"
_ACCESS = "The cluster did not let in {process}"
_RAY = "Ray failed under {process}"

WORDS: dict[type[RayError], str] = {
    RayError: _RAY,
    # What a task raised is handed on as it was: `ours`.
    RayTaskError: _RAY,
    rays.UserCodeException: _RAY,
    rays.CrossLanguageError: _RAY,
    rays.UnserializableException: _RAY,
    # The process.
    RayActorError: _LOST,
    rays.ActorDiedError: _LOST,
    rays.ActorUnavailableError: _LOST,
    rays.ActorHandleNotFoundError: _LOST,
    rays.AsyncioActorExit: _LOST,
    rays.TaskCancelledError: _LOST,
    rays.WorkerCrashedError: _LOST,
    rays.LocalRayletDiedError: _NODE,
    rays.NodeDiedError: _NODE,
    rays.OutOfMemoryError: _MEMORY,
    rays.OutOfDiskError: _DISK,
    rays.ObjectStoreFullError: _DISK,
    # What it was given, or gave.
    rays.ObjectLostError: _DATA,
    rays.ObjectFetchTimedOutError: _DATA,
    rays.ObjectFreedError: _DATA,
    rays.ObjectReconstructionFailedError: _DATA,
    rays.ObjectRefStreamEndOfStreamError: _DATA,
    rays.OwnerDiedError: _DATA,
    rays.PlasmaObjectNotAvailable: _DATA,
    rays.ReferenceCountingAssertionError: _DATA,
    rays.StreamingGeneratorReplayInconsistentError: _DATA,
    rays.OufOfBandObjectRefSerializationException: _DATA,
    # Its start.
    rays.ActorPlacementGroupRemoved: _PLACE,
    rays.ActorUnschedulableError: _PLACE,
    rays.TaskPlacementGroupRemoved: _PLACE,
    rays.TaskUnschedulableError: _PLACE,
    rays.ActorAlreadyExistsError: _START,
    rays.PendingCallsLimitExceeded: _START,
    rays.RuntimeEnvSetupError: _START,
    # The cluster.
    rays.AuthenticationError: _ACCESS,
    rays.GetTimeoutError: _TIME,
    rays.RpcError: _RAY,
    rays.RaySystemError: _RAY,
    rays.RayChannelError: _RAY,
    rays.RayChannelTimeoutError: _TIME,
    rays.RayCgraphCapacityExceeded: _RAY,
    rays.RayDirectTransportError: _RAY,
}

# What Ray raises where a cluster is not to be joined.
NOT_JOINED = (ConnectionError, RuntimeError, ValueError, RayError)

# In Ray's words (2.60).
NODE_DIED = "its node has died"
RAY_ENDED_IT = re.compile(r"Memory on the node .*? was ([\d.]+ ?GB) used / ([\d.]+ ?GB) limit")


@contextmanager
def ours(process: str) -> Iterator[None]:
    """Raise what a task raised as it was, and in our words where Ray lost it.

    Args:
        process: what runs the task, in words.

    Raises:
        LostError: in one line, what Ray says.
    """
    try:
        yield
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        raise LostError(f"{in_words(error, process)}: {one_line(str(error))}") from error


def in_words(error: RayError, process: str) -> str:
    """What became of a process, as Ray's class of an error says."""
    return next(WORDS[kind] for kind in type(error).__mro__ if kind in WORDS).format(
        process=process
    )


def last_line(error: BaseException) -> str:
    """The last line of what Ray says, where it says what happened."""
    return one_line((str(error).strip().splitlines() or [""])[-1])


def is_lost_worker(error: BaseException) -> bool:
    """Whether an actor's process was lost, and not an error raised there."""
    return isinstance(error, RayActorError)


def is_lost_node(error: BaseException) -> bool:
    """Whether a worker was lost with its node, and without notice."""
    return NODE_DIED in str(error) and not getattr(error, "preempted", False)


def reason_of(error: BaseException) -> str:
    """Why a worker was lost, as far as is known, in one line."""
    text = " ".join(str(error).split())
    if ended := RAY_ENDED_IT.search(text):
        return f"out of memory: with {ended[1]} of {ended[2]} in use Ray ended the worker"
    if NODE_DIED in text:
        return "its node was lost"
    return f"worker lost: {last_line(error) or 'its worker died'}"[:300]
