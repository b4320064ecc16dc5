"""Run tests against the installed wheel: from a copy of this checkout that lacks the sources.

Run: python -m tests.packaging.with_wheel tests/hosts tests/cli/test_sweeps.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.packaging.environment import ROOT, Environment, copy_of_sources, wheel_of

IN_THE_WHEEL = ("pipeline", "datasets", "search_spaces", "setup.py")
PROGRAM = "import pipeline; print(pipeline.__file__)"


def main(arguments):
    """The exit status of pytest."""
    # not under /tmp: a host of the tests has one of its own
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="kerasweep-wheel-") as place:
        folder = Path(place)
        wheel = wheel_of(copy_of_sources(folder / "source"), folder / "wheel")
        environment = Environment(folder / "environment")
        environment.pip("install", "--no-deps", wheel)
        environment.add_script("ray")
        checkout = copy_without_sources(folder / "checkout")
        found = environment.run("python", "-c", PROGRAM, cwd=checkout)
        assert found.startswith(str(environment.site)), found
        python = str(environment.bin / "python")
        return subprocess.run([python, "-m", "pytest", *arguments], cwd=checkout).returncode


def copy_without_sources(folder):
    """All files that git knows, but those that the wheel has."""
    known = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in known.split("\0"):
        if name and name.split("/")[0] not in IN_THE_WHEEL:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
