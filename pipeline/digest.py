"""What tells one thing that a user gave from another.

A checksum that is the same in another process.

So nothing goes into it that holds an address, a counter or a time: code goes in by its source,
arrays by their bytes, objects by their classes and attributes. Of a library's code the name counts
alone, so that an update of the library is no other search.
"""

import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.files.data_file import is_data_file
from pipeline.data.fit_data import FitData
from pipeline.data.given import Arrays
from pipeline.errors import is_installed

PLAIN_TYPES = (type(None), bool, int, float, complex, str, bytes, type(...))
# Of a callback: where something is written changes nothing in a search, and often holds the time.
PLACES = {
    "log_dir",
    "filepath",
    "filename",
    "backup_dir",
    "_log_write_dir",
    "_train_dir",
    "_val_dir",
    "_current_epoch_path",
}
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}", re.IGNORECASE)
LIBRARIES = {"pipeline", *sys.stdlib_module_names}  # beside what is installed


def sha256(*things: Any) -> str:
    """Checksum of whatever a user may give: code, arrays, objects, and nests of them."""
    return _digest(things, (), {}).hex()


def fingerprint(thing: Any) -> dict[str, Any]:
    """Qualified name and SHA-256 of a dataset or a search space.

    Of its arrays, or of its source and its settings.
    """
    if isinstance(thing, FitData):
        return {
            "object": thing.name,
            "sha256": sha256(thing.train, thing.val),
            "inputs": thing.inputs(),
        }
    if isinstance(thing, Arrays):
        return {"object": label(thing), "sha256": sha256(thing.pairs)}
    if isinstance(thing, Dataset):
        digest = hashlib.sha256()
        for array in (
            thing.x_train,
            thing.y_train,
            thing.x_val,
            thing.y_val,
            thing.x_test,
            thing.y_test,
        ):
            digest.update(array.tobytes())
        for part in () if thing.folds is None else thing.folds.parts:  # that were given
            digest.update(part.train.tobytes() + part.val.tobytes())
        return {"object": thing.name, "sha256": digest.hexdigest()}
    distinctive = getattr(thing, "distinctive", thing)
    build = getattr(thing, "original_sha256", None)  # without what a search was given beside it
    thing = getattr(thing, "original", thing)  # what wraps a model family for us does not name it
    where = thing if hasattr(thing, "__qualname__") or inspect.ismodule(thing) else type(thing)
    name = where.__name__ if inspect.ismodule(where) else f"{where.__module__}.{where.__qualname__}"
    found = {"object": name, "sha256": sha256(distinctive)}
    return found if build is None else found | {"build": build}


def label(thing: str | Any) -> str:
    """A short name for a dataset or a search space, fit for a directory or a table."""
    thing = getattr(thing, "original", thing)
    if isinstance(thing, Dataset | FitData):
        name = thing.name
    elif isinstance(thing, str):
        path = thing.partition(":")[0]
        in_file = path.endswith(".py") or is_data_file(path)
        name = Path(path).stem if in_file else path.rpartition(".")[2]
    else:
        name = getattr(thing, "__name__", type(thing).__name__)
    plain = re.sub(r"[^\w.-]+", "_", name).strip("_.")  # a name with a slash, a <lambda>
    # two and the time are one folder's name
    return plain.encode()[:100].decode(errors="ignore") or "object"


@dataclass(frozen=True)
class _Held:
    """What a thing holds, to be looked into; where its order means nothing, it must not count."""

    things: tuple[Any, ...]
    in_order: bool = True


def _digest(thing: Any, within: tuple[Any, ...], known: dict[int, tuple[Any, bytes]]) -> bytes:
    """Of one thing; `within` are those that hold it, since a thing may hold itself.

    `known` is done already.
    """
    if id(thing) in known:
        return known[id(thing)][1]
    if any(thing is outer for outer in within):
        return b"itself"
    digest = hashlib.sha256()
    for part in _parts(thing):
        if isinstance(part, _Held):
            inner = [_digest(held, (*within, thing), known) for held in part.things]
            part = b"".join(inner if part.in_order else sorted(inner))
        digest.update(part)
    known[id(thing)] = thing, digest.digest()  # held on to: else another thing might get its id
    return digest.digest()


