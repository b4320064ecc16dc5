"""What ends a trial badly, told apart.

A configuration that cannot be trained, a program at fault, a wrong request.
"""

import os
import re
import traceback
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import RequestError, UserCodeError, user_traceback, users_frames

NO_OBJECTIVE = "objective"  # where a request is at fault that a configuration may be at fault for
DEVICE_MEMORY = "device memory"  # where a configuration is at fault that more of a GPU may help

# By name: no backend is imported to recognise another's error.
OUT_OF_MEMORY = {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}
SAID = re.compile(r"RESOURCE_EXHAUSTED|out[ _]of[ _]memory", re.IGNORECASE)
# Of a GPU's libraries; elsewhere the last may be said of anything.
SAID_ON_A_GPU = re.compile(r"(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|failed to allocate", re.IGNORECASE)

# Characters of an error that are kept: its first, and its last, where TensorFlow says the cause
# after the places that it came through.
KEPT, FIRST = 500, 150


@dataclass(frozen=True)
class Failure:
    """Why a trial failed.

    `blames` decides whether the search goes on; `where` tells one fault from another.
    """

    blames: Literal["configuration", "program", "request"]
    reason: str
    traceback: str = ""
    where: str = ""


class Diverged(Exception):
    """The loss or the objective is NaN or infinite."""


class ObjectiveMissing(RequestError):
    """A trial reported no objective.

    Where others did, it is the configuration's fault and not the request's.
    """


def classify(error: BaseException) -> Failure:
    """Sort an exception that came out of `build`, `fit` or a training step."""
    text = user_traceback(error)
    name = type(error).__name__
    line = _shortened(f"{name}: {' '.join(str(error).split())}")
    if isinstance(error, UserCodeError):
        return Failure("program", str(error), error.user_traceback or text, where=str(error))
    if isinstance(error, RequestError):
        return Failure(
            "request",
            str(error),
            text,
            where=NO_OBJECTIVE if isinstance(error, ObjectiveMissing) else "",
        )
    if isinstance(error, Diverged):
        return Failure("configuration", str(error))
    names = {kind.__name__ for kind in type(error).__mro__}  # NumPy's own is a kind of MemoryError
    if "FailedTrialError" in names:  # KerasTuner's own, or ours of that name
        return Failure("configuration", line, text)
    if (
        names & OUT_OF_MEMORY
        or SAID.search(str(error))
        or (_has_gpu() and SAID_ON_A_GPU.search(str(error)))
    ):
        where = "" if "MemoryError" in names else DEVICE_MEMORY
        return Failure("configuration", f"out of memory: {line}", text, where)
    frames = users_frames(traceback.extract_tb(error.__traceback__))
    where = f"{name} at " + (f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?")
    return Failure("program", line, text, where)


def _shortened(line: str) -> str:
    return line if len(line) <= KEPT else f"{line[:FIRST]}…{line[FIRST + 1 - KEPT :]}"


def _has_gpu() -> bool:
    """Whether this process was given a GPU: Ray says which, `devices` that it has none."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "-1") not in ("", "-1")
