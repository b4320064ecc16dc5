"""What ends a trial badly, told apart: a configuration that cannot be trained, a program at fault, a wrong request."""

import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from pipeline.errors import RequestError, UserCodeError

OURS = str(Path(__file__).resolve().parents[1])

# By name: no backend is imported to recognise another's error.
OUT_OF_MEMORY = {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}


@dataclass(frozen=True)
class Failure:
    """Why a trial failed. `kind` decides whether the search goes on; `where` tells one fault from another."""

    kind: Literal["configuration", "program", "request"]
    reason: str
    traceback: str = ""
    where: str = ""


class Diverged(Exception):  # noqa: N818
    """The loss or the objective is NaN or infinite."""


def classify(error: BaseException) -> Failure:
    """Sort an exception that came out of `build`, `fit` or a training step."""
    text = user_traceback(error)
    name = type(error).__name__
    line = f"{name}: {' '.join(str(error).split())}"[:500]
    if isinstance(error, UserCodeError):
        return Failure("program", str(error), error.user_traceback or text, where=str(error))
    if isinstance(error, RequestError):
        return Failure("request", str(error), text)
    if isinstance(error, Diverged):
        return Failure("configuration", str(error))
    if name in OUT_OF_MEMORY or "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower():
        return Failure("configuration", f"out of memory: {line}", text)
    frames = traceback.extract_tb(_users_frames(error.__traceback__))
    where = f"{name} at " + (f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?")
    return Failure("program", line, text, where)


def user_traceback(error: BaseException) -> str:
    """The traceback from the first frame on that is not ours."""
    return "".join(traceback.format_exception(type(error), error, _users_frames(error.__traceback__)))


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    first = frames
    while first is not None:
        file = first.tb_frame.f_code.co_filename
        if not file.startswith((OURS, "<frozen importlib")):
            return first
        first = first.tb_next
    return frames
