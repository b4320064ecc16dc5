"""The watcher that logs a run: what `debug.log` says of trials, epochs and decisions."""

from typing import Any

from pipeline.logs import LOGGER
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trials import TrialRecord
from pipeline.watch import Conclusion, SearchPlan, Watcher


class Logged(Watcher):
    """A watcher that logs what it hears, an epoch in one line."""

    shows_warnings = False

    def preparing(self, what: str) -> None:
        """Log a step before the first trial."""
        LOGGER.debug("%s", what)

    def planned(self, plan: SearchPlan) -> None:
        """Log what the search will do."""
        experiment = plan.experiment
        LOGGER.debug(
            "plan: %d trials, %d at once, searcher %s, scheduler %s, objective %s",
            experiment.trials,
            plan.concurrent,
            experiment.searcher,
            experiment.scheduler,
            plan.objective,
        )

    def remembered(self, trials: list[TrialRecord], reports: list[Report]) -> None:
        """Log how much an earlier process recorded."""
        if trials:
            LOGGER.debug("resumed: %d trials, %d reports", len(trials), len(reports))

    def warned(self, text: str) -> None:
        """Log a warning."""
        LOGGER.warning("%s", text)

    def started(self, record: TrialRecord) -> None:
        """Log a trial that runs."""
        LOGGER.debug("%s runs: %s", record.trial, record.hyperparameters or record.configuration)

    def reported(self, report: Report) -> None:
        """Log an epoch."""
        LOGGER.debug("%s epoch %d: %s", report.trial, report.epoch, report.objective)

    def decided(self, decision: Any) -> None:
        """Log what the scheduler decided."""
        LOGGER.debug("decision: %s", decision)

    def waits(self, record: TrialRecord) -> None:
        """Log a trial that is paused."""
        LOGGER.debug("%s is paused", record.trial)

    def ended(self, record: TrialRecord) -> None:
        """Log a trial that is over."""
        LOGGER.debug("%s is over: %s%s", record.trial, record.status, _after_colon(record.error))

    def concluded(self, conclusion: Conclusion) -> None:
        """Log how the run ended."""
        how = "interrupted" if conclusion.interrupted else "over"
        LOGGER.debug("the run is %s%s", how, _after_colon(conclusion.error))


def _after_colon(what: object) -> str:
    return f": {what}" if what else ""
