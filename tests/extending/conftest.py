"""Components that are added: by a package, installed as pip leaves it, or by a file of ours."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.reference import page

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """Where a package lies, and the PYTHONPATH by which another process finds it."""

    folder: Path
    path: str


@pytest.fixture
def installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Installed]:
    """Install a package: `installed_package("their-package", {"their/mine.py": "…"},
    searchers={"mine": "their.mine:Mine"})`. It is on the path of this process."""

    def install(name: str, files: Mapping[str, str], **groups: Mapping[str, str]) -> Installed:
        site = tmp_path / name / "site-packages"
        info = site / f"{name.replace('-', '_')}-1.5.dist-info"
        points = "".join(
            f"[kerasweep.{group}]\n" + "".join(f"{n} = {v}\n" for n, v in entries.items())
            for group, entries in groups.items()
        )
        own = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n",
            "entry_points.txt": points,
            "INSTALLER": "pip\n",
        }
        written = {site / file: text for file, text in files.items()}
        written |= {info / file: text for file, text in own.items()}
        for file, text in written.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        record = "".join(f"{file.relative_to(site)},,\n" for file in written)
        (info / "RECORD").write_text(record)
        monkeypatch.syspath_prepend(str(site))
        return Installed(site, os.pathsep.join([str(ROOT), str(site)]))

    return install


@pytest.fixture
def component_package(installed_package: Any) -> Callable[..., Installed]:
    """Install a package that adds one component: `component_package("halton", HALTON,
    searchers="Halton")` adds the searcher `halton`, whose class is `Halton`."""

    def install(name: str, text: str, **group: str) -> Installed:
        ((kind, entry),) = group.items()
        package = f"kerasweep_{name}"
        files = {f"{package}/__init__.py": "", f"{package}/{name}.py": text}
        groups = {kind: {name: f"{package}.{name}:{entry}"}}
        installed: Installed = installed_package(f"kerasweep-{name}", files, **groups)
        return installed

    return install


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
