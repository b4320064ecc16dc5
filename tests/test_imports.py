"""Who may import whom: the whole rule in one table, held against the code's own imports.

Imports within functions count too; what stands under `if TYPE_CHECKING` is for type checkers alone.
"""

import ast
import itertools
from pathlib import Path

ROOT = Path(__file__).parents[1]

# A room is the longest of these names that a file lies under, "" the package's face. It may import
# itself and what follows; the reason says why no more. None: all of it.
GROUND = {"errors", "version", "digest", "objective", "names", "components", "logs"}
DATA = GROUND | {"data", "space", "facts"}
RECORDS = DATA | {"records"}
ASKED = RECORDS | {"experiment"}
# session, faults and whose trial it is: what a driver may know of a trial
PROTOCOL = {"worker", "worker/devices"}
TOLD = ASKED | {"schedulers", "watch"}
DRIVEN = TOLD | {"search", "tracking", *PROTOCOL}
RULES = {
    "errors": (set(), "every room raises errors, so that errors can know none"),
    "version": (set(), "it is read before anything is imported"),
    "digest": ({"errors", "data"}, "a digest tells things apart, whatever they are"),
    "objective": ({"errors"}, "a metric and its direction need nothing else"),
    "names": (GROUND, "names are found without importing what they name"),
    "components": (GROUND, "to know the names of things must cost neither Ray nor Keras"),
    "logs": (GROUND, "every room may log"),
    "data": (
        GROUND | {"data/pipelines", "data/files"},
        "the files of datasets import it, and it must stay light for them",
    ),
    "data/pipelines": ({"errors", "data"}, "it imports TensorFlow where a pipeline is met"),
    "space": (GROUND, "hyperparameters are plain Python"),
    "facts": (GROUND | {"space"}, "what a fact says is read without Keras, by any room"),
    "records": (DATA, "records are read without Ray, without Keras, by any room"),
    "settings_text": (RECORDS, "a file of settings is read before it is known what they mean"),
    "experiment": (
        RECORDS | {"schedulers", "settings_text"},
        "a request is checked before Ray starts",
    ),
    "datasets": ({"errors", "data"}, "a dataset is a file that anyone could have written"),
    "search_spaces": ({"errors", "data"}, "a family is a file that anyone could have written"),
    "search": (ASKED, "searchers run in a simulator as they are"),
    "schedulers": (RECORDS, "schedulers run in a simulator as they are"),
    "watch": (ASKED | {"schedulers"}, "what looks on needs neither Ray nor Keras"),
    "tracking": (TOLD, "a tracker hears what happens, and needs neither Ray nor Keras"),
    "worker": (RECORDS, "the driver reads session and faults"),
    "worker/devices": (RECORDS | {"worker", "worker/backends"}, "it runs before Keras is there"),
    "worker/backends": (RECORDS | PROTOCOL, "a backend knows no fit and no trial"),
    "worker/fused": (RECORDS | PROTOCOL | {"worker/backends"}, "a program knows no fit"),
    "worker/fitting": (
        RECORDS | PROTOCOL | {"worker/backends", "worker/fused"},
        "a fit knows no trial",
    ),
    "worker/scoring": (
        RECORDS | PROTOCOL | {"worker/backends", "worker/fitting"},
        "what a model is worth follows from its predictions, however it was trained",
    ),
    "worker/serving": (
        RECORDS | {"worker/scoring", "worker/backends"},
        "a saved model is used without the search that found it",
    ),
    "worker/training": (
        RECORDS
        | PROTOCOL
        | {"worker/backends", "worker/fitting", "worker/fused"}
        | {"worker/scoring", "worker/serving"},
        "a training is handed its search space, and talks to a session alone",
    ),
    "worker/spaces": (
        RECORDS
        | PROTOCOL
        | {
            "worker/backends",
            "worker/fitting",
            "worker/fused",
            "worker/scoring",
            "worker/training",
        },
        "search spaces are followed by building, and by training a little",
    ),
    "engine/internals": (GROUND | {"watch", "engine/messages"}, "Ray's insides know none of ours"),
    "engine/messages": (RECORDS | PROTOCOL, "a message is read on both sides of a process"),
    "engine/directory": (ASKED, "where a run is written is known before Ray starts"),
    "engine/same_search": (TOLD, "whether a run may be gone on with is known before Ray starts"),
    "engine/past": (
        TOLD | {"worker/training", "engine/same_search"},
        "a past run is read before Ray starts",
    ),
    "engine/run": (
        RECORDS | {"worker/serving", "console"},
        "a run that ended is read and shown, and its model loaded",
    ),
    "engine/cluster": (
        TOLD | PROTOCOL | {"engine/internals", "engine/directory", "worker/backends"},
        "a cluster knows what a trial takes, and no trial",
    ),
    "engine/helper": (
        DRIVEN
        | {"engine/internals", "engine/cluster", "engine/faults", "engine/imports"}
        | {"worker/spaces", "worker/training", "worker/scoring"},
        "the helper loads, follows and measures; it knows no search",
    ),
    "engine/gpus": (
        DRIVEN
        | {"engine/internals", "engine/cluster", "engine/imports"}
        | {"worker/backends", "worker/spaces", "worker/training"},
        "what is used of the GPUs is measured by one training, and knows no search",
    ),
    "engine/imports": (
        {"worker/training", "worker/spaces", "worker/backends"},
        "it is what a trial imports",
    ),
    "engine/schedulers": (TOLD | {"engine/internals"}, "it adapts Ray's schedulers to ours"),
    "engine/faults": (
        DRIVEN | {"engine/internals", "engine/messages"},
        "what a fault means is decided apart from the parts that meet it",
    ),
    "engine/cluster/backend": (
        TOLD | {"engine/cluster", "engine/cluster/seats", "worker/backends"},
        "which backend is taken is known before Ray is there",
    ),
    "engine/cluster/seats": (
        TOLD | PROTOCOL | {"search", "engine/cluster", "worker/backends"},
        "how many trials share a process is known before the first",
    ),
    "engine/preparation": (
        DRIVEN
        | {
            "engine/cluster",
            "engine/cluster/seats",
            "engine/helper",
            "engine/gpus",
            "engine/trials",
            "engine/imports",
        },
        "what is found out before the first trial is handed to the trials as a value",
    ),
    "engine/trials": (
        DRIVEN
        | {"engine/internals", "engine/messages", "engine/cluster", "engine/faults"}
        | {"engine/schedulers", "engine/preparation", "engine/imports"}
        | {"worker/training", "worker/spaces", "worker/fused"},
        "trials know neither the search that they are of, nor how it ends",
    ),
    "engine": (None, "tuning, search and conclusion put the engine's rooms together"),
    "console": (TOLD | {"tracking", "search"}, "the console shows what it is told"),
    "command/predict": ({"errors", "worker/serving"}, "a saved model is all that it takes"),
    "command/export": (
        ASKED
        | {"settings_text", "engine/run", "worker/backends", "worker/serving", "worker/spaces"},
        "it reads a run, and the data to compare by",
    ),
    "command": (TOLD | {"settings_text", "run"}, "options are made of the fields of a request"),
    "sweeps": (None, "a sweep starts searches as a user would"),
    "testing": (None, "conformance tests meet what they test"),
    "keras_tuner": (None, "the drop-in is a user of all of it"),
    "scikit_learn": (None, "it is a user of all of it"),
    "inline": (None, "one trial in this process meets both sides"),
    "run": (None, "the command line calls what it was asked for"),
    "": (
        {"version", "names", "data", "engine", "experiment", "worker", "scikit_learn"},
        "the face names what is public",
    ),
}
# Ray is known in engine/ alone, Keras and its backends in worker/, and nothing knows both.
OUTSIDE: dict[str, tuple[str, ...]] = {"ray": ("engine",)}
OUTSIDE["keras"] = ("worker", "testing", "keras_tuner", "scikit_learn", "datasets", "search_spaces")
OUTSIDE |= dict.fromkeys(("tensorflow", "jax", "torch"), ("worker/backends", "testing"))
OUTSIDE["tensorflow"] += ("data/pipelines",)
NO_ROLE = {"misc", "parts", "core", "utils", "common", "helpers", "base"}


