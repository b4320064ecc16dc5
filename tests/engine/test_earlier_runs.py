"""A run of version 0.1, whose files call fit plans "execution" and hold no checksums of outputs.

`tests/records/earlier_run` is `digits --search-space mlp --trials 2 --max-epochs 2 --cpus 2
--execution looped`, without the model and the checkpoints.
"""

import shutil
from pathlib import Path

import pytest

from pipeline.console.result import result_rows
from pipeline.engine.past import Past
from pipeline.engine.same_search import check_same_search, resumed
from pipeline.engine.tuning import go_on, tune
from pipeline.errors import RequestError
from pipeline.records.entries.reports import read_history
from pipeline.records.entries.trials import read_trials
from pipeline.records.layout import Layout
from pipeline.records.outputs.results import Results
from pipeline.records.settings import read_experiment, read_settings, write_experiment
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


@pytest.fixture
def recorded(tmp_path):
    """A function: a line of its `experiment.yaml`, or nothing -> the run with that in the place of
    what it says of GPUs."""

    def write(line=""):
        run = Layout(shutil.copytree(EARLIER, tmp_path / "earlier_run"))
        write_experiment(run, read_experiment(run).replace("gpus_per_trial: 0.0\n", line))
        return run

    return write


def test_its_trials_keep_to_cpus_also_where_the_setting_is_not_recorded(recorded):
    assert resumed(EARLIER).gpus_per_trial == 0
    run = recorded()
    assert resumed(run.root).gpus_per_trial is None
    with Past(run, print) as past:
        assert past.gpus_per_trial == 0


@pytest.mark.ray
def test_a_resume_that_does_not_say_what_trials_have_of_gpus_leaves_it_as_it_was(
    ray_cluster, recorded
):
    run = recorded("gpus_per_trial: 3\n")
    experiment = resumed(run.root, trials=3).changed(gpus_per_trial=None)
    with pytest.raises(RequestError, match="it needs 1 CPU, 3 GPU"):
        tune(experiment, resume=run.root, quiet=True)


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
