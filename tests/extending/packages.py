"""Packages that add components, installed as pip leaves them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """Where a package lies, and the PYTHONPATH by which another process finds it."""

    folder: Path
    path: str


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    files: Mapping[str, str],
    **groups: Mapping[str, str],
) -> Installed:
    """Install a package: `install(…, "their-package", {"their/mine.py": "…"},
    searchers={"mine": "their.mine:Mine"})`. It is on the path of this process."""
    site = folder / name / "site-packages"
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


def install_component(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, **group: str
) -> Installed:
    """Install a package that adds one component: `install_component(…, "halton", HALTON,
    searchers="Halton")` adds the searcher `halton`, whose class is `Halton`."""
    ((kind, entry),) = group.items()
    package = f"kerasweep_{name}"
    files = {f"{package}/__init__.py": "", f"{package}/{name}.py": text}
    groups = {kind: {name: f"{package}.{name}:{entry}"}}
    return install(folder, monkeypatch, f"kerasweep-{name}", files, **groups)
