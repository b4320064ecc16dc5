"""Ray's words for a trial and a decision, and ours: each as the other sees it.

Ray is not imported: its words are written out.
"""

from typing import TYPE_CHECKING

from pipeline.schedulers.scheduler import Status, Trial, Verdict

if TYPE_CHECKING:
    from ray.tune.experiment import Trial as TunesTrial

_STATUS: dict[str, Status] = {
    "PENDING": "queued",
    "RUNNING": "running",
    "PAUSED": "paused",
    "TERMINATED": "ended",
}
_RAYS_STATUS = {ours: rays for rays, ours in _STATUS.items()}
VERDICT: dict[str, Verdict] = {"CONTINUE": "continue", "PAUSE": "pause", "STOP": "stop"}
ACTION: dict[Verdict, str] = {ours: rays for rays, ours in VERDICT.items()}


class OurTrial:
    """A trial of Tune's, as a scheduler of ours sees it."""

    def __init__(self, trial: "TunesTrial") -> None:
        self._trial = trial
        self.id: str = trial.trial_id

    @property
    def status(self) -> Status:
        """What it does now; one that Tune is about to queue again has ended for the moment."""
        return _STATUS.get(self._trial.status, "ended")


class RaysTrial:
    """A trial of ours, as a scheduler of Ray's sees it."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.trial_id = trial.id

    @property
    def status(self) -> str:
        """What it does now, in Ray's words."""
        return _RAYS_STATUS[self._trial.status]