def module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "pipeline" else ("pipeline", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name):
    path = "/".join(name.split(".")[1:])
    return max((r for r in RULES if r == "" or f"{path}/".startswith(f"{r}/")), key=len)


def imports(path, *, typed=False):
    """Each import of a file: what is imported, and where; `typed` for what only types need too."""
    tree = ast.parse(path.read_text())
    checked = [n for n in ast.walk(tree) if isinstance(n, ast.If) and not typed]
    checked = [n for n in checked if getattr(n.test, "id", "") == "TYPE_CHECKING"]
    skipped = {id(inner) for node in checked for inner in ast.walk(node)}
    for node in (n for n in ast.walk(tree) if id(n) not in skipped):
        where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from ((alias.name, where) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module(path).split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            inner = [f"{origin}.{alias.name}" for alias in node.names]
            yield from ((name if name in MODULES else origin, where) for name in inner)


FOLDERS = [ROOT / "pipeline", ROOT / "datasets", ROOT / "search_spaces"]
MODULES = {module(path): path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))}
IMPORTS = {name: list(imports(path)) for name, path in MODULES.items()}


def test_each_room_imports_what_it_may():
    wrong = []
    for name, met in IMPORTS.items():
        here = room(name)
        allowed, reason = RULES[here]
        for what, where in met:
            ours = what == "pipeline" or what.startswith("pipeline.")
            if ours and allowed is not None and room(what) not in {here, *allowed}:
                wrong.append(f"{where} imports {what}; {here or 'the face'} may not: {reason}.")
    assert not wrong, "\n".join(wrong)


