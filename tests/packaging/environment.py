"""A wheel of this checkout, and environments that it is installed into.

An environment sees what is installed here, so that nothing is downloaded; ours comes from the wheel
alone.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
SITE = Path(sysconfig.get_path("purelib")).resolve()  # a host has a `/tmp` of its own
SOURCES = (
    *("pipeline", "datasets", "search_spaces", "pyproject.toml", "setup.py", "MANIFEST.in"),
    *("README.md", "LICENSE", "NOTICE", "tests"),
)
NO_CACHE = shutil.ignore_patterns("__pycache__", "*.pyc")


def pip(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wheel_of(project, folder):
    """The wheel that pip builds of a project's folder, or of an sdist."""
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder, project, cwd=folder.parent)
    (wheel,) = folder.glob("*.whl")
    return wheel


def copy_of_sources(folder):
    """What a wheel is built of, in a folder of its own: a build writes beside it."""
    folder.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=NO_CACHE)
        else:
            shutil.copy2(ROOT / name, folder)
    return folder


class Environment:
    """A Python of its own, with what is installed here, and without this checkout."""

    def __init__(self, folder):
        venv.create(folder, symlinks=True)
        self.bin = folder / "bin"
        (self.site,) = folder.glob("lib/python*/site-packages")
        (self.site / "here.pth").write_text(f"{SITE}\n")

    def add_script(self, name):
        """A command of what is installed here, under this Python."""
        first, _, rest = (Path(sys.prefix) / "bin" / name).read_text().partition("\n")
        assert first.startswith("#!") and "python" in first, first
        (self.bin / name).write_text(f"#!{self.bin / 'python'}\n{rest}")
        (self.bin / name).chmod(0o755)

    def pip(self, *arguments):
        return pip("--python", self.bin / "python", *arguments, cwd=self.site)

    def run(self, program, *arguments, cwd, **environment):
        done = subprocess.run(
            [str(self.bin / program), *map(str, arguments)],
            cwd=cwd,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
