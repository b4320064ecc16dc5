"""A model family and a dataset of an installed package are used by their names."""

from pathlib import Path
from typing import Any

import pytest
import yaml

SPACES = Path(__file__).parents[1] / "spaces"


@pytest.fixture
def theirs(installed_package: Any) -> Any:
    """A package that adds the dataset `fewer` and the search space `smallest`."""
    files = {
        "their_models/__init__.py": "",
        "their_models/fewer.py": f'"""Fewer digits."""\n{(SPACES / "few.py").read_text()}',
        "their_models/smallest.py": f'"""The smallest."""\n{(SPACES / "tiny.py").read_text()}',
    }
    return installed_package(
        "their-models",
        files,
        datasets={"fewer": "their_models.fewer"},
        search_spaces={"smallest": "their_models.smallest:build"},
    )


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


@pytest.mark.ray
def test_they_are_searched_recorded_and_resumed(search: Any, theirs: Any) -> None:
    settings = {"dataset": "fewer", "search_space": "smallest", "max_epochs": 1}
    run = search(**settings, trials=2)

    recorded = yaml.safe_load((run.directory / "experiment.yaml").read_text())
    assert (recorded["dataset"], recorded["search_space"]) == ("fewer", "smallest")
    assert run.summary["sources"]["search space"]["name"] == "smallest"
    assert run.directory.name.startswith("fewer-smallest")
    assert len(search(**settings, trials=3, resume=run.directory).trials) == 3
