"""Every error that Kerasweep raises on purpose.

    KerasweepError
    ├── RequestError            what was asked cannot be right; exit code 2
    │   ├── UserCodeError       a user's own module failed to load or to build, with its traceback
    │   ├── EstimatorError      an estimator was given what cannot be; a ValueError too
    │   ├── NodesError          nodes of a cluster are not as they must be, with a table
    │   └── SpaceError          a search space asks `hp` for what cannot be; always one of the three
    │       ├── SpaceValueError     a ValueError too
    │       ├── SpaceTypeError      a TypeError too
    │       └── SpaceRuntimeError   a RuntimeError too
    ├── LostError               Ray lost a process that the search needs; exit code 1
    ├── StorageError            the run's directory cannot be written to, tries were in vain; 1
    └── ProgramError            the same fault of user code in trial after trial; exit code 1
    Interrupted                 SIGINT or SIGTERM; exit code 130 or 143; no Exception, so that
                                nothing takes it for one

A configuration that cannot be trained is no error here: it is a recorded result
    (`worker/faults.py`).
"""

import difflib
import importlib
import os
import reprlib
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

LONGEST = 120  # characters that an error quotes of a value: what is longer was hardly meant
LISTED = 12  # names or values that an error lists one by one

# Files whose frames a traceback of user code leaves out.
OUR_CODE = f"{Path(__file__).resolve().parent}{os.sep}"
# What lies here where the package was installed; a traceback tells of it as of a user's code.
TOLD = (f"{OUR_CODE}datasets{os.sep}", f"{OUR_CODE}search_spaces{os.sep}")
IMPORTLIB = os.path.realpath(importlib.__file__)
FROZEN = "<frozen importlib"

# Folders of installed packages; the second is Debian's.
INSTALLED = {"site-packages", "dist-packages"}


def is_installed(file: str | Path) -> bool:
    """Whether a file is an installed package's, and so no code of the user's own."""
    return not INSTALLED.isdisjoint(Path(file).parts)


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


class EstimatorError(RequestError, ValueError):
    """An estimator's argument cannot be right: a ValueError too, as scikit-learn raises there."""


class NodesError(RequestError):
    """Nodes of a cluster are not as they must be.

    `rows` has of each fault the node, what is wrong, what to do.
    """

    rows: list[tuple[str, str, str]]

    def __init__(self, message: str, rows: list[tuple[str, str, str]]) -> None:
        super().__init__(message, rows)
        self.rows = rows

    def __str__(self) -> str:
        return "\n".join(
            [self.args[0], *(f"{node}: {fault}; {remedy}." for node, fault, remedy in self.rows)]
        )


class SpaceError(RequestError):
    """A search space asks `hp` for what cannot be.

    Each is also of the kind that KerasTuner raises there, and of no other: the `except` of a
    hypermodel written for KerasTuner catches the same.
    """


class SpaceValueError(SpaceError, ValueError):
    """A bound, a default or a parent that cannot be."""


class SpaceTypeError(SpaceError, TypeError):
    """Values of a type that no hyperparameter can have, or of several types."""


class SpaceRuntimeError(SpaceError, RuntimeError):
    """A hyperparameter that was not given, where new ones are not allowed."""


class LostError(KerasweepError):
    """Ray lost a process that the search needs, or could not start it."""


class StorageError(KerasweepError):
    """A full disk, or one that fails: what was recorded stands, and can be gone on with."""


class ProgramError(KerasweepError):
    """User code failed in the same way in several trials in a row."""

    user_traceback: str

    def __init__(self, message: str, user_traceback: str = "") -> None:
        super().__init__(message, user_traceback)
        _note(self, user_traceback)

    def __str__(self) -> str:
        return str(self.args[0])


def _note(error: Any, user_traceback: str) -> None:
    """Let an error carry a traceback of another process.

    Python shows a note below its own, where nobody catches it.
    """
    error.user_traceback = user_traceback
    if user_traceback:
        error.add_note(user_traceback.rstrip())


def user_traceback(error: BaseException) -> str:
    """The traceback without our frames, which lie before the user's and between.

    Our `fit` calls Keras's.
    """
    told = traceback.TracebackException.from_exception(error)
    _leave_out_ours(told)
    return "".join(told.format())


def users_frames(frames: traceback.StackSummary) -> traceback.StackSummary:
    """Frames without ours and the import system's; all of them, where no other is."""
    users = [
        frame
        for frame in frames
        # by its real path: this checkout may be reached through a link
        if (file := os.path.realpath(frame.filename)).startswith(TOLD)
        or not (file.startswith((OUR_CODE, IMPORTLIB)) or frame.filename.startswith(FROZEN))
    ]
    return traceback.StackSummary.from_list(users) if users else frames


def _leave_out_ours(told: traceback.TracebackException | None) -> None:
    if told is not None:
        told.stack = users_frames(told.stack)
        _leave_out_ours(told.__cause__)
        _leave_out_ours(told.__context__)


class Interrupted(BaseException):
    """The run was asked to stop by a signal."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"Stopped by signal {signal_number}.")
        self.exit_code = 128 + signal_number


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that is not known, with the nearest that is."""
    names = sorted(known)
    listed = ", ".join(names) or "none"
    return f"Unknown {kind} {quoted(name)}. Known: {listed}.{did_you_mean(name, names)}"


def all_unknown(kind: str, names: Sequence[str], known: Iterable[str]) -> str:
    """The same for one name or several."""
    if len(names) == 1:
        return unknown(kind, names[0], known)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = ", ".join(map(quoted, names[:LISTED]))
    return f"Unknown {kind}s {listed}{more}. Known: {', '.join(sorted(known))}."


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question to add to a line, if a known name is near."""
    near = difflib.get_close_matches(name, known, n=1) if len(name) <= LONGEST else []
    return f" Did you mean {near[0]!r}?" if near else ""


def quoted(value: Any) -> str:
    """A value as an error quotes it: on one line and of sensible length, whatever came."""
    text = _quotes.repr(value)
    return text if isinstance(value, str) else one_line(text)


def one_line(text: str, longest: int = 3 * LONGEST) -> str:
    """What another program says, or a person, as a part of an error.

    No control characters, cut in its middle.
    """
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest // 2]}...{line[-(longest // 2) :]}"


class _Quotes(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 2, LONGEST, 40, LONGEST

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write out more than 4300 digits."""
        return (
            super().repr_int(x, level)
            if x.bit_length() < 10_000
            else f"an integer of {x.bit_length()} bits"
        )


_quotes = _Quotes()
