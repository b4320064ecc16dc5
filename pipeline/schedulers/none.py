"""No decision: what a search does without a scheduler."""

from pipeline.schedulers.scheduler import Decision, Scheduler


class EveryEpoch(Scheduler):
    """Every trial runs to its end."""

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """Go on."""
        return Decision(trial, epoch, "continue")
