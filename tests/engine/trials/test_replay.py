"""What a resume finds out while it replays the past."""

import pytest

from pipeline.records.checksummed import write_checksummed
from pipeline.records.entries.trials import read_trials


@pytest.mark.ray
@pytest.mark.slow
def test_a_trial_whose_stop_was_not_recorded_any_more_is_over_and_its_weights_stay(search):
    settings = {
        "scheduler": "asha-stopping",
        "searcher": "random",
        "max_epochs": 4,
        "max_concurrent": 1,
    }
    run = search(trials=5, **settings)
    ended = run.trials.set_index("trial")
    name = ended.index[ended["status"] == "stopped"][0]
    record = read_trials(run.layout)[name].to_plain() | {"status": "running", "ended": None}
    write_checksummed(run.layout, run.layout.trial_record(name), record)
    weights = run.layout.trial(name) / "best.npz"
    before = weights.read_bytes()

    again = search(resume=run.directory, trials=6, **settings)

    assert again.trials.set_index("trial")["status"][name] == "stopped"
    assert weights.read_bytes() == before
    assert len(list(run.layout.trials.rglob("best.npz"))) == 6
