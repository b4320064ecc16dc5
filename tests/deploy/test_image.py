"""What goes into the image that deploy/rayjob.yaml describes."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def patterns(name):
    lines = (ROOT / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_an_image_is_made_without_the_history_and_without_what_git_ignores():
    # git's patterns hold in every folder, Docker's at the top, unless they say otherwise.
    ignored = {
        ("" if line.startswith("/") else "**/") + line.strip("/") for line in patterns(".gitignore")
    }
    assert {".venv", "runs", "**/__pycache__"} <= ignored
    assert patterns(".dockerignore") == ignored | {".git"}
