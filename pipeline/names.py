"""From a component's name to the file that defines it, without importing the file.

A name is one of ours (`mnist`, in full `pipeline.datasets.mnist`), one that an installed package
adds by an entry point, a file (`path/to/my_space.py`), or a module (`package.module`). A file or a
module may be followed by `:function`; for searchers, schedulers and trackers it is followed by
`:Class`. A plug-in may import Keras at its top like any Keras file, and the driver must not load
it, so parents of a dotted name are walked through Python's path finders instead of being imported.

One idea: each way to name a component is some forty lines, and all end in the same check.
"""

import ast
import hashlib
import importlib
import os
import site
import sys
import zlib
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import RequestError, UserCodeError, one_line, quoted, unknown

Component = Literal["dataset", "search space", "searcher", "scheduler", "tracker"]

PACKAGE = Path(__file__).resolve().parent
HOME = PACKAGE.parent  # what must be on the path, so that `pipeline` is found
FOLDERS: dict[Component, str] = {"dataset": "datasets", "search space": "search_spaces"}
# What a module is taken for where no function is named; a class has to be.
ENTRIES: dict[Component, tuple[str, ...]] = {
    "dataset": ("load",),
    "search space": ("build", "build_model"),
}
# Ours that are classes: a dictionary of name to "module:Class", in a package that imports nothing.
TABLES: dict[Component, str] = {
    "searcher": "pipeline.search:SEARCHERS",
    "scheduler": "pipeline.schedulers:SCHEDULERS",
    "tracker": "pipeline.tracking:TRACKERS",
}
# The entry points by which an installed package adds names.
GROUPS: dict[Component, str] = {
    "dataset": "kerasweep.datasets",
    "search space": "kerasweep.search_spaces",
    "searcher": "kerasweep.searchers",
    "scheduler": "kerasweep.schedulers",
    "tracker": "kerasweep.trackers",
}


def folder_of(component: Component) -> Path:
    """Return the folder of our datasets, or of our search spaces.

    It lies in `pipeline` where that was installed, beside it in a checkout; it is imported as
    `pipeline.datasets` or `pipeline.search_spaces` from either.
    """
    inside = PACKAGE / FOLDERS[component]
    return inside if inside.is_dir() else HOME / FOLDERS[component]


def search_path() -> str:
    """Return the PYTHONPATH with which another process finds the `pipeline` that this one found.

    What is installed is found without it. To name the folder of all that is installed would put it
    before Python's own library.
    """
    given = os.environ.get("PYTHONPATH")
    installed = {os.path.realpath(p) for p in (*site.getsitepackages(), site.getusersitepackages())}
    ours = None if str(HOME) in installed else str(HOME)
    return os.pathsep.join(p for p in (ours, given) if p)


@dataclass(frozen=True)
class Source:
    """Where a component is defined.

    `file` is absolute, as the driver sees it. `module` is the dotted name to import it by, for what
    was named so; `root` is the folder that must be on the path for that, or for a file's own
    imports of its neighbours; None for what is ours.
    """

    component: Component
    name: str
    file: str
    function: str
    module: str | None = None
    root: str | None = None

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return hashlib.sha256(Path(self.file).read_bytes()).hexdigest()

    def located(self) -> tuple[Path, Path]:
        """File and root as this process sees them.

        Code that travelled lies beside `pipeline` (`engine/cluster/shipping`).
        """
        file = Path(self.file)
        if self.root is None:
            return folder_of(self.component) / file.name, HOME
        root = Path(self.root)
        staged = HOME / self.staged_as / file.relative_to(root)
        return (staged, HOME / self.staged_as) if staged.exists() else (file, root)

    @property
    def staged_as(self) -> str:
        """The folder, beside `pipeline`, that holds a copy of `root` where code has travelled."""
        return f"user-{zlib.crc32(str(self.root).encode()):08x}"

    @property
    def label(self) -> str:
        """Short enough for a directory's name."""
        return Path(self.file).stem


@dataclass(frozen=True)
class Offer:
    """A component that an installed package adds: `value` is its module, or module:name."""

    name: str
    value: str
    distribution: str