def test_ray_is_known_in_engine_alone_and_keras_in_worker_alone():
    wrong = []
    for name, met in IMPORTS.items():
        for what, where in met:
            rooms = OUTSIDE.get(what.partition(".")[0])
            if rooms and not room(name).startswith(rooms):
                wrong.append(f"{where} imports {what}; only {', '.join(rooms)} may.")
    assert not wrong, "\n".join(wrong)


def test_no_files_import_each_other_in_a_circle_nor_name_each_other_for_their_types():
    named = {name: list(imports(path, typed=True)) for name, path in MODULES.items()}
    circles = [sorted(circle) for circle in strongly_connected(named) if len(circle) > 1]
    assert not circles, circles


def strongly_connected(named):
    """Sets of modules that reach each other (Tarjan's algorithm)."""
    index, low, stack, found = {}, {}, [], []
    numbers = itertools.count()

    def visit(name):
        index[name] = low[name] = next(numbers)
        stack.append(name)
        for what in {what for what, _ in named[name] if what in MODULES}:
            if what not in index:
                visit(what)
                low[name] = min(low[name], low[what])
            elif what in stack:
                low[name] = min(low[name], index[what])
        if low[name] == index[name]:
            place = stack.index(name)
            found.append(stack[place:])
            del stack[place:]

    for name in MODULES:
        if name not in index:
            visit(name)
    return found


def test_a_folder_holds_a_dozen_modules_at_most_and_is_named_by_a_role():
    for place in {path.parent for path in MODULES.values()}:
        modules = [p.name for p in place.glob("*.py") if p.name != "__init__.py"]
        assert len(modules) <= 12, f"{place.relative_to(ROOT)} holds {len(modules)} modules"
        assert place.name not in NO_ROLE, place


def test_a_file_past_300_lines_says_why_it_is_one_idea():
    silent = []
    for name, path in MODULES.items():
        text = path.read_text()
        if text.count("\n") > 300 and "ne idea" not in (ast.get_docstring(ast.parse(text)) or ""):
            silent.append(f"{name}: {text.count(chr(10))} lines")
    assert not silent, silent
