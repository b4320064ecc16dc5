"""Imports of many modules at once, in the driver and in its workers."""

import builtins
import gc
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

from pipeline.worker.backends.known import KNOWN, asked_for


def _seldom_used(name: str) -> bool:
    """Whether trials seldom use this module, which imports what is installed for other reasons.

    Keras's wrappers import scikit-learn, with SciPy; hyperopt's adaptive TPE imports all of SciPy's
    distributions.
    """
    ours = name in ("keras.wrappers", "hyperopt.atpe")
    return ours or any(backend.seldom_used(name) for backend in KNOWN)


def _dispensable_in(name: str) -> list[str]:
    """The backends that this module imports, although Keras has another one."""
    chosen = asked_for()
    return [b.name for b in KNOWN if b.name != chosen.name and b.dispensable_in(name)]


class _Postponed(ModuleType):
    """A module that is executed when something of it is first used.

    importlib's LazyLoader refuses those that put another object in their place in `sys.modules`, as
    TensorFlow's do.
    """

    _lock = RLock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            loader = self.__dict__.pop("_loader", None)
            if loader is not None:
                with quick_imports():  # what it imports may be seldom used, too
                    loader.exec_module(self)
        return super().__getattribute__(name)


class _PostponedLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Postponed(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_loader"] = self._loader


class _LoaderWithout(Loader):
    """Executes a module to which some packages are not installed; to others they are."""

    def __init__(self, loader: Loader, without: Collection[str]) -> None:
        self._loader, self._without = loader, without

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def imported(name: str, *arguments: Any) -> Any:
            if name in self._without:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return builtins.__import__(name, *arguments)

        module.__dict__["__builtins__"] = vars(builtins) | {"__import__": imported}
        self._loader.exec_module(module)


class _Finder:
    """Finds the modules that are seldom used, to be executed later, and those that need less."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        seldom, without = _seldom_used(name), _dispensable_in(name)
        spec = PathFinder.find_spec(name, path, target) if seldom or without else None
        if spec is not None and spec.loader is not None:
            loader = spec.loader
            spec.loader = _PostponedLoader(loader) if seldom else _LoaderWithout(loader, without)
        return spec


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keras is imported in 2.0 s of CPU in place of 4.0 (Intel Xeon, with scikit-learn and JAX).

    The garbage collector rests: what modules make stays, and it would look through it again and
    again. What is seldom used is executed when it is first used. A backend that Keras does not
    compute with is not imported.
    """
    enabled = gc.isenabled()
    gc.disable()
    sys.meta_path.insert(0, _Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_Finder)
        if enabled:
            gc.enable()


def import_quickly(names: Iterable[str]) -> None:
    """Import modules, one after the other."""
    with quick_imports():
        for name in names:
            import_module(name)


def import_keras() -> None:
    """Import what trials need: in a worker or the helper, after its devices are settled."""
    with quick_imports():  # nor is anything looked through before it is frozen
        import_quickly(["pipeline.worker.training.repeats", "pipeline.worker.spaces.loading"])
        _freeze()


@cache
def _freeze() -> None:
    """Keep the garbage collector from looking through what was imported, once a process.

    All of it stays: looked through at each collection, TensorFlow's objects cost a trial half a
    second. They are not looked through here either, which took 0.4 s of CPU: 0.4 % of them are
    garbage, of 0 MiB. Nor are they counted to see whether they are frozen, which takes 0.03 s.
    """
    gc.freeze()
