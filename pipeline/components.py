"""What there is to choose from, and how what was chosen is imported.

Datasets, search spaces, searchers, schedulers and trackers: ours, and those that installed packages
add by entry points. Only `imported` and `load` import anything.
"""

import importlib
import importlib.util
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pipeline.errors import KerasweepError, RequestError, UserCodeError, quoted, user_traceback
from pipeline.names import FOLDERS, TABLES, Component, Source, find, first_line, offers, registered

Class = TypeVar("Class")
OURS = "here"
PLURAL: dict[Component, str] = {
    "dataset": "datasets",
    "search space": "search spaces",
    "searcher": "searchers",
    "scheduler": "schedulers",
    "tracker": "trackers",
}


@dataclass(frozen=True)
class Listed:
    """A component as `--list` shows it: its name, a line on it, and who brings it."""

    name: str
    line: str
    origin: str  # "here", or the name of an installed package


def listed(component: Component, *, installed: bool = True) -> list[Listed]:
    """Every component of a kind, ours first; a name of ours hides a package's.

    `installed` says whether those of installed packages are asked for. One that cannot be used
    says why.
    """
    ours = registered(component)
    found = [Listed(name, line, OURS) for name, line in ours.items()]
    for name, offered in offers(component).items() if installed else ():
        if name in ours:
            continue
        try:
            source = find(component, name)
            line = first_line(Path(source.file), source.function)
        except KerasweepError as error:
            line = f"cannot be used: {error}"
        found.append(Listed(name, line, ", ".join(offer.distribution for offer in offered)))
    return found


def load(component: Component, name: str, kind: type[Class]) -> type[Class]:
    """Import the class that a name means; it has to be made from `kind`.

    Raises:
        RequestError: there is no such class, or it is of another kind.
        UserCodeError: its module cannot be imported.
    """
    source = find(component, name)
    found = getattr(imported(source), source.function, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise RequestError(
            f"A {component} must be a class made from {kind.__module__}.{kind.__name__}; "
            f"{source.function} of {source.file} is {quoted(found)}."
        )
    return found


def imported(source: Source) -> ModuleType:
    """Import the module that defines a component.

    Raises:
        UserCodeError: it raised; the error carries the user's traceback.
    """
    try:
        if source.root is None:
            return _of_ours(source)
        file, root = source.located()
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))  # its own imports of its neighbours work as in a script
        if source.module:
            return importlib.import_module(source.module)
        return _from_file(f"_kerasweep_user_{file.stem}_{zlib.crc32(str(file).encode()):08x}", file)
    except RequestError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"The {source.component} {source.name!r} must import; it raised "
            f"{type(error).__name__}: {error}",
            user_traceback(error),
        ) from error


def _of_ours(source: Source) -> ModuleType:
    if source.component in TABLES:
        return importlib.import_module(str(source.module))
    return importlib.import_module(f"pipeline.{FOLDERS[source.component]}.{source.label}")


def _from_file(name: str, file: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
