"""A model family and a dataset of an installed package are used by their names."""

from pathlib import Path
from typing import Any

import pytest

SPACES = Path(__file__).parents[1] / "spaces"


FILES = {
    "their_models/__init__.py": "",
    "their_models/fewer.py": f'"""Fewer digits."""\n{(SPACES / "few.py").read_text()}',
    "their_models/smallest.py": f'"""The smallest."""\n{(SPACES / "tiny.py").read_text()}',
}
NAMES = {
    "datasets": {"fewer": "their_models.fewer"},
    "search_spaces": {"smallest": "their_models.smallest:build"},
}


@pytest.fixture
def theirs(installed_package: Any) -> Any:
    """A package that adds the dataset `fewer` and the search space `smallest`."""
    return installed_package("their-models", FILES, **NAMES)


def test_they_are_listed_with_the_package(cli: Any, theirs: Any) -> None:
    _, output, _ = cli("--list", PYTHONPATH=theirs.path)
    lines = " ".join(output.split())

    assert "fewer Fewer digits. [their-models]" in lines
    assert "smallest The smallest. [their-models]" in lines


def test_a_refusal_names_them(cli: Any, theirs: Any, tmp_path: Path) -> None:
    _, _, errors = cli("fewr", cwd=tmp_path, PYTHONPATH=theirs.path)
    assert "Known: breast_cancer, diabetes, digits, fewer, mnist. Did you mean 'fewer'?" in errors
    _, _, errors = cli("fewer", "--search-space", "smalest", cwd=tmp_path, PYTHONPATH=theirs.path)
    assert "Known: cnn, mlp, resnet, smallest, xception. Did you mean 'smallest'?" in errors
