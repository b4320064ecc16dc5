"""Ray's own schedulers behind our protocol: one adapter, and a class for each that is offered.

Ray is imported when one is made, so what is asked of a class costs no Ray.
"""

import math
import statistics
from dataclasses import replace
from typing import Any, ClassVar

from pipeline.engine.schedulers.words import VERDICT, RaysTrial
from pipeline.schedulers.rung import Rung
from pipeline.schedulers.scheduler import Context, Decision, Scheduler, Settings, Trial, Verdict


class RaysScheduler(Scheduler):
    """A scheduler of Ray's, counting epochs: a restarted trial repeats iterations, never epochs."""

    # why a trial is paused or stopped, in a sentence
    reasons: ClassVar[dict[Verdict, str]]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        shared = {
            "time_attr": "epoch",
            "metric": "objective",
            "mode": context.objective.direction,
            "grace_period": context.experiment.grace_epochs,
        }
        self._rays = self.make(context.experiment, shared)
        self._trials: dict[str, RaysTrial] = {}

    @classmethod
    def make(cls, experiment: Settings, shared: dict[str, Any]) -> Any:
        """Ray's scheduler, given what all of them take."""
        raise NotImplementedError

    def added(self, trial: Trial) -> None:
        """A new trial."""
        super().added(trial)
        self._trials[trial.id] = RaysTrial(trial)
        self._rays.on_trial_add(self, self._trials[trial.id])

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """What Ray decides."""
        result = {"epoch": epoch, "objective": objective}
        verdict = VERDICT[self._rays.on_trial_result(self, self._trials[trial], result)]
        return Decision(trial, epoch, verdict, reason=self.reasons.get(verdict, ""))

    def ended(
        self, trial: str, last: tuple[int, float] | None = None, *, failed: bool = False
    ) -> None:
        """A trial is over."""
        super().ended(trial, last, failed=failed)
        rays = self._trials.pop(trial)
        if last is None:
            self._rays.on_trial_remove(self, rays)
        else:
            epoch, objective = last
            self._rays.on_trial_complete(self, rays, {"epoch": epoch, "objective": objective})

    # What Ray's schedulers ask of Tune's controller.

    def get_live_trials(self) -> set[Any]:
        """The trials that have not ended."""
        return set(self._trials.values())


class StoppingHalving(RaysScheduler):
    """Ray's: a trial that is not among the best when it comes to a rung is stopped."""

    reasons: ClassVar[dict[Verdict, str]] = {"stop": "It is not among the best that came so far."}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._rungs = [Rung(epoch) for epoch in self.rungs(context.experiment)]

    @classmethod
    def make(cls, experiment: Settings, shared: dict[str, Any]) -> Any:
        """Ray's `ASHAScheduler`."""
        from ray.tune.schedulers import ASHAScheduler

        factor = experiment.reduction_factor
        return ASHAScheduler(**shared, max_t=experiment.max_epochs, reduction_factor=factor)

    @classmethod
    def rungs(cls, experiment: Settings) -> tuple[int, ...]:
        """The rungs that Ray makes; one between two epochs is met at the second."""
        grace, factor = experiment.grace_epochs, experiment.reduction_factor
        count = int(math.log(experiment.max_epochs / grace) / math.log(factor) + 1)
        epochs = {math.ceil(grace * factor**rung) for rung in range(count)}
        return tuple(sorted(epoch for epoch in epochs if epoch < experiment.max_epochs))

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """What Ray decides, with the rung that it did so at."""
        decision = super().reported(trial, epoch, objective)
        new = [rung for rung in self._rungs if rung.epoch <= epoch and trial not in rung.came]
        for rung in new:
            rung.arrive(trial, epoch, self.context.objective.loss(objective))
            if decision.verdict == "continue":
                rung.let_on.add(trial)
        if epoch >= self.context.experiment.max_epochs:
            return replace(decision, reason="It has had all of its epochs.")
        if not new:
            return decision
        why = decision.reason or "It is among the best that came so far."
        return new[-1].decision(trial, decision.verdict, why)


class MedianStopping(RaysScheduler):
    """Stops a trial whose best is below the median of the others.

    It is Ray's, and compares with the others' means.
    """

    reasons: ClassVar[dict[Verdict, str]] = {
        "pause": "Too few trials have trained for as long; others go first."
    }

    @classmethod
    def make(cls, experiment: Settings, shared: dict[str, Any]) -> Any:
        """Ray's `MedianStoppingRule`."""
        from ray.tune.schedulers import MedianStoppingRule

        return MedianStoppingRule(**shared)

    @classmethod
    def rungs(cls, experiment: Settings) -> tuple[int, ...]:
        """The epochs at which what lies behind a trial has doubled.

        It may be stopped after each. But a trial that has done well for so long is as likely to go
        on for as long again.
        """
        grace, most = experiment.grace_epochs, experiment.max_epochs
        return tuple(e for n in range(most.bit_length()) if (e := grace * 2**n) < most)

    def reported(self, trial: str, epoch: int, objective: float) -> Decision:
        """What Ray decides; a stop with the trial's rank among the others' means."""
        decision = super().reported(trial, epoch, objective)
        if decision.verdict != "stop":
            return decision
        from pipeline.engine.internals.tune_schedulers import compared_by_median

        best, means = compared_by_median(self._rays, self._trials[trial], epoch)
        loss = self.context.objective.loss
        return replace(
            decision,
            rank=1 + sum(loss(mean) < loss(best) for mean in means),
            of=1 + len(means),
            reason=f"Its best, {best:.4g}, is worse than {statistics.median(means):.4g}, the "
            "median of the others' means so far.",
        )

    def recalled(self, trial: str, epoch: int, objective: float, *, went_on: bool) -> Decision:
        """What Ray decides; it hears more of a trial that it stops now and that went on then."""
        decision = self.reported(trial, epoch, objective)
        if went_on and decision.verdict == "stop":
            from pipeline.engine.internals.tune_schedulers import go_on_deciding

            go_on_deciding(self._rays, self._trials[trial])
        return decision