def registered(component: Component) -> dict[str, str]:
    """Every component of ours: name to the first line of its docstring."""
    if component in TABLES:
        return {
            name: first_line(_file_of_ours(module), entry)
            for name, (module, entry) in _table(component).items()
        }
    files = sorted(p for p in folder_of(component).glob("*.py") if not p.stem.startswith("_"))
    return {p.stem: first_line(p) for p in files}


def first_line(file: Path, entry: str = "") -> str:
    """The first line of the docstring of a class or function in a file, else of the file's own."""
    tree = ast.parse(file.read_bytes())
    named = (node for node in tree.body if getattr(node, "name", None) == entry)
    node = next((n for n in named if isinstance(n, ast.ClassDef | ast.FunctionDef)), None)
    text = (node and ast.get_docstring(node)) or ast.get_docstring(tree) or ""
    return text.partition("\n")[0]


def offers(component: Component) -> dict[str, list[Offer]]:
    """What installed packages add, by name; of several packages that add one name, each."""
    found: dict[str, dict[str, Offer]] = {}
    for distribution in distributions():
        # What one package says wrongly of itself must not end a search that has no use for it.
        try:
            for point in distribution.entry_points.select(group=GROUPS[component]):
                offer = Offer(point.name, point.value.replace(" ", ""), distribution.name)
                # A package that lies on the path twice counts as it is found first.
                found.setdefault(point.name, {}).setdefault(offer.distribution, offer)
        except Exception:
            continue
    return {name: [by[package] for package in sorted(by)] for name, by in sorted(found.items())}


def find(component: Component, name: str) -> Source:
    """Find what `name` means.

    Raises:
        RequestError: there is no such file, module, function or class; or two packages offer it.
        UserCodeError: the file is not valid Python.
    """
    path, entry = _split(name)
    if (own := _of_ours(component, path, entry)) is not None:
        return own
    if _is_path(path):  # before the installed packages are looked through
        file = absolute(path)
        if not os.path.isfile(file):
            raise RequestError(
                f"A {component} given as a file must exist; there is no file {quoted(path)}."
            )
        return _checked(component, name, file, entry, root=file.parent)
    if offered := offers(component).get(name):
        return _offered(component, offered)
    found = _find_module(path)
    if found is None:
        line = unknown(component, path, {*registered(component), *offers(component)})
        more = (
            " A file (my_module.py) or a module on the path (package.module) works too."
            if component in FOLDERS
            else ""
        )
        raise RequestError(line + more)
    file, root = found
    return _checked(component, name, file, entry, module=path, root=root)


def _split(name: str) -> tuple[str, str]:
    """A file or a module, and what is named in it."""
    path, _, entry = name.partition(":") if not os.path.exists(name) else (name, "", "")
    return path, entry


def _is_path(path: str) -> bool:
    """Whether a name means a file, be it there or not."""
    return path.endswith(".py") or "/" in path


def _of_ours(component: Component, path: str, entry: str) -> Source | None:
    if component in TABLES:
        module, own_entry = _table(component).get(path, ("", ""))
        if not module or entry:
            return None
        return Source(component, path, str(_file_of_ours(module)), own_entry, module)
    short = path.removeprefix(f"pipeline.{FOLDERS[component]}.")
    own = folder_of(component) / f"{short}.py"
    if short.isidentifier() and not short.startswith("_") and os.path.isfile(own):
        name = f"{short}:{entry}" if entry else short
        return _checked(component, name, own, entry)
    return None


def _table(component: Component) -> dict[str, tuple[str, str]]:
    """Ours by name: module and class."""
    package, _, name = TABLES[component].partition(":")
    table: dict[str, str] = getattr(importlib.import_module(package), name)
    return {
        name: (module, entry)
        for name, value in table.items()
        for module, _, entry in [value.partition(":")]
    }


def _file_of_ours(module: str) -> Path:
    if module.startswith(f"{PACKAGE.name}."):
        return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    found = _find_module(module)
    assert found is not None, module
    return found[0]


