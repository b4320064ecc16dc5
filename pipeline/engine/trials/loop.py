"""The trials of a search under Tune: all that proposes, decides, records and ends them."""

import time
from dataclasses import dataclass
from typing import Any

from pipeline.engine.cluster.capacity import resources_of, seat_of
from pipeline.engine.cluster.growth import Growth
from pipeline.engine.cluster.nodes import Newcomers
from pipeline.engine.faults.blame import Blame
from pipeline.engine.faults.hangs import Hangs
from pipeline.engine.internals.ray_process import keep_signals
from pipeline.engine.internals.tune_output import NoOutput, NoTable
from pipeline.engine.internals.tune_seats import Seating
from pipeline.engine.preparation import Prepared
from pipeline.engine.trials.ask_tell import AskTell, Trials
from pipeline.engine.trials.generations import RecordedGenerations
from pipeline.engine.trials.gpu_shares import Shares
from pipeline.engine.trials.host import Host
from pipeline.engine.trials.jobs import Jobs, measured_plan
from pipeline.engine.trials.recorder import Recorder, tell_past
from pipeline.engine.trials.replay import replay
from pipeline.engine.trials.stopping import StopRule
from pipeline.engine.trials.supervisor import Supervisor
from pipeline.errors import KerasweepError
from pipeline.records.layout import Layout
from pipeline.records.ledger import Ledger
from pipeline.records.retention import Retention
from pipeline.schedulers.scheduler import Context, scheduler_class
from pipeline.search.searcher import Searcher, searcher_class
from pipeline.watch import Interruption, Watcher


@dataclass(frozen=True)
class Ended:
    """How the trials ended: a fault that ended them all, and whether nothing was left to try."""

    fatal: KerasweepError | None
    exhausted: bool


def run_trials(
    prepared: Prepared,
    layout: Layout,
    ledger: Ledger,
    retention: Retention,
    growth: Growth,
    watcher: Watcher,
    interruption: Interruption,
    left_s: float | None,
    trainable: Any = None,
) -> Ended:
    """Train until every trial is over, or the search is to end.

    Args:
        prepared: what was found out before.
        layout: where the run is.
        ledger: its records, those of an earlier process among them.
        retention: decides which checkpoints stay.
        growth: the nodes of the cluster.
        watcher: is told how it goes.
        interruption: ends the search early.
        left_s: seconds of the time budget that are left; None for no budget.
        trainable: what trains in a worker, where that is not Keras (`benchmarks/overhead.py`).
    """
    from ray import tune as ray_tune

    experiment, objective, space = prepared.experiment, prepared.objective, prepared.space
    searcher = _searcher(prepared)
    tell_past(ledger, searcher, objective)
    gpu_plan = prepared.gpu_plan or measured_plan(ledger.trials.values())
    jobs = Jobs(experiment, objective, layout, len(prepared.first), gpu_plan)
    shares = Shares(experiment, ledger, jobs, space.weights, watcher.warned, prepared.seats)

    def give(trial: str, values: dict[str, Any]) -> None:
        supervisor.give_task(trial, adapter.task(trial, values))

    generations = RecordedGenerations(
        ledger,
        layout,
        objective,
        experiment.seed,
        experiment.repeats,
        space.roles,
        space.fits,
        give,
    )
    context = Context(experiment, objective, lambda: trials.complete, generations)
    scheduler = scheduler_class(experiment.scheduler)(context)
    supervisor = Supervisor(
        scheduler,
        prepared.places.places,
        searcher.tell_compared,
        shares,
        experiment.max_concurrent,
        _seating(prepared),
    )
    adapter = AskTell(
        searcher,
        ledger,
        experiment.trials,
        jobs,
        supervisor.wanted,
        supervisor.all_wait,
        experiment.max_epochs,
        shares.resources_of,
    )
    longest_s = max((report.seconds for report in ledger.reports), default=0.0)
    recorder = Recorder(
        ledger,
        searcher,
        supervisor,
        retention,
        watcher,
        Hangs.of(experiment, longest_s, watcher.warned),
        Blame(experiment.max_consecutive_failed_trials, ledger.trials.values()),
        experiment.max_epochs,
    )
    newcomers = Newcomers(experiment, layout.place, growth.fit, recorder.refuse)
    prepared.places.looked = [newcomers.ask_new, growth.ask]
    deadline = None if left_s is None else time.monotonic() + left_s
    trials = Trials(
        adapter,
        lambda create: replay(
            ledger, adapter, supervisor, searcher, objective, create, retention, watcher
        ),
        supervisor.paused,
    )
    # tune.run and not Tuner: a Tuner pickles all of this into the run's directory.
    with newcomers, keep_signals():
        ray_tune.run(
            trainable or _trainable(prepared),
            name=layout.engine.name,
            storage_path=str(layout.root.resolve()),
            search_alg=trials,
            scheduler=supervisor,
            num_samples=-1,
            callbacks=[recorder, NoOutput()],
            progress_reporter=NoTable(),
            stop=StopRule(recorder, ledger, interruption, deadline),
            # the third death without an epoch between (`recorder`) ends a trial
            max_failures=2,
            raise_on_failed_trial=False,
            # A GPU's memory is given back by a process that ends, which others wait for where they
            # have shares of it; TensorFlow is imported once a worker elsewhere, and where trials
            # share processes.
            reuse_actors=experiment.gpu_share in (0, 1) or prepared.seats > 1,
            checkpoint_config=ray_tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
            verbose=0,
        )
    return Ended(recorder.fatal, adapter.exhausted)


def _searcher(prepared: Prepared) -> Searcher:
    experiment, checked = prepared.experiment, prepared.checked
    searcher = searcher_class(experiment.searcher)(
        seed=experiment.seed,
        objective=prepared.objective,
        trials=experiment.trials,
        trace=prepared.space.trace,
        starts=prepared.first,
        earlier=prepared.earlier,
    )
    # What `fit` asks for must not be known sooner where fewer trials run at once.
    searcher.meet(checked.requested, checked.asked_by_build)
    return searcher


def _seating(prepared: Prepared) -> Seating | None:
    """How trials share processes; None where each has its own."""
    if prepared.seats == 1:
        return None
    share = seat_of(resources_of(prepared.experiment), prepared.seats)
    return Seating(Host, prepared.seats, share)


def _trainable(prepared: Prepared) -> Any:
    """What trains in a worker."""
    from ray.tune import with_parameters

    from pipeline.engine.messages import Setting
    from pipeline.engine.trials.trainable import KerasTrial

    shared = resources_of(prepared.experiment) if prepared.seats > 1 else {}
    setting = Setting(prepared.space.source, [prepared.space.data], shared)
    return with_parameters(KerasTrial, setting=setting)
