"""A run of version 0.1, whose files call fit plans "execution" and hold no checksums of outputs.

`tests/records/earlier_run` is `digits --search-space mlp --trials 2 --max-epochs 2 --cpus 2
--execution looped`, without the model and the checkpoints.
"""

import shutil
from pathlib import Path

import pytest

from pipeline.console.result import result_rows
from pipeline.engine.same_search import check_same_search, resumed
from pipeline.engine.tuning import go_on
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.records.outputs.results import Results
from pipeline.records.settings import read_settings
from pipeline.watch import Watcher

EARLIER = Path(__file__).parents[1] / "records" / "earlier_run"


def test_what_it_called_execution_is_read_as_fit_plan():
    layout, results = Layout(EARLIER), Results(EARLIER)
    experiment = resumed(EARLIER)
    assert experiment.fit_plan == read_settings(layout)["fit_plan"] == "looped"
    check_same_search(experiment, layout, read_settings(layout))
    assert [r.fit_plan for r in read_trials(layout).values()] == ["looped: asked for"] * 2
    assert results.summary["fit_plans"] == {"looped: asked for": 2}
    assert "execution" not in results.summary


def test_its_tables_are_read_and_nothing_is_asked_of_what_has_no_checksum():
    results = Results(EARLIER)
    assert list(results.trials["status"]) == ["stopped", "finished"] and len(results.history) == 3
    model = EARLIER / "best" / "model.keras"
    assert results.faults() == [f"{model} must be the best model; it is missing."]


@pytest.mark.ray
@pytest.mark.slow
def test_it_is_gone_on_with(ray_cluster, tmp_path):
    run = Layout(shutil.copytree(EARLIER, tmp_path / "earlier_run"))
    before = read_history(run)
    said = []

    class Hearing(Watcher):
        def warned(self, text):
            said.append(text)

    longer = go_on(run.root, {"trials": 3}, watchers=[Hearing()])

    assert said == [
        f"{run.best_model} must be the best model; it is missing. It is written anew at the end."
    ]
    beaten = result_rows(longer)["beaten"]
    assert beaten.startswith("The best model does not beat the logistic regression")
    assert longer.summary["trials"]["total"] == 3 and longer.faults() == []
    assert read_history(run)[: len(before)] == before
    assert longer.summary["fit_plans"] == {"looped: asked for": 3}
    assert "execution" not in run.summary.read_text()