def _offered(component: Component, offered: list[Offer]) -> Source:
    """What an entry point means.

    Raises:
        RequestError: it is offered by several packages, or its module is nowhere.
    """
    first = offered[0]
    if len(offered) > 1:
        packages = " and ".join(offer.distribution for offer in offered)
        values = " or ".join(offer.value for offer in offered)
        raise RequestError(
            f"The {component} {first.name!r} must come from one package; {packages} offer it. "
            f"Name it by its module: {values}."
        )
    module, _, entry = first.value.partition(":")
    found = _find_module(module)
    if found is None:
        raise RequestError(
            f"The {component} {first.name!r} of the package {first.distribution} must be a module "
            f"that can be found; there is no {quoted(module)}."
        )
    file, root = found
    return _checked(component, first.name, file, entry, module=module, root=root)


def resolve(component: Component, given: Any) -> Any:
    """Where a name is defined (`find`); what is no name, but the thing itself, stays as it is."""
    return find(component, given) if isinstance(given, str) else given


def lasting(name: str) -> str:
    """A file's name as an absolute path.

    It means the same in the records as it did on the command line.
    """
    path, entry = _split(name)
    if not _is_path(path):
        return name
    file = str(absolute(path))
    return f"{file}:{entry}" if entry else file


def absolute(path: str) -> Path:
    """A path as it is from everywhere, whether or not there is such a file.

    Raises:
        RequestError: no file can be called so.
    """
    try:
        # Not pathlib's, which raise errors of their own: a home that nobody has, a link that leads
        # to itself.
        return Path(os.path.realpath(os.path.expanduser(path)))
    except ValueError as error:
        raise RequestError(
            f"A path must be text that a file can be called; got {quoted(path)}."
        ) from error


def _find_module(dotted: str) -> tuple[Path, Path] | None:
    parts = dotted.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    search = [str(Path.cwd()), *sys.path]
    root: Path | None = None
    for depth, part in enumerate(parts, start=1):
        # By its last part alone: a namespace package looks its parent up in sys.modules, where it
        # is not.
        spec = PathFinder.find_spec(part, search)
        if spec is None:
            return None
        locations = list(spec.submodule_search_locations or [])
        origin = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
        if root is None:
            first = origin.parent if origin and locations else None
            root = (first or Path(locations[0]) if locations else origin or Path()).parent
        if depth == len(parts):
            return (origin.resolve(), root.resolve()) if origin else None
        search = locations
    return None


def _checked(
    component: Component,
    name: str,
    file: Path,
    function: str,
    module: str | None = None,
    root: Path | None = None,
) -> Source:
    """Check, on the syntax tree alone, that the file defines what it is asked for."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except OSError as error:
        raise RequestError(
            f"A {component} must be a file that can be read; {one_line(str(error))}."
        ) from error
    # the last two: nested too deep
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = (
            f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        )
        raise UserCodeError(
            f"A {component} must be valid Python; {file}, {one_line(where)}."
        ) from error
    defined = _top_level_names(tree)
    wanted = (function,) if function else ENTRIES.get(component, ())
    if not wanted:
        raise RequestError(
            f"A {component} must be named with its class, as my_module:MyClass or my_file.py:"
            f"MyClass; got {quoted(name)}."
        )
    entry = next((w for w in wanted if w in defined), wanted[0] if "*" in defined else None)
    if entry is None:
        has = one_line(", ".join(sorted(n for n in defined if not n.startswith("_"))) or "nothing")
        signatures = {
            "build": "build(hp, data)",
            "build_model": "build_model(hp)",
            "load": "load(seed)",
        }
        call = "()" if component in FOLDERS else ""
        must = " or ".join(signatures.get(w, f"{one_line(w)}{call}") for w in wanted)
        raise RequestError(f"A {component} must define {must}; {file} defines {has}.")
    return Source(component, name, str(file), entry, module, str(root) if root else None)


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    inner = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue  # what is defined inside is not at the top
        if isinstance(node, inner):
            continue
        todo.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
    return names
