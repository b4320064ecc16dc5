"""What schedulers of ours have in common that pause trials and let some of them go on."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler


class Pausing(TrialScheduler):
    """Knows who is still in the search; a subclass says who goes on."""

    _supports_buffered_results = False

    def __init__(self) -> None:
        self._members: dict[str, Trial] = {}

    def ready(self) -> int:
        """How many paused trials go on as soon as they are let run."""
        raise NotImplementedError

    def repeated(self, trial: Trial, epoch: int) -> str:
        """The decision on an epoch that was seen before.

        A worker may be lost before it has saved for its pause.
        """
        raise NotImplementedError

    def compared(self, trial: str) -> bool:
        """Whether a trial was compared with others, under hyperparameters that stay its own.

        It can be learnt from.
        """
        return False

    def failed(self, trial: Trial) -> None:
        """A trial is lost or failed, and is about to be gone."""

    def paused(self) -> list[Trial]:
        """The trials that wait."""
        return [t for t in self._members.values() if t.status == Trial.PAUSED]

    def all_wait(self) -> bool:
        """Whether nothing goes on before it is known that no more trials come."""
        return len(self.paused()) == len(self._members) and not self.ready()

    # What Tune calls.

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Nothing to set."""
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new member."""
        self._members[trial.trial_id] = trial

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A member is gone."""
        self._members.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """A member is gone."""
        self._members.pop(trial.trial_id, None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """A member is gone."""
        self._members.pop(trial.trial_id, None)