def _parts(thing: Any) -> Iterator[bytes | _Held]:
    yield _joined(type(thing).__qualname__)
    if isinstance(thing, PLAIN_TYPES):
        yield repr(thing).encode()
    elif isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        yield _joined(thing.dtype, thing.shape)
        yield np.ascontiguousarray(thing).tobytes()
    elif isinstance(thing, np.ndarray):
        yield _Held((thing.tolist(),))
    elif isinstance(thing, list | tuple):
        plain = all(type(part) in PLAIN_TYPES for part in thing)
        yield repr(list(thing)).encode() if plain else _Held(tuple(thing))
    elif isinstance(thing, dict):
        yield _Held(tuple(thing.items()), in_order=False)
    elif isinstance(thing, set | frozenset):
        yield _Held(tuple(thing), in_order=False)
    elif isinstance(thing, functools.partial):
        yield _Held((thing.func, thing.args, thing.keywords))
    elif isinstance(thing, ModuleType | type | CodeType) or inspect.isroutine(thing):
        yield from _code(thing)
    else:
        yield from _object(thing)


def _code(thing: Any) -> Iterator[bytes | _Held]:
    if isinstance(thing, CodeType):
        yield thing.co_code
        yield _Held((thing.co_names, thing.co_varnames, thing.co_freevars, thing.co_consts))
        return
    if inspect.ismethod(thing):
        yield _Held((thing.__func__, thing.__self__))
        return
    yield _joined(getattr(thing, "__qualname__", getattr(thing, "__name__", "")))
    if _of_a_library(thing):
        yield _joined(getattr(thing, "__module__", ""))
        return
    try:
        yield inspect.getsource(thing).encode()
    except (OSError, TypeError):  # typed into a console
        own = (
            {n: v for n, v in vars(thing).items() if inspect.isroutine(v)}
            if isinstance(thing, type)
            else None
        )
        yield _Held((getattr(thing, "__code__", None), own))
    if isinstance(thing, type):
        yield _Held(thing.__bases__)
        return
    closure = [_content(cell) for cell in getattr(thing, "__closure__", None) or ()]
    yield _Held(
        (getattr(thing, "__defaults__", None), getattr(thing, "__kwdefaults__", None), closure)
    )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _object(thing: Any) -> Iterator[bytes | _Held]:
    kind = type(thing)
    yield _Held((kind,))
    array = _as_array(thing)
    if array is not None:
        yield _Held((array,))
        return
    library = _of_a_library(kind)
    # a layer or a model, whose names are counted through a process
    if library and hasattr(thing, "get_weights"):
        return
    if hasattr(thing, "get_config"):
        with suppress(Exception):  # not all can be described
            yield _Held((_uncounted(thing.get_config()),))
            return
    attributes = dict(getattr(thing, "__dict__", {}))
    if hasattr(thing, "on_train_batch_end"):
        attributes = {name: value for name, value in attributes.items() if name not in PLACES}
    if library:  # its own state is no setting
        attributes = {
            n: v for n, v in attributes.items() if not n.startswith("_") and _is_setting(v)
        }
    yield _Held((attributes,))
    if not hasattr(thing, "__dict__") and not ADDRESS.search(repr(thing)):  # a date, a path
        yield repr(thing).encode()


def _is_setting(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_setting, value))
    if isinstance(value, dict):
        return all(map(_is_setting, value.values()))
    return isinstance(
        value, (*PLAIN_TYPES, np.ndarray, np.generic, np.ufunc, type)
    ) or inspect.isroutine(value)


def _as_array(thing: Any) -> np.ndarray | None:
    if not hasattr(thing, "__array__"):
        return None
    try:
        return np.asarray(thing)
    except Exception:  # a tensor that has no values
        return None


def _uncounted(config: Any) -> Any:
    """Without the number that Keras gives to the second object of a class."""
    if isinstance(config, dict):
        return {
            key: re.sub(r"_\d+$", "", value)
            if key == "name" and isinstance(value, str)
            else _uncounted(value)
            for key, value in config.items()
        }
    return [_uncounted(value) for value in config] if isinstance(config, list | tuple) else config


def _of_a_library(thing: Any) -> bool:
    module = (
        thing
        if inspect.ismodule(thing)
        else sys.modules.get(getattr(thing, "__module__", None) or "builtins")
    )
    # a notebook's is the notebook program's own file
    if module is None or module.__name__ == "__main__":
        return False
    file = getattr(module, "__file__", None) or ""
    return is_installed(file) or module.__name__.partition(".")[0] in LIBRARIES


def _joined(*parts: Any) -> bytes:
    return (" ".join(map(str, parts)) + "\n").encode()
