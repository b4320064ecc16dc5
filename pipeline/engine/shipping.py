"""Code that travels: what a worker on a host without a checkout needs, in one folder."""

import shutil
from pathlib import Path

from pipeline.engine.scratch import new_folder
from pipeline.errors import RequestError
from pipeline.names import HOME, Target

# Never part of a user's code, and often large.
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "*.pyc", "runs", "node_modules", "venv", "*.keras", "*.h5")
MOST_MIB = 100


def stage(targets: list[Target]) -> str:
    """Copy our packages and the user's own into a new folder, which Ray ships to every node.

    A user's module travels with the Python files and packages beside it, into a folder of their own
    (`Target.staged_as`). What is installed in site-packages must be installed on the nodes too.

    Raises:
        RequestError: the user's folder is too large to ship.
    """
    folder = Path(new_folder())
    for package in ("pipeline", "search_spaces", "datasets"):
        shutil.copytree(HOME / package, folder / package, ignore=LEFT_OUT)
    for target in targets:
        if target.root and "site-packages" not in target.file:
            _copy(target, folder / target.staged_as)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20
    if size > MOST_MIB:
        shutil.rmtree(folder, ignore_errors=True)
        raise RequestError(
            f"Code must be small enough to travel; with the Python packages beside {targets[0].file} it is "
            f"{size:.0f} MiB, at most {MOST_MIB} are possible. Put your module into a folder of its own."
        )
    return str(folder)


def _copy(target: Target, folder: Path) -> None:
    root = Path(str(target.root))
    top = Path(target.file).relative_to(root).parts[0]
    ours = {"pipeline", "search_spaces", "datasets"} if root == HOME else set()
    folder.mkdir(exist_ok=True)
    for neighbour in root.iterdir():
        if neighbour.name in ours and neighbour.name != top:
            continue
        if neighbour.suffix == ".py":
            shutil.copy2(neighbour, folder)
        elif neighbour.is_dir() and (neighbour.name == top or (neighbour / "__init__.py").exists()):
            shutil.copytree(neighbour, folder / neighbour.name, ignore=LEFT_OUT, dirs_exist_ok=True)
