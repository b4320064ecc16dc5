"""What there is to choose from: ours, and what installed packages add."""

import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.components import OURS, PLURAL, Listed, listed, load
from pipeline.errors import RequestError, UserCodeError
from pipeline.names import GROUPS, TABLES, Component, find, offers
from pipeline.search.searcher import Searcher

MINE = (
    '"""A module."""\n'
    "from pipeline.search.searcher import Searcher\n\n\n"
    "class Mine(Searcher):\n"
    '    """Proposes what I like.\n\n    And more.\n    """\n'
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_kind_of_component_is_listed_and_may_be_added() -> None:
    kinds = set(get_args(Component))

    assert set(PLURAL) == set(GROUPS) == kinds
    assert {"searcher", "scheduler", "tracker"} == set(TABLES)


@pytest.mark.parametrize("component", get_args(Component))
def test_each_of_ours_is_listed_with_a_line(component: Component) -> None:
    for each in listed(component):
        assert each.origin == OURS and each.line and "\n" not in each.line
        assert Path(find(component, each.name).file).is_file()


def test_a_listing_imports_nothing_that_it_lists(installed: Any) -> None:
    installed("theirs", {"bad.py": "raise RuntimeError\n\n\nclass Bad: ...\n"}, bad="bad:Bad")

    listed("searcher")

    assert "bad" not in sys.modules


# What installed packages add.


@pytest.fixture
def installed(installed_package: Any) -> Any:
    """Install a package that adds searchers."""
    return lambda name, files, **searchers: installed_package(name, files, searchers=searchers)


def test_a_package_adds_a_name(installed: Any) -> None:
    installed(
        "their-package", {"theirs/mine.py": MINE, "theirs/__init__.py": ""}, my="theirs.mine:Mine"
    )

    assert Listed("my", "Proposes what I like.", "their-package") in listed("searcher")
    assert load("searcher", "my", Searcher).__name__ == "Mine"
    assert "my" not in {each.name for each in listed("searcher", installed=False)}


def test_a_name_of_ours_wins(installed: Any) -> None:
    installed("their-package", {"theirs.py": MINE}, grid="theirs:Mine")

    assert [each.origin for each in listed("searcher") if each.name == "grid"] == [OURS]
    assert load("searcher", "grid", Searcher).__name__ == "Grid"


def test_a_name_that_two_packages_add_is_refused_and_both_are_named(installed: Any) -> None:
    installed("one", {"one.py": MINE}, my="one:Mine")
    installed("two", {"two.py": MINE}, my="two:Mine")
    says = (
        "The searcher 'my' must come from one package; one and two offer it. Name it by its "
        "module: one:Mine or two:Mine."
    )

    with pytest.raises(RequestError) as refused:
        find("searcher", "my")
    assert str(refused.value) == says
    (line,) = (each for each in listed("searcher") if each.name == "my")
    assert (line.origin, line.line) == ("one, two", f"cannot be used: {says}")
    assert load("searcher", "one:Mine", Searcher).__module__ == "one"


def test_a_package_whose_module_is_nowhere_ends_no_listing(installed: Any) -> None:
    installed("theirs", {}, gone="gone.away:Mine")
    says = (
        "The searcher 'gone' of the package theirs must be a module that can be found; there is no "
        "'gone.away'."
    )

    assert Listed("gone", f"cannot be used: {says}", "theirs") in listed("searcher")
    assert load("searcher", "random", Searcher).__name__ == "Random"
    with pytest.raises(RequestError) as refused:
        find("searcher", "gone")
    assert str(refused.value) == says


def test_entry_points_that_are_no_text_of_that_form_are_passed_over(installed: Any) -> None:
    folder = installed("theirs", {"theirs.py": MINE}, my="theirs:Mine").folder
    (file,) = folder.glob("*.dist-info/entry_points.txt")
    file.write_bytes(b"[kerasweep.searchers]\nno equals sign\n\xff\n")

    assert "my" not in offers("searcher")
    assert {"grid", "hyperopt", "random"} <= {each.name for each in listed("searcher")}


def test_a_package_that_lies_on_the_path_twice_is_one(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed("theirs", {"theirs.py": MINE}, my="theirs:Mine")
    (package.folder.parent / "again").symlink_to(package.folder)
    monkeypatch.syspath_prepend(str(package.folder.parent / "again"))

    assert len(offers("searcher")["my"]) == 1


# What is loaded.


def test_a_class_that_is_no_searcher_is_refused(here: Path) -> None:
    (here / "mine.py").write_text("class Mine: ...\n")

    with pytest.raises(RequestError) as refused:
        load("searcher", "mine.py:Mine", Searcher)
    assert str(refused.value).startswith(
        "A searcher must be a class made from pipeline.search.searcher.Searcher; Mine of "
        f"{here / 'mine.py'} is <class "
    )


def test_a_module_that_raises_is_the_users(here: Path) -> None:
    (here / "mine.py").write_text("class Mine: ...\n\n\nraise RuntimeError('not today')\n")

    with pytest.raises(UserCodeError) as refused:
        load("searcher", "mine.py:Mine", Searcher)
    assert str(refused.value) == (
        "The searcher 'mine.py:Mine' must import; it raised RuntimeError: not today"
    )
    assert "mine.py" in refused.value.user_traceback
    assert "components.py" not in refused.value.user_traceback


def test_a_module_without_its_class_is_refused(here: Path) -> None:
    (here / "mine.py").write_text(MINE)

    with pytest.raises(RequestError) as refused:
        find("searcher", "mine")
    assert str(refused.value) == (
        "A searcher must be named with its class, as my_module:MyClass or my_file.py:MyClass; got "
        "'mine'."
    )
    with pytest.raises(RequestError) as refused:
        find("searcher", "mine:Yours")
    assert str(refused.value) == (
        f"A searcher must define Yours; {here / 'mine.py'} defines Mine, Searcher."
    )
