"""Code that travels.

What a worker on a host without a checkout needs, in one folder, and users' objects to it.
"""

import functools
import inspect
import io
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

from pipeline.digest import label
from pipeline.errors import RequestError, is_installed, one_line
from pipeline.names import FOLDERS, PACKAGE, Source, folder_of
from pipeline.records.store.scratch import new_folder

# Never part of a user's code, and often large.
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", ".*", "*.pyc", "runs", "node_modules", "venv", "*.keras", "*.h5"
)
MOST_MIB = 100
TRIED_MIB = 100  # of what is made anew in this process, to see that it can be
# What lies in `pipeline` travels with it.
OUR_FOLDERS = (PACKAGE, *(folder_of(c) for c in FOLDERS if PACKAGE not in folder_of(c).parents))


def stage(targets: list[Source]) -> str:
    """Copy our packages and the user's own into a new folder, which Ray ships to every node.

    A user's module travels with the Python files and packages beside it, into a folder of their own
    (`Source.staged_as`). What is installed must be installed on the nodes too.

    Raises:
        RequestError: the user's folder is too large to ship.
    """
    staged = Path(new_folder())
    for ours in OUR_FOLDERS:
        shutil.copytree(ours, staged / ours.name, ignore=LEFT_OUT)
    for target in targets:
        if target.root and not is_installed(target.file):
            _copy(target, staged / target.staged_as)
    size = sum(p.stat().st_size for p in staged.rglob("*") if p.is_file()) / 2**20
    if size > MOST_MIB:
        shutil.rmtree(staged, ignore_errors=True)
        raise RequestError(
            "Code must be small enough to travel; with the Python packages beside "
            f"{targets[0].file} it is "
            f"{size:.0f} MiB, at most {MOST_MIB} are possible. Put your module into a folder of "
            "its own."
        )
    return str(staged)


def _copy(target: Source, staged: Path) -> None:
    root = Path(str(target.root))
    top = Path(target.file).relative_to(root).parts[0]
    staged.mkdir(exist_ok=True)
    for neighbour in root.iterdir():
        if neighbour in OUR_FOLDERS and neighbour.name != top:
            continue
        if neighbour.suffix == ".py":
            shutil.copy2(neighbour, staged)
        elif neighbour.is_dir() and (neighbour.name == top or (neighbour / "__init__.py").exists()):
            shutil.copytree(neighbour, staged / neighbour.name, ignore=LEFT_OUT, dirs_exist_ok=True)


def check_sendable(what: str, thing: Any, way_out: str = "") -> None:
    """Refuse what cannot be sent to another process, or not be made anew there.

    Raises:
        RequestError: in one line, what it is and why, and `way_out`.
    """
    from ray import cloudpickle

    try:
        sent = cloudpickle.dumps(thing)
        if len(sent) < TRIED_MIB * 2**20:
            _MadeAside(io.BytesIO(sent)).load()
    except Exception as error:  # each kind of thing has its own
        reason = one_line(str(error)).rstrip(".")
        raise RequestError(
            f"The {what} must be something that can be sent to another process; {label(thing)} is "
            f"not: {reason}.{way_out and ' '}{way_out}"
        ) from error


class _MadeAside(pickle.Unpickler):
    """Makes a user's classes anew beside those that there are.

    cloudpickle's own `loads` finds, in the process that pickled them, the classes themselves, and
    puts copies of their methods into them: these do not see what the script changes from then on.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if name not in ("_make_skeleton_class", "_make_skeleton_enum"):
            return found
        # by the id before the last argument it finds the class that there is (cloudpickle 3)
        return lambda *given: found(*given[:-2], None, given[-1])


def with_code(thing: Any) -> Any:
    """Make Ray take the code of a user's function along, and not only its name.

    A worker may not have its module.
    """
    for part in (thing, *getattr(thing, "parts", ())):  # a user's within ours
        _by_value(part)
    return thing


def _by_value(thing: Any) -> None:
    from ray import cloudpickle

    if isinstance(thing, Source):
        return
    if isinstance(thing, functools.partial):
        for part in (thing.func, *thing.args, *thing.keywords.values()):
            _by_value(part)
        return
    kinds = (
        ()
        if inspect.isroutine(thing)
        else (thing if isinstance(thing, type) else type(thing)).__mro__
    )
    own = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
    for name in {own, *(kind.__module__ for kind in kinds)}:
        module = sys.modules.get(name or "")
        file = getattr(module, "__file__", None)
        if module is None or file is None or is_installed(file):
            continue
        if module.__name__.partition(".")[0] not in {"pipeline", *sys.stdlib_module_names}:
            cloudpickle.register_pickle_by_value(module)
