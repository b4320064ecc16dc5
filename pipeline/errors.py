"""Every error that Kerasweep raises on purpose.

    KerasweepError
    ├── RequestError        what was asked cannot be right; exit code 2
    │   ├── UserCodeError   a user's own module failed to load or to build; carries its traceback
    │   └── SpaceError      a search space asks `hp` for what cannot be; always one of the three below it
    │       ├── SpaceValueError     a ValueError too
    │       ├── SpaceTypeError      a TypeError too
    │       └── SpaceRuntimeError   a RuntimeError too
    └── ProgramError        the same fault of user code in trial after trial; exit code 1
    Interrupted             SIGINT or SIGTERM; exit code 130 or 143; no Exception, so that nobody takes it for one

A configuration that cannot be trained is no error here: it is a recorded result (`worker/faults.py`).
"""

import difflib
from collections.abc import Iterable
from typing import Any


class KerasweepError(Exception):
    """Root of the tree. `exit_code` is what the command line returns."""

    exit_code = 1


class RequestError(KerasweepError):
    """What must hold, what came, what is possible, in one line."""

    exit_code = 2


class UserCodeError(RequestError):
    """A user's module failed. `user_traceback` is theirs, without our frames."""

    user_traceback: str

    def __init__(self, message: str, user_traceback: str = "") -> None:
        super().__init__(message, user_traceback)
        _note(self, user_traceback)

    def __str__(self) -> str:
        return str(self.args[0])


class SpaceError(RequestError):
    """A search space asks `hp` for what cannot be.

    Each is also of the kind that KerasTuner raises there, and of no other: the `except` of a hypermodel written for
    KerasTuner catches the same.
    """


class SpaceValueError(SpaceError, ValueError):
    """A bound, a default or a parent that cannot be."""


class SpaceTypeError(SpaceError, TypeError):
    """Values of a type that no hyperparameter can have, or of several types."""


class SpaceRuntimeError(SpaceError, RuntimeError):
    """A hyperparameter that was not given, where new ones are not allowed."""


class ProgramError(KerasweepError):
    """User code failed in the same way in several trials in a row."""

    user_traceback: str

    def __init__(self, message: str, user_traceback: str = "") -> None:
        super().__init__(message, user_traceback)
        _note(self, user_traceback)

    def __str__(self) -> str:
        return str(self.args[0])


def _note(error: Any, user_traceback: str) -> None:
    """Let an error carry a traceback of another process: Python shows a note below its own, where nobody catches it."""
    error.user_traceback = user_traceback
    if user_traceback:
        error.add_note(user_traceback.rstrip())


class Interrupted(BaseException):
    """The run was asked to stop by a signal."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"Stopped by signal {signal_number}.")
        self.exit_code = 128 + signal_number


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that is not known, with the nearest that is."""
    names = sorted(known)
    line = f"Unknown {kind} {name!r}. Known: {', '.join(names)}."
    near = difflib.get_close_matches(name, names, n=1)
    return f"{line} Did you mean {near[0]!r}?" if near else line
