"""What tests of the engine share."""

import pytest
from ray.train._internal.storage import StorageContext

from tests.engine.stage import TunesController


@pytest.fixture
def tunes_controller(monkeypatch, tmp_path):
    """Makes a controller of Tune's that has taken up trials."""
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")  # else it asks Ray, which does not run
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="engine")
    return lambda trials=(): TunesController(storage, trials)
