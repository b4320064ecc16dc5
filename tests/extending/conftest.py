"""Components that are added: by a package, installed as pip leaves it, or by a file of ours."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipeline.command.reference import page
from tests.extending.packages import Installed, install, install_component


@pytest.fixture
def installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Installed]:
    """`install` for the time of a test."""
    return partial(install, tmp_path, monkeypatch)


@pytest.fixture
def component_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Installed]:
    """`install_component` for the time of a test."""
    return partial(install_component, tmp_path, monkeypatch)


@pytest.fixture
def component_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Add a component of ours, one file and one line: `component_of_ours("halton", HALTON,
    SEARCHERS, "Halton")`. The reference page then has it."""

    def add(name: str, text: str, table: dict[str, str], entry: str) -> None:
        (tmp_path / f"{name}_of_ours.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setitem(table, name, f"{name}_of_ours:{entry}")
        assert f"| `{name}` |" in page()

    return add
