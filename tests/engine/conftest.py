"""Tune's own controller, made without Ray: what our words for it are held against."""

import pytest
from ray.train._internal.storage import StorageContext
from ray.tune.execution.tune_controller import TuneController
from ray.tune.search import BasicVariantGenerator


class TunesController:
    """A real one, and what a test does to it that Tune would do itself."""

    def __init__(self, storage, trials=()):
        self.tune = TuneController(
            search_alg=BasicVariantGenerator(), storage=storage, reuse_actors=True
        )
        for trial in trials:
            self.add(trial)

    @property
    def handed(self):
        """What a scheduler is handed."""
        return self.tune._wrapped()

    def add(self, trial):
        """Take up a trial."""
        self.tune.add_trial(trial)

    def give_worker(self, trial, worker):
        """Give a trial a worker, or have one started for it."""
        self.tune._trial_to_actor[trial] = worker

    def may_start(self):
        """How many trials Tune may start by itself."""
        return self.tune._max_pending_trials

    def keep_idle(self, kind, worker):
        """Whether Tune keeps a worker whose trial has let go of it."""
        return self.tune._actor_cache.cache_object(kind, worker)

    def fail(self, trial, exception):
        """Tell of a trial's worker that failed."""
        self.tune._trial_task_failure(trial, exception)


@pytest.fixture
def tunes_controller(monkeypatch, tmp_path):
    """Makes a controller of Tune's that has taken up trials."""
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")  # else it asks Ray, which does not run
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="engine")
    return lambda trials=(): TunesController(storage, trials)
