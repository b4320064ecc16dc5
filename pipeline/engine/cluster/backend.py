"""Which of Keras's backends a search computes with, and why, where that was left to us."""

import ast
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline import names
from pipeline.engine.cluster.seats import trains_together
from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.names import Source
from pipeline.worker.backends.known import DEFAULT, KNOWN

VARIABLE = "KERAS_BACKEND"
# It has a program for several models; for what only the default has, it is not taken.
TOGETHER = next(backend for backend in KNOWN if backend.trains_several)


@contextmanager
def backend_of(experiment: Experiment, preparing: Callable[[str], None]) -> Iterator[Experiment]:
    """Have the processes that are started within compute with the backend that is asked for.

    Args:
        experiment: what is asked for.
        preparing: is told which was taken and why, where it is "auto".

    Yields:
        The experiment with the backend that was taken.

    Raises:
        RequestError: there is none of that name, or it is not installed; or Ray was there before,
            with another.
    """
    asked = experiment.backend
    if asked is None:
        yield experiment
        return
    if asked == "auto":
        asked, why = _chosen(experiment)
        preparing(f"backend {asked}: {why}")
    _check(asked)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = asked
    try:
        yield experiment.changed(backend=asked)
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _check(asked: str) -> None:
    known = [backend.name for backend in KNOWN]
    if asked not in known:
        raise RequestError(f"backend must be auto, {', '.join(known)}; got {asked!r}.")
    if find_spec(asked) is None:
        raise RequestError(
            f"backend must be installed; {asked} is not: pip install 'kerasweep[{asked}]'."
        )
    ray = sys.modules.get("ray")
    here = os.environ.get(VARIABLE, DEFAULT)
    if asked != here and ray is not None and ray.is_initialized():
        raise RequestError(
            f"backend must be that of the Ray which this process has started before, {here}; it is "
            f"{asked}. End that by ray.shutdown(), or set {VARIABLE}={asked} before it starts."
        )


def _chosen(experiment: Experiment) -> tuple[str, str]:
    here = os.environ.get(VARIABLE, DEFAULT)
    if find_spec(TOGETHER.name) is None:
        return here, f"{TOGETHER.title} is not installed"
    space = names.resolve("search space", experiment.search_space)
    used = _of_default(space) or _of_default(experiment.resolved_dataset())
    if used:
        return here, used
    if not trains_together(experiment):
        return here, "no two of its trainings would be carried out together"
    return TOGETHER.name, "it carries out trainings of small models together"


def _of_default(part: Any) -> str:
    """What of a search space or a dataset needs the default backend; "" where nothing is seen."""
    if isinstance(part, Source):
        file = Path(part.file)
        found = next((f for f in _with_neighbours(file) if _imports_default(f)), None)
        return f"{found.name} imports {DEFAULT}" if found else ""
    module = sys.modules.get(getattr(part, "__module__", None) or type(part).__module__)
    held = vars(module).values() if module else ()
    uses = any(str(getattr(value, "__name__", "")).partition(".")[0] == DEFAULT for value in held)
    return f"{getattr(module, '__name__', '')} imports {DEFAULT}" if uses else ""


def _with_neighbours(file: Path) -> Iterator[Path]:
    """A file, and those beside it that it imports."""
    waiting, met = [file], set()
    while waiting:
        one = waiting.pop()
        if one in met or not one.exists():
            continue
        met.add(one)
        yield one
        waiting += [file.parent / f"{name}.py" for name in _imported(one)]


def _imports_default(file: Path) -> bool:
    return DEFAULT in _imported(file)


def _imported(file: Path) -> set[str]:
    """The first part of the name of each module that a file imports."""
    try:
        tree = ast.parse(file.read_bytes())
    # said where it is loaded; the last two: nested too deep
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0], *(alias.name for alias in node.names)}
    return found
