"""A search and its resume with a dataset, a model family, a searcher and a scheduler of packages."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline import Experiment, tune
from pipeline.engine.same_search import resumed
from pipeline.errors import RequestError
from pipeline.records.entries.decisions import Decision, read_decisions
from tests.extending.packages import install, install_component
from tests.extending.test_family import FILES, NAMES
from tests.extending.test_scheduler import HALFWAY
from tests.extending.test_searcher import HALTON

pytestmark = [pytest.mark.slow, pytest.mark.ray]

ADDED = {
    "dataset": "fewer",
    "search_space": "smallest",
    "searcher": "halton",
    "scheduler": "halfway",
}


@dataclass(frozen=True)
class Searched:
    """A run after its resume, and what there was before."""

    run: Any
    settings: dict[str, Any]
    trials: pd.DataFrame
    decisions: list[Decision]


@pytest.fixture(scope="module")
def searched(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    """Three trials, and a fourth by a resume; the packages stay installed."""
    folder = tmp_path_factory.mktemp("packages")
    settings = ADDED | {"max_epochs": 2, "max_concurrent": 1, "storage": str(folder / "runs")}
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(folder, monkeypatch, "their-models", FILES, **NAMES)
        install_component(folder, monkeypatch, "halton", HALTON, searchers="Halton")
        install_component(folder, monkeypatch, "halfway", HALFWAY, schedulers="Halfway")
        run = tune(Experiment(**settings, trials=3))
        trials, decisions = run.trials, read_decisions(run.layout)
        more = tune(Experiment(**settings, trials=4), resume=run.directory)
        yield Searched(more, settings, trials, decisions)


def test_each_is_recorded_by_its_name(searched: Searched) -> None:
    recorded = yaml.safe_load((searched.run.directory / "experiment.yaml").read_text())
    summary = json.loads((searched.run.directory / "summary.json").read_text())

    assert {kind: recorded[kind] for kind in ADDED} == ADDED
    assert summary["versions"]["kerasweep-halton"] == "1.5"
    assert "hyperopt" not in summary["versions"]
    assert summary["sources"]["search space"]["name"] == "smallest"
    assert Path(searched.run.directory).name.startswith("fewer-smallest")


def test_the_searcher_proposes_and_goes_on_where_it_was(searched: Searched) -> None:
    first, rates = (
        list(trials["learning_rate"]) for trials in (searched.trials, searched.run.trials)
    )

    assert len(set(rates)) == 4 and rates[:3] == first


def test_the_scheduler_decides_and_a_resume_keeps_to_it(searched: Searched) -> None:
    assert list(searched.trials["epochs"]) == [2, 1, 2]
    assert list(searched.trials["status"]) == ["finished", "stopped", "finished"]
    stopped = Decision("t0001", 1, "stop", rung=1, reason="Its number is odd.")
    assert searched.decisions == [stopped]
    assert list(searched.run.trials["epochs"]) == [2, 1, 2, 1]
    assert [d.trial for d in read_decisions(searched.run.layout)] == ["t0001", "t0003"]


def test_another_is_another_search(searched: Searched) -> None:
    with pytest.raises(RequestError, match=r"A resumed run keeps its searcher"):
        others = searched.settings | {"searcher": "random"}
        tune(Experiment(**others, trials=6), resume=searched.run.directory)
    with pytest.raises(RequestError, match=r"run of halfway keeps its max_epochs \(2\)"):
        resumed(searched.run.directory, max_epochs=4)
