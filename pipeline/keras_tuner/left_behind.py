"""What callbacks change of the script that made them: each trial changes a copy of its own.

A list that a callback appends to is one. It is found in the code; what calls hide is not found.
"""

import dis
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from pipeline.errors import is_installed

CONTAINERS = (list, dict, set, deque)
CHANGES = ("append", "appendleft", "extend", "insert", "add", "update", "setdefault")


def left_behind(callback: Any) -> dict[str, str]:
    """What the callback's own code changes outside of it: names, and what each is."""
    found = {}
    for function in _functions(callback):
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        outside = {True: {name: cell for name, cell in cells}, False: function.__globals__}
        for name, free, bound in _changed(function.__code__):
            value = outside[free].get(name)
            value = value.cell_contents if isinstance(value, types.CellType) else value
            if bound and name in outside[free]:
                found[name] = "a variable"
            elif isinstance(value, CONTAINERS):
                found[name] = f"a {type(value).__name__}"
    return found


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
    for at, step in enumerate(steps):
        if step.opname == "STORE_GLOBAL" or (
            step.opname == "STORE_DEREF" and step.argval in code.co_freevars
        ):
            yield step.argval, step.opname == "STORE_DEREF", True
        elif at and step.argval in CHANGES and step.opname in ("LOAD_METHOD", "LOAD_ATTR"):
            yield from _outside(code, steps[at - 1])
        elif step.opname == "STORE_SUBSCR":
            yield from _outside(code, _container(steps[:at]))
    for constant in code.co_consts:  # functions within it
        if isinstance(constant, types.CodeType):
            yield from _changed(constant)


def _container(before: list[dis.Instruction]) -> dis.Instruction | None:
    """The step that loads what a STORE_SUBSCR stores into: the last but for those of its key."""
    depth = 0
    while before and depth < 1:
        step = before.pop()
        depth += dis.stack_effect(step.opcode, step.arg)
    return before[-1] if before else None


def _outside(
    code: types.CodeType, step: dis.Instruction | None
) -> Iterator[tuple[str, bool, bool]]:
    if step is None:
        return
    free = step.opname == "LOAD_DEREF" and step.argval in code.co_freevars
    if step.opname == "LOAD_GLOBAL" or free:
        yield step.argval, free, False
