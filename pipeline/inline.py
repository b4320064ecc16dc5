"""One trial in this process, for debugging.

No Ray, breakpoints work, a user's exception comes through unwrapped.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline import names
from pipeline.engine.cluster.capacity import devices_a_trial
from pipeline.errors import ProgramError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.reports import Report
from pipeline.records.entries.trial_ids import id_of
from pipeline.watch import Watcher, Watchers


def run_inline(experiment: Experiment, watchers: Sequence[Watcher] = ()) -> None:
    """Train the first random configuration.

    Nothing is recorded but its checkpoints, in a temporary folder.

    Args:
        experiment: its dataset (of folds the first), search space, objective, epochs and seed are
            used.
        watchers: are told of the folder and of each epoch.
    """
    from pipeline.worker.devices import machine

    machine.claim(experiment.cpus_per_trial, experiment.gpu_share)
    from pipeline.worker.session import Job, TrialUpdate
    from pipeline.worker.spaces.loading import load_dataset, load_search_space
    from pipeline.worker.training.trial import train

    data = load_dataset(experiment.resolved_dataset(), experiment.seed, experiment.folds).fold(0)
    family = load_search_space(names.resolve("search space", experiment.search_space))
    objective = Objective.of(experiment.objective, data.describe()["task"])
    directory = Path(tempfile.mkdtemp(prefix="kerasweep-inline-"))
    trial, watcher = id_of(0), Watchers(watchers)
    watcher.directory(directory)

    class Telling:
        def report(self, update: TrialUpdate, checkpoint: Callable[[], None]) -> None:
            watcher.reported(Report.of(trial, update.report, time.time()))
            if update.failure is not None:
                raise ProgramError(f"The trial failed: {update.failure.reason}")

    together = devices_a_trial(experiment)
    job = Job(
        trial,
        {},
        experiment.seed,
        experiment.max_epochs,
        objective,
        directory,
        class_weight=experiment.class_weight,
        fit_plan=experiment.fit_plan,
        devices=together,
    )
    train(job, family, data, Telling(), unwrapped=True)
