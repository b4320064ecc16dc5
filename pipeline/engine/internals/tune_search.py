"""Tune's source of trials, in our words."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.experiment.config_parser import _create_trial_from_spec
from ray.tune.search.search_generator import SearchGenerator


class TrialSource(SearchGenerator):
    """Makes Tune's trials, under ids of ours; a subclass says which.

    Tune's own generator draws random ids and cannot take up a trial that exists; both are in one
    method, which this overrides (Ray 2.60).
    """

    def make_next(self) -> Trial | None:
        """The next trial, None for "not now"."""
        raise NotImplementedError

    def create_trial_if_possible(self, experiment_spec: dict[str, Any]) -> Trial | None:
        """What Tune calls."""
        return self.make_next()

    def make(self, trial_id: str, task: dict[str, Any]) -> Trial:
        """A trial that Tune can be given."""
        experiment: Any = self._experiment
        spec = {**experiment.spec, "config": task}
        trial: Trial = _create_trial_from_spec(
            spec, self._parser, evaluated_params={}, experiment_tag=trial_id, trial_id=trial_id
        )
        # Tune does this when it asks for an actor, but not when a waiting trial takes over one that
        # just came free.
        trial.init_local_path()
        return trial


def trial_that_is_over(trial_id: str, task: dict[str, Any]) -> Trial:
    """A trial for the scheduler alone: Tune is not given it, so it needs no folder."""
    return Trial("past", stub=True, trial_id=trial_id, config=task, _setup_default_resource=False)
