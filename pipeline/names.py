"""From a name to the file of a dataset or search space, without importing anything.

A name is one of ours (`mnist`), a file (`path/to/my_space.py`), or a module (`package.module`); a
file or a module may be followed by `:function`. A plug-in may import Keras at its top like any
Keras file, and the driver must not load it, so parents of a dotted name are walked through Python's
path finders instead of being imported.
"""

import ast
import hashlib
import os
import sys
import zlib
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import RequestError, UserCodeError, one_line, quoted, unknown

Component = Literal["dataset", "search space"]

HOME = Path(__file__).resolve().parents[1]
FOLDERS: dict[Component, Path] = {
    "dataset": HOME / "datasets",
    "search space": HOME / "search_spaces",
}
ENTRIES: dict[Component, tuple[str, ...]] = {
    "dataset": ("load",),
    "search space": ("build", "build_model"),
}


@dataclass(frozen=True)
class Source:
    """Where a dataset or search space is defined.

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
            return FOLDERS[self.component] / file.name, HOME
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


def registered(component: Component) -> dict[str, str]:
    """Every dataset or search space of ours: name to the first line of its docstring."""
    files = sorted(p for p in FOLDERS[component].glob("*.py") if not p.stem.startswith("_"))
    return {
        p.stem: (ast.get_docstring(ast.parse(p.read_text())) or "").partition("\n")[0]
        for p in files
    }


def find(component: Component, name: str) -> Source:
    """Find what `name` means.

    Raises:
        RequestError: there is no such file, module or function.
        UserCodeError: the file is not valid Python.
    """
    path, _, function = name.partition(":") if not os.path.exists(name) else (name, "", "")
    own = FOLDERS[component] / f"{path}.py"
    if path.isidentifier() and not path.startswith("_") and os.path.isfile(own):
        return _checked(component, name, own, function)
    if path.endswith(".py") or "/" in path:
        file = absolute(path)
        if not os.path.isfile(file):
            raise RequestError(
                f"A {component} given as a file must exist; there is no file {quoted(path)}."
            )
        return _checked(component, name, file, function, root=file.parent)
    found = _find_module(path)
    if found is None:
        line = unknown(component, path, registered(component))
        raise RequestError(
            f"{line} A file (my_module.py) or a module on the path (package.module) works too."
        )
    file, root = found
    return _checked(component, name, file, function, module=path, root=root)


def resolve(component: Component, given: Any) -> Any:
    """Where a name is defined (`find`); what is no name, but the thing itself, stays as it is."""
    return find(component, given) if isinstance(given, str) else given


def lasting(name: str) -> str:
    """A file's name as an absolute path.

    It means the same in the records as it did on the command line.
    """
    path, _, function = name.partition(":") if not os.path.exists(name) else (name, "", "")
    if not path.endswith(".py") and "/" not in path:
        return name
    file = str(absolute(path))
    return f"{file}:{function}" if function else file


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
    wanted = (function,) if function else ENTRIES[component]
    entry = next((w for w in wanted if w in defined), wanted[0] if "*" in defined else None)
    if entry is None:
        has = one_line(", ".join(sorted(n for n in defined if not n.startswith("_"))) or "nothing")
        signatures = {
            "build": "build(hp, data)",
            "build_model": "build_model(hp)",
            "load": "load(seed)",
        }
        must = " or ".join(signatures.get(w, f"{one_line(w)}()") for w in wanted)
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
