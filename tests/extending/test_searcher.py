"""A searcher is added by one file, and by one line or an installed package: the rest follows."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import RequestError
from pipeline.experiment import Experiment
from pipeline.search import SEARCHERS

HALTON = '''"""Halton sequences."""

from pipeline.search.searcher import Searcher


class Halton(Searcher):
    """Quasi-random search: the Halton sequence over the unit cube."""

    distribution = "kerasweep-halton"

    def propose(self, number, attempt):
        """The next point of the sequence, in a base of its own for each hyperparameter."""
        names = sorted(self.known)
        place = number + 1 + attempt * self.trials
        return {
            name: self.known[name].from_unit(_reversed(place, base))
            for name, base in zip(names, _primes(len(names)), strict=True)
        }


def _reversed(number, base):
    value, part = 0.0, 1.0 / base
    while number:
        number, digit = divmod(number, base)
        value += digit * part
        part /= base
    return value


def _primes(count):
    found, n = [], 2
    while len(found) < count:
        if all(n % p for p in found):
            found.append(n)
        n += 1
    return found
'''


@pytest.fixture
def halton(component_package: Any) -> Any:
    """A package that adds the searcher `halton`."""
    return component_package("halton", HALTON, searchers="Halton")


def test_a_packages_searcher_is_listed_with_the_package(cli: Any, halton: Any) -> None:
    code, output, _ = cli("--list", PYTHONPATH=halton.path)
    lines = " ".join(output.split())

    assert code == 0
    assert "halton Quasi-random search: the Halton sequence over the unit cube." in lines
    assert "[kerasweep-halton]" in lines


def test_the_help_names_it(cli: Any, halton: Any) -> None:
    _, output, _ = cli("--help", PYTHONPATH=halton.path)

    assert "grid, halton, hyperopt, random" in " ".join(output.split())


def test_a_refusal_names_it(cli: Any, halton: Any, tmp_path: Path) -> None:
    code, _, errors = cli("digits", "--searcher", "haltn", cwd=tmp_path, PYTHONPATH=halton.path)

    assert code == 2
    assert "Known: grid, halton, hyperopt, random. Did you mean 'halton'?" in errors


@pytest.mark.slow
@pytest.mark.ray
def test_a_searcher_of_a_file_is_found_again_from_another_folder(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "halton.py").write_text(HALTON)
    monkeypatch.chdir(tmp_path / "mine")
    settings = {"searcher": "halton.py:Halton", "scheduler": "none", "max_epochs": 1}
    run = search(**settings, trials=2)
    recorded = yaml.safe_load((run.directory / "experiment.yaml").read_text())["searcher"]

    assert recorded == f"{tmp_path / 'mine' / 'halton.py'}:Halton"
    monkeypatch.chdir("/")
    more = search(**settings | {"searcher": recorded}, trials=3, resume=run.directory)
    assert len(more.trials) == 3


def test_one_file_and_one_line_make_a_searcher_of_ours(component_of_ours: Any) -> None:
    from pipeline.components import OURS, Listed, listed, load
    from pipeline.search.searcher import Searcher

    component_of_ours("halton", HALTON, SEARCHERS, "Halton")

    line = "Quasi-random search: the Halton sequence over the unit cube."
    assert Listed("halton", line, OURS) in listed("searcher")
    assert Experiment(dataset="digits", searcher="halton").searcher == "halton"
    assert load("searcher", "halton", Searcher).__name__ == "Halton"
    with pytest.raises(RequestError, match="Known: grid, halton, hyperopt, random"):
        Experiment(dataset="digits", searcher="x")


def test_it_passes_the_conformance_test(halton: Any) -> None:
    from pipeline.search.searcher import searcher_class
    from pipeline.testing.searchers import check_searcher

    check_searcher(searcher_class("halton"))


def test_a_searcher_that_nobody_can_find_is_refused(cli: Any, tmp_path: Path) -> None:
    code, _, errors = cli("digits", "--searcher", "no.such:Class", cwd=tmp_path)
    assert code == 2 and "Unknown searcher 'no.such'. Known: grid, hyperopt, random." in errors

    (tmp_path / "mine.py").write_text("class Mine: ...\n")
    code, _, errors = cli("digits", "--searcher", "mine.py", cwd=tmp_path)
    assert code == 2 and "A searcher must be named with its class, as my_module:MyClass" in errors
    code, _, errors = cli("digits", "--searcher", "mine.py:Yours", cwd=tmp_path)
    assert code == 2 and "A searcher must define Yours; " in errors and "defines Mine." in errors
    code, _, errors = cli("digits", "--searcher", "mine.py:Mine", cwd=tmp_path)
    assert code == 2 and "A searcher must be a class made from pipeline.search.searcher." in errors
    assert os.listdir(tmp_path) == ["mine.py"] or set(os.listdir(tmp_path)) <= {
        "mine.py",
        "__pycache__",
    }
