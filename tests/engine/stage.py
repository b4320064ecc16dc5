"""Tune's own controller, made without Ray: what our words for it are held against."""

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.search import BasicVariantGenerator


class _Folderless(Trial):
    """Writes no file of its errors: for its folder Ray would have to run."""

    local_path = None


def trial_of(name, status=Trial.PENDING):
    """A trial of Tune's, by itself."""
    trial = _Folderless("kerasweep", stub=True, trial_id=name, max_failures=2)
    trial.set_status(status)
    return trial


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

    def start(self, trial):
        """Have a trial run."""
        self.tune._set_trial_status(trial, Trial.RUNNING)

    def may_start(self):
        """How many trials Tune may start by itself."""
        return self.tune._max_pending_trials

    def keep_idle(self, kind, worker):
        """Whether Tune keeps a worker whose trial has let go of it."""
        return self.tune._actor_cache.cache_object(kind, worker)

    def fail(self, trial, exception):
        """Tell of a trial's worker that failed."""
        self.tune._trial_task_failure(trial, exception)
