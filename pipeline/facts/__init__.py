"""Facts of a trial that only its worker can measure; each is a column of `trials.csv`.

A fact is a file in this folder, and the file is its registration: its name is the column's, the
first line of its docstring is what the reference page says, and its `measure(model)` is called with
the trial's Keras model once an epoch is reported. What `measure` returns (a number, a text, a
boolean, or None where there is nothing to say) passes into the trial's record as it is.
"""

import importlib
import math
from pathlib import Path
from typing import Any

from pipeline.errors import quoted
from pipeline.names import first_line
from pipeline.space.kind import plain

Value = int | float | str | bool | None


def described() -> dict[str, str]:
    """Every fact by its name, in that order, with what it says; nothing is imported."""
    return {file.stem: first_line(file) for file in _files()}


def measured(model: Any) -> dict[str, Value]:
    """Measure every fact of a Keras model; a number that is not finite becomes None.

    Raises:
        TypeError: a fact is no plain value; the message names it.
    """
    return {file.stem: _measured(file.stem, model) for file in _files()}


def _files() -> list[Path]:
    return sorted(file for file in Path(__path__[0]).glob("*.py") if file.stem[0] != "_")


def _measured(name: str, model: Any) -> Value:
    value = plain(importlib.import_module(f"{__name__}.{name}").measure(model))
    if not isinstance(value, Value):
        raise TypeError(
            f"The fact {name!r} must be a number, a text, a boolean or None; got {quoted(value)}."
        )
    return None if isinstance(value, float) and not math.isfinite(value) else value
