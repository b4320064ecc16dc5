"""What travels by value and what by name, wherever this package and the user's code stand."""

import enum
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.cluster.shipping import check_sendable
from pipeline.errors import RequestError

ROOT = Path(__file__).parents[3]

# In a process that finds this package in `place`: a script with a class of its own and of a module
# beside it sends both to a process that has neither. What is named there is what that one imports.
SCRIPT = """
import pickletools, sys
import mine, theirs
from pipeline.data.fit_data import FitData
from pipeline.engine.cluster.shipping import with_code
from pipeline.errors import user_traceback
from pipeline.keras_tuner.hypermodel import HyperModel, HyperModelSpace
from ray import cloudpickle

class Model(HyperModel):
    beside, installed = mine.Beside, theirs.Installed
    def build(self, hp):
        raise ValueError("mine")

data = FitData.of("d", [[1.0]], [1.0])
sent = cloudpickle.dumps([with_code(HyperModelSpace(Model())), with_code(mine.Beside), data])
strings, named = [], set()
for code, argument, _ in pickletools.genops(sent):
    if isinstance(argument, str):
        strings.append(argument)
    if code.name == "STACK_GLOBAL":
        named.add(strings[-2])
# an instance made anew is one of the class that is known here
assert isinstance(cloudpickle.loads(sent)[2], FitData)
assert {"pipeline.data.fit_data", "pipeline.keras_tuner.hypermodel", "theirs"} <= named, named
assert not {"mine", "__main__"} & named, named
try:
    HyperModelSpace(Model()).build(hp=type("Hp", (), {"restrict": lambda *a: None})())
except ValueError as error:
    told = user_traceback(error)
    assert "keras_tuner" not in told and 'raise ValueError("mine")' in told, told
print("as it should")
"""


def linked(folder):
    (folder / "link").symlink_to(ROOT, target_is_directory=True)
    return folder / "link"


def with_a_space_and_unicode(folder):
    place = folder / "my prögramme 名" / "checkout"
    shutil.copytree(
        ROOT / "pipeline", place / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    return place


def dist_packages(folder):
    return with_a_space_and_unicode(folder).rename(folder / "dist-packages")


def linked_environment(folder):
    (folder / "real").mkdir()
    with_a_space_and_unicode(folder).rename(folder / "real" / "site-packages")
    (folder / "environment").symlink_to(folder / "real", target_is_directory=True)
    return folder / "environment" / "site-packages"


@pytest.mark.parametrize(
    "place", [linked, with_a_space_and_unicode, dist_packages, linked_environment]
)
def test_ours_travels_by_name_and_the_users_own_by_value(place, tmp_path):
    users = tmp_path / "pröject"
    for folder, module, text in (
        (users, "mine", "class Beside:\n    pass\n"),
        (tmp_path / "lib" / "dist-packages", "theirs", "class Installed:\n    pass\n"),
    ):
        folder.mkdir(parents=True)
        (folder / f"{module}.py").write_text(text)
    (users / "script.py").write_text(SCRIPT)
    path = [place(tmp_path), tmp_path / "lib" / "dist-packages"]
    ended = subprocess.run(
        [sys.executable, users / "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "as it should\n", ended.stderr


def test_an_editable_install_of_the_users_own_travels_by_value(tmp_path):
    """Its module lies in the user's folder, and a file in site-packages points there."""
    site, source = tmp_path / "site-packages", tmp_path / "source"
    for folder in (site, source):
        folder.mkdir()
    (source / "mine.py").write_text("class Beside:\n    pass\n")
    (site / "theirs.py").write_text("class Installed:\n    pass\n")
    (site / "mine.pth").write_text(f"{source}\n")
    (tmp_path / "script.py").write_text(f"import site\nsite.addsitedir({str(site)!r})\n{SCRIPT}")
    ended = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "as it should\n", ended.stderr


def test_a_class_of_the_script_is_what_it_was_after_it_was_tried():
    told = []

    class Kind(enum.Enum):
        ONE = 1

        def tell(self):
            told.append(self)

    class Mine:
        def tell(self):
            told.append(self)

    method, mine = Mine.tell, Mine()
    check_sendable("callback", [mine, Kind.ONE])
    mine.tell(), Kind.ONE.tell()
    assert told == [mine, Kind.ONE] and Mine.tell is method


def test_what_cannot_be_made_anew_is_refused():
    class Mine:
        def __reduce__(self):
            return float, ("no number",)

    with pytest.raises(RequestError) as caught:
        check_sendable("callback", Mine(), "Make it later.")
    assert str(caught.value) == (
        "The callback must be something that can be sent to another process; Mine is not: could "
        "not convert string to float: 'no number'. Make it later."
    )
