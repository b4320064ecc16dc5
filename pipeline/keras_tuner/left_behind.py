"""What callbacks change of the script that made them: each trial changes a copy of its own.

A list that a callback appends to is one. It is found in the code; what calls hide is not found.
"""

import dis
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.errors import is_installed

CONTAINERS = (list, dict, set, deque, np.ndarray)
NAMES: dict[type, str] = {np.ndarray: "an array"}
STORES = {"STORE_SUBSCR": 1, "DELETE_SUBSCR": 1, "STORE_SLICE": 2}  # and how many keys each takes
CHANGES = ("append", "appendleft", "extend", "insert", "add", "update", "setdefault")


def left_behind(callback: Any) -> dict[str, str]:
    """What the callback's own code changes outside of it: names, and what each is."""
    found = {}
    for function in _functions(callback):
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        outside = {True: {name: _held(cell) for name, cell in cells}, False: function.__globals__}
        for name, free, bound in _changed(function.__code__):
            value = outside[free].get(name)
            if bound and name in outside[free]:
                found[name] = "a variable"
            elif isinstance(value, CONTAINERS):
                found[name] = NAMES.get(type(value), f"a {type(value).__name__}")
    return found


def _held(cell: types.CellType) -> Any:
    """What a variable of a function around holds; None where it holds nothing yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _functions(callback: Any) -> Iterator[types.FunctionType]:
    """Its methods, but for those of installed packages, and the functions that it was given."""
    methods = [
        value
        for kind in type(callback).__mro__
        for value in vars(kind).values()
        if kind is not object
    ]
    for thing in (*methods, *vars(callback).values()):
        function = getattr(thing, "__func__", thing)
        own = isinstance(function, types.FunctionType)
        if own and not is_installed(function.__code__.co_filename):
            yield function


def _changed(code: types.CodeType) -> Iterator[tuple[str, bool, bool]]:
    """Names from outside that the code changes.

    Each with whether it is of a function around it, not of the module; and whether it is bound
    anew.
    """
    steps = list(dis.get_instructions(code))
    also: dict[str, dis.Instruction] = {}  # names of its own for what is outside
    for at, step in enumerate(steps):
        root = None
        if step.opname == "STORE_GLOBAL" or (
            step.opname == "STORE_DEREF" and step.argval in code.co_freevars
        ):
            yield step.argval, step.opname == "STORE_DEREF", True
        elif step.opname == "STORE_FAST" and _is_outside(code, steps[at - 1]):
            also[step.argval] = steps[at - 1]
        elif step.argval in CHANGES and step.opname in ("LOAD_METHOD", "LOAD_ATTR"):
            root = _root(steps[:at])
        elif step.opname in STORES:
            root = _container(steps[:at], STORES[step.opname])
        if root is not None and root.opname.startswith("LOAD_FAST"):
            root = also.get(root.argval)
        if root is not None and _is_outside(code, root):
            yield root.argval, root.opname == "LOAD_DEREF", False
    for constant in code.co_consts:  # functions within it
        if isinstance(constant, types.CodeType):
            yield from _changed(constant)


def _is_outside(code: types.CodeType, step: dis.Instruction) -> bool:
    free = step.opname == "LOAD_DEREF" and step.argval in code.co_freevars
    return step.opname == "LOAD_GLOBAL" or free


def _root(before: list[dis.Instruction]) -> dis.Instruction | None:
    """The step that an expression begins with, taken off with all of it: of `a["x"].b`, `a`."""
    depth, step = 0, None
    while before and depth < 1:
        step = before.pop()
        depth += dis.stack_effect(step.opcode, step.arg)
    return step


def _container(before: list[dis.Instruction], keys: int) -> dis.Instruction | None:
    """The step that loads what is stored into, by so many keys."""
    if before and before[-1].opname == "SWAP":  # `a[key] += value` copies both first
        copies = [at for at, step in enumerate(before) if step.opname == "COPY"]
        before = before[: copies[-keys - 1]] if len(copies) > keys else before
    for _ in range(keys):
        _root(before)
    return _root(before)
