"""From a configuration to a trial's task."""

import re
from collections.abc import Iterable

from pipeline.engine.cluster.capacity import devices_a_trial
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.trial_ids import number_of
from pipeline.records.entries.trials import TrialRecord
from pipeline.records.layout import Layout
from pipeline.schedulers.scheduler import scheduler_class
from pipeline.search.searcher import searcher_class
from pipeline.space.configuration import Configuration
from pipeline.worker.session import MEASURED, Job


def measured_plan(trials: Iterable[TrialRecord]) -> str:
    """The fit plan that was measured to be fastest on the GPUs of a run's trials; "" for none."""
    found = (re.search(rf"(\w+): {MEASURED}", record.fit_plan or "") for record in trials)
    return next((plan[1] for plan in found if plan), "")


class Jobs:
    """Makes the tasks of one search's trials.

    Args:
        experiment: what the search is asked to do.
        objective: what trials are compared by.
        layout: where the run is.
        starts: how many configurations were given to be tried first.
        gpu_plan: the fit plan that is fastest on their GPU; "" where none was measured.
    """

    def __init__(
        self,
        experiment: Experiment,
        objective: Objective,
        layout: Layout,
        starts: int = 0,
        gpu_plan: str = "",
    ) -> None:
        self._experiment, self._objective, self._layout = experiment, objective, layout
        self._starts, self._gpu_plan = starts, gpu_plan
        self._searcher = searcher_class(experiment.searcher)
        self._scheduler = scheduler_class(experiment.scheduler)
        self._rungs = (*self._scheduler.rungs(experiment), experiment.max_epochs)

    def __call__(self, trial: str, configuration: Configuration) -> Job:
        """The task of a trial under a configuration."""
        experiment = self._experiment
        return Job(
            trial,
            configuration,
            experiment.seed,
            experiment.max_epochs,
            self._objective,
            self._layout.checkpoints(trial),
            self._searcher.fill_of(number_of(trial), self._starts),
            experiment.repeats,
            folds=experiment.folds or 1,
            session_keeps=experiment.folds is not None,
            retries=experiment.max_retries_per_trial,
            class_weight=experiment.class_weight,
            fit_plan=experiment.fit_plan,
            gpu_plan=self._gpu_plan,
            devices=devices_a_trial(experiment),
            on_gpu=experiment.gpu_share > 0,
            keep_spare=self._scheduler.keeps_spares,
            rungs=self._rungs,
        )
