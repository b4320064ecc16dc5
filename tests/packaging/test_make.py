"""What `make venv` says of a Python that does not suit, in one line, before it makes anything, and
what `make pins` asks of pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = "Python 3.11, 3.12 or 3.13 is needed (TensorFlow has no wheel for 3.14 yet)"


def make(folder, *arguments, target="venv", **environment):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, folder)
    return subprocess.run(
        ["make", target, *arguments],
        cwd=folder,
        # As from a terminal: under `make test` the flags of that make would come with it.
        env=os.environ | {"MAKEFLAGS": "", "MAKELEVEL": "0"} | environment,
        capture_output=True,
        text=True,
    )


def pretended(folder, version, name="python"):
    """A program that answers as a Python of a version does to what the Makefile asks."""
    major, minor = version.split(".")
    program = folder / name
    program.write_text(
        f"""#!/bin/sh
case $1 in
--version) echo "Python {version}.0" ;;
-c) exec {sys.executable} -c "import sys; sys.version_info = ({major}, {minor}, 0); $2" ;;
-m) echo "made with {version}" >&2; exit 7 ;;
esac
"""
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_a_python_that_does_not_suit_is_refused_in_one_line(version, tmp_path):
    python = pretended(tmp_path, version)
    done = make(tmp_path, f"PYTHON={python}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"{NEEDED}; {python} is Python {version}.0."
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_a_python_that_suits_makes_the_environment(version, tmp_path):
    done = make(tmp_path, f"PYTHON={pretended(tmp_path, version)}")
    assert done.stderr.splitlines()[0] == f"made with {version}"


def test_where_there_is_no_python_that_suits_it_is_said(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "touch"):
        (programs / name).symlink_to(shutil.which(name))
    for name in ("python3", "python3.13"):
        pretended(programs, "3.14", name)
    done = make(tmp_path, PATH=str(programs))
    assert done.returncode == 2
    said = f"{NEEDED}, and none was found. Install it, or name it: make PYTHON=/path/to/python"
    assert done.stderr.splitlines()[0] == said
    pretended(programs, "3.12", "python3.12")
    assert "made with 3.12" in make(tmp_path, PATH=str(programs)).stderr


@pytest.fixture
def environment(tmp_path):
    """A .venv whose Python writes down what it is asked of pip; `fails` is what pip refuses."""

    def made(fails="nothing"):
        program = tmp_path / ".venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text(
            f"""#!/bin/sh
[ "$1" = -m ] || exec {sys.executable} "$@"
echo "$@" >> asked.txt
case "$*" in *"{fails}"*) exit 1 ;; esac
"""
        )
        program.chmod(0o755)
        shutil.copy2(ROOT / "pyproject.toml", tmp_path)
        shutil.copy2(ROOT / "constraints.txt", tmp_path)
        (program.parents[1] / ".installed").touch()
        return tmp_path

    return made


def test_all_pins_are_resolved_to_wheels_for_each_python_and_none_is_downloaded(environment):
    folder = environment()
    done = make(folder, target="pins")
    assert done.returncode == 0, done.stderr
    said = [f"Python 3.{n}: all pins resolve to wheels." for n in (11, 12, 13)]
    assert done.stdout.splitlines() == said
    _, *asked = (folder / "asked.txt").read_text().splitlines()
    for version, line in zip(("3.11", "3.12", "3.13"), asked, strict=True):
        assert (
            f"--dry-run --ignore-installed --only-binary=:all: --python-version {version}" in line
        )
        assert line.endswith("-r .venv/requirements-pins.txt -r constraints.txt")
    names = (folder / ".venv" / "requirements-pins.txt").read_text().splitlines()
    assert {"keras>=3.15", "torch", "jax", "ruff", "tensorflow[and-cuda]>=2.21"} <= set(names)


def test_where_they_do_not_resolve_for_one_python_that_ends_it(environment):
    done = make(environment(fails="--python-version 3.12"), target="pins")
    assert done.returncode == 2
    assert done.stdout.splitlines() == ["Python 3.11: all pins resolve to wheels."]
