"""One search from its experiment to its best model: what is done, in order."""

import contextlib
import functools
import importlib
import itertools
import math
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import names
from pipeline.engine.cluster.autoscaler import Demand, await_place, check_place
from pipeline.engine.cluster.capacity import (
    FreePlaces,
    check_local,
    concurrent,
    devices_a_trial,
    live_nodes,
    packing_warning,
)
from pipeline.engine.cluster.connect import address_of, cluster
from pipeline.engine.cluster.nodes import Newcomers, check_nodes
from pipeline.engine.cluster.shipping import check_sendable, with_code
from pipeline.engine.directory import check_writable, directory_of
from pipeline.engine.internals.ray_process import keep_signals, let_trials_inherit
from pipeline.engine.past import (
    check_budget_left,
    check_same_search,
    earlier_seconds,
    epochs_before,
    is_complete,
    mend,
    with_lasting_names,
)
from pipeline.engine.run import Run
from pipeline.errors import Interrupted, KerasweepError, ProgramError
from pipeline.experiment import Experiment
from pipeline.names import Source
from pipeline.objective import Objective
from pipeline.records.layout import Layout, new_directory, storage_of
from pipeline.records.ledger import COUNTED, Ledger, write_experiment
from pipeline.records.mirror import Mirror, at_home, named_by_home
from pipeline.records.remote import RemotePath, location
from pipeline.records.results import Best, find_best, write_summary, write_tables
from pipeline.records.retention import Retention
from pipeline.records.scratch import new_folder
from pipeline.records.starts import Starts, read_starts, recorded_starts, write_starts
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter
from pipeline.watch import Interruption, SearchPlan, Watcher
from pipeline.worker.devices.machine import processor
from pipeline.worker.devices.parallel import check_backend

# A dry run looks for conditional hyperparameters at most so long: `mlp` takes a few seconds, large
# models more.
SURVEY_S = 6.0


def tune(
    experiment: Experiment,
    *,
    resume: str | Path | None = None,
    watcher: Watcher | None = None,
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> Run:
    """Search, and hand back the best model.

    Args:
        experiment: what to search for.
        resume: the directory of an earlier run to go on with, under `experiment`'s settings: see
            `past.resumed`.
        watcher: is told how it goes.
        interruption: ends the search early once it is set; the best so far is kept and written.
        insecure: join a cluster, too, that asks for no token: whoever reaches it can run code
            there.

    Raises:
        RequestError: something that was asked for cannot be right; nothing was written.
        ProgramError: user code failed in the same way in trial after trial; what was recorded is
            kept.
        StorageError: the run's directory could not be written to; what was recorded can be gone on
            with.
    """
    watcher = watcher or Watcher()
    interruption = interruption or Interruption()
    with _held(experiment, resume, watcher) as (past, mirror):
        if past is not None:
            check_same_search(experiment, past)
            with storage_of(past):
                mend(past, lambda text: watcher.warned(at_home(past, text)))
            if is_complete(experiment, past):
                return Run(past.place)
            check_budget_left(experiment, past)
        search = _Search(experiment, past, watcher, interruption, mirror)
        ray = cluster(experiment, search.targets, warm=True, insecure=insecure)
        with ray as inherited, search, storage_of(search.layout):
            return search.run(inherited)


@contextlib.contextmanager
def _held(
    experiment: Experiment, resume: str | Path | None, watcher: Watcher
) -> Iterator[tuple[Layout | None, Mirror | None]]:
    """The run to go on with; one in an object store is held by this process and brought here."""
    place = None if resume is None else location(resume)
    if not isinstance(place, RemotePath):
        yield None if place is None else Layout(place), None
        return
    experiment.changed(storage=str(place))  # what may not be there is refused
    with Mirror(place, new_folder()) as mirror, named_by_home(mirror.layout):
        mirror.take(watcher.preparing)
        watcher.preparing(f"bringing back the records of {place}")
        mirror.bring_back()
        yield mirror.layout, mirror


def check(experiment: Experiment) -> None:
    """Refuse what can be known to be impossible before Ray is started; nothing is written.

    Raises:
        RequestError: as `tune` would raise it.
    """
    with _Search(experiment, None, Watcher(), Interruption()):
        pass


def dry_run(
    experiment: Experiment,
    watcher: Watcher | None = None,
    *,
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> SearchPlan:
    """All that `tune` checks and finds out before the first trial; nothing is written."""
    search = _Search(experiment, None, watcher or Watcher(), interruption or Interruption())
    with cluster(experiment, search.targets, insecure=insecure), search:
        return search.survey(search.prepare(waits=False))


def met_by_default(experiment: Experiment) -> list[Hyperparameter]:
    """What the default model of an experiment meets, found in a process that sees no GPU.

    Nothing is written.
    """
    search_space = names.resolve("search space", experiment.search_space)
    with cluster(experiment, [search_space] if isinstance(search_space, Source) else []):
        import ray

        search_space = with_code(search_space)
        check_sendable("search space", search_space)
        task: Any = ray.remote(num_cpus=0)(_met_by_default)
        try:
            return list(ray.get(task.remote(search_space, with_code(experiment.dataset))))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None


def _met_by_default(search_space: Any, data: Any) -> list[Hyperparameter]:
    from pipeline.worker.devices import machine

    machine.claim(1, gpus=0)
    from pipeline.worker.spaces import reveal
    from pipeline.worker.spaces.loading import load_search_space

    return reveal.met(load_search_space(search_space), data)


class _Search:
    """The state of `tune` while it runs."""

    def __init__(
        self,
        experiment: Experiment,
        past: Layout | None,
        watcher: Watcher,
        interruption: Interruption,
        mirror: Mirror | None = None,
    ) -> None:
        self.experiment = experiment = with_lasting_names(experiment)
        self.watcher, self.interruption = watcher, interruption
        self.began = time.time()
        self.past = past
        self.helper: Any = None
        self.checked: Any = None  # what the default model showed
        self.examples: dict[str, int | None] = {}  # of each split
        self._roles: dict[str, str] = {}
        self.first: list[dict[str, Any]] = []  # configurations to be tried
        self.earlier: list[Any] = []  # observations of another run
        self.dataset = names.resolve("dataset", experiment.dataset)
        self.search_space = names.resolve("search space", experiment.search_space)
        self.targets = [t for t in (self.dataset, self.search_space) if isinstance(t, Source)]
        self.mirror = mirror  # of a run in an object store
        self._fit: set[str] = set()  # nodes that were asked whether they are
        self._waited_s = 0.0  # for a place
        self._ask: Callable[[], None] = lambda: None  # a cluster that grows, for what can be used
        place = past.place if past else directory_of(experiment)
        self.starts: Starts | None = None
        if experiment.start_from is not None:
            self.starts = recorded_starts(past) if past else read_starts(experiment.start_from)
        if past is None:
            check_writable(place)
        if address_of(experiment) is None:
            check_local(experiment)
        self.layout = self._layout_of(place)

    def _layout_of(self, place: Path | RemotePath) -> Layout:
        """Of the run in a place.

        If that is in an object store, with a folder of this machine to work on it in.
        """
        if isinstance(place, Path):
            return Layout(place.resolve())  # the helper and the trials may work in another folder
        if self.mirror is None or self.mirror.home != place:
            self.mirror = Mirror(place, self.mirror.layout.root if self.mirror else new_folder())
        return self.mirror.layout

    def __enter__(self) -> "_Search":
        return self

    def __exit__(self, *_: object) -> None:
        """End the helper: in a cluster of the caller's it would live on. Let the run go."""
        if self.helper is not None:
            import ray

            ray.kill(self.helper)
        if self.mirror is not None:
            self.mirror.close()

    def prepare(self, *, waits: bool = True) -> SearchPlan:
        """Everything before the first trial.

        `waits` for a cluster to grow, where that has to be.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from pipeline.engine.helper.actor import Helper, HelperClient

        check_place(self.experiment)
        self._check_nodes()
        self.slots = FreePlaces(self.experiment)
        self.watcher.preparing("loading data, checking the search space")
        # On the driver's node: a user's dataset may read files that lie beside it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = Helper  # Ray gives it `options`
        search_space = with_code(self.search_space)
        check_sendable("search space", search_space)
        self.helper = actor.options(scheduling_strategy=here).remote(search_space, 1, os.getcwd())
        call = self.call = HelperClient(self.helper)
        self.data = self.helper.load.remote(with_code(self.dataset), self.experiment.seed)
        # These imports take the driver seconds in which it otherwise only waits for the data.
        slow = ["ray.tune", *(["hyperopt"] if self.experiment.searcher == "hyperopt" else [])]
        threading.Thread(
            target=lambda: [importlib.import_module(name) for name in slow], daemon=True
        ).start()
        facts = call(self.helper.describe, self.data)
        self.examples = facts["counts"]
        self.objective = Objective.of(self.experiment.objective, facts["task"])
        if (devices := devices_a_trial(self.experiment)) > 1:
            check_backend(call(self.helper.versions)["backend"], devices)
        checked = self.checked = call(self.helper.check, self.data, self.objective)
        measured = self._share_a_gpu(waits) if self.experiment.gpus_per_trial == "auto" else ""
        if self.starts is not None:
            from pipeline.search import starts

            self.earlier = starts.observations(self.starts, self.objective)
            self.first = starts.settled(self.starts, checked.requested, self._trace)
        warning = packing_warning(self.experiment)
        return SearchPlan(
            self.experiment,
            self.objective,
            facts,
            checked.requested,
            checked.weights,
            min(self.slots(), self.experiment.trials),
            (*checked.warnings, *([warning] if warning else [])),
            self.layout.place,
            measured=measured,
        )

    def _check_nodes(self) -> None:
        check_nodes(self.experiment, self.layout.place, self.watcher.preparing, self._fit)

    def _await_place(self) -> None:
        """Wait for a node that holds a trial, within the time budget, and check nodes that came."""
        began, left_s = time.monotonic(), math.inf
        if self.experiment.time_budget_s is not None:
            left_s = self.experiment.time_budget_s - self._waited_s
            left_s -= earlier_seconds(self.past) if self.past is not None else 0.0
        await_place(self.experiment, self.watcher.preparing, self.interruption, left_s, self._ask)
        self._waited_s += time.monotonic() - began
        self._check_nodes()

    def _share_a_gpu(self, waits: bool) -> str:
        """Find out how many trials share a GPU, and go on with that as what was asked for.

        A line on why.
        """
        from pipeline.engine.helper.gpu_share import measured_share

        if not waits and not concurrent(self.experiment, live_nodes()):
            return "measured once the cluster has a node that holds a trial on a GPU"
        self._await_place()
        self.watcher.preparing("measuring the default model's memory on a GPU")
        share, line = measured_share(
            self.experiment, with_code(self.search_space), self.data, self._job("t0000", {})
        )
        self.experiment = self.experiment.changed(gpus_per_trial=share)
        self.slots = FreePlaces(self.experiment)
        return line

    def roles(self, configuration: dict[str, Any]) -> dict[str, str]:
        """Whether each hyperparameter decides the model or how it is trained.

        Found out once for each name.
        """
        if not configuration.keys() <= self._roles.keys():
            found = self.call.follow(self.helper.roles, self.data, configuration, list(self._roles))
            # What `build` does not request is asked for by `fit` alone.
            self._roles = dict.fromkeys(configuration, "algorithm") | found | self._roles
        return {name: self._roles[name] for name in configuration}

    def survey(self, plan: SearchPlan) -> SearchPlan:
        """The plan, with what other configurations request and the kind of everything."""
        from pipeline.search.survey import survey
        from pipeline.space.configuration import configuration_of

        until = time.monotonic() + SURVEY_S
        met = {spec.name: spec for spec, _ in plan.requested}
        roles: dict[str, str] = {}
        for requested in itertools.chain([plan.requested], survey(met, self._trace)):
            met |= {spec.name: spec for spec, _ in requested if spec.name not in met}
            configuration = configuration_of(requested)
            if not configuration.keys() <= roles.keys():
                # it cannot be built: the next that requests the same perhaps can
                with contextlib.suppress(Exception):
                    roles |= self.roles(configuration)
            if time.monotonic() > until or self.interruption.signal is not None:
                break
        return replace(plan, conditional=tuple(met.values())[len(plan.requested) :], roles=roles)

    def fits(self, configuration: dict[str, Any], other: dict[str, Any]) -> bool:
        """Whether a model of `other` can go on with the weights of one of `configuration`."""
        return bool(self.call.follow(self.helper.fits, self.data, configuration, other))

    def run(self, inherited: bool) -> Run:
        """Prepare, search, evaluate.

        `inherited` says whether Ray's processes have this one's environment.
        """
        demand = Demand(self.experiment)
        if not inherited:  # else it is this machine
            trials = self.experiment.trials if self.experiment.gpus_per_trial != "auto" else 1
            self._ask = functools.partial(demand.ask, trials)
            self._ask()
        try:
            return self._run(demand, inherited)
        finally:
            demand.end()

    def _run(self, demand: Demand, inherited: bool) -> Run:
        plan = self.prepare()
        demand.experiment = self.experiment  # its share of a GPU may have been found out
        self._await_place()
        self.interruption.graceful = True
        # Ray's start-up may have swallowed what the handler raised
        if self.interruption.signal is not None:
            raise Interrupted(self.interruption.signal)
        if self.past is None:
            plan = self._make_directory(plan)
        ledger = Ledger(self.layout)
        if self.mirror is not None:
            self.mirror.start(ledger.fail)
        try:
            if self.past is not None:
                if (before := epochs_before(self.layout)) < self.experiment.max_epochs:
                    ledger.reopen(before)
                write_experiment(self.layout, self.experiment.to_yaml())
            self.watcher.planned(plan)
            self.watcher.remembered(list(ledger.trials.values()), ledger.reports)
            earlier_s = earlier_seconds(self.layout)
            if not inherited:
                self._ask = lambda: demand.ask(
                    self.experiment.trials
                    - sum(record.status in COUNTED for record in ledger.trials.values())
                )
            with (
                self.watcher.searching(),
                let_trials_inherit() if inherited else contextlib.nullcontext(),
            ):
                fatal, exhausted = self._searched(ledger, earlier_s)
            summary = self._conclude(ledger, earlier_s, exhausted)
        finally:
            ledger.close()
        if self.mirror is not None:
            self.mirror.finish()
        if fatal is not None:
            raise fatal
        if (
            summary["best"] is None
            and self.interruption.signal is None
            and summary["trials"]["failed"]
        ):
            _raise_all_failed(ledger)
        return Run(self.layout.place)

    def _make_directory(self, plan: SearchPlan) -> SearchPlan:
        """Make the run's directory.

        Where another run took its name meanwhile, the next one that is free.
        """
        while True:
            try:
                if self.mirror is not None:
                    self.mirror.take_new(self.watcher.preparing)
                    self._write_request(self.layout)
                    self.mirror.send()  # so that its name is taken
                else:
                    with new_directory(self.layout.root) as unfinished:
                        layout = Layout(unfinished)
                        layout.resumable = False
                        self._write_request(layout)
                return replace(plan, directory=self.layout.place)
            except FileExistsError:
                self.layout = self._layout_of(directory_of(self.experiment))

    def _write_request(self, layout: Layout) -> None:
        write_experiment(layout, self.experiment.to_yaml())
        if self.starts is not None:
            write_starts(layout, self.starts)

    def _searched(self, ledger: Ledger, earlier_s: float) -> tuple[KerasweepError | None, bool]:
        """Search.

        Where a record could not be written, that is what is raised, whatever Tune makes of it.
        """
        try:
            return self._search(ledger, earlier_s)
        finally:
            if ledger.fault is not None:
                raise ledger.fault

    def _search(self, ledger: Ledger, earlier_s: float) -> tuple[KerasweepError | None, bool]:
        from ray import tune as ray_tune

        from pipeline.engine.internals.tune_controller import NoOutput
        from pipeline.engine.schedulers.pbt import Generation
        from pipeline.engine.schedulers.registry import make_scheduler
        from pipeline.engine.trials.ask_tell import AskTell, Trials
        from pipeline.engine.trials.gpu_shares import Shares
        from pipeline.engine.trials.recorder import Recorder, tell_past
        from pipeline.engine.trials.replay import replay
        from pipeline.engine.trials.stopping import StopRule
        from pipeline.engine.trials.supervisor import Supervisor
        from pipeline.search import SEARCHERS

        experiment = self.experiment
        searcher = SEARCHERS[experiment.searcher](
            seed=experiment.seed,
            objective=self.objective,
            trials=experiment.trials,
            trace=self._trace,
            starts=self.first,
            earlier=self.earlier,
        )
        # What `fit` asks for must not be known sooner where fewer trials run at once.
        searcher.meet(self.checked.requested, self.checked.asked_by_build)
        tell_past(ledger, searcher, self.objective)
        turn = Generation(
            ledger,
            self.layout,
            self.objective,
            experiment.seed,
            experiment.executions_per_trial,
            self.roles,
            self.fits,
            lambda *a: adapter.task(*a),
        )
        scheduler = make_scheduler(
            experiment, self.objective, turn, lambda: trials.complete, turn.saved
        )
        shares = Shares(experiment, ledger, self._job, self._weights, self.watcher.warned)
        supervisor = Supervisor(
            scheduler, self.slots.places, searcher.tell_compared, shares, experiment.max_concurrent
        )
        adapter = AskTell(
            searcher,
            ledger,
            experiment.trials,
            self._job,
            supervisor.wanted,
            supervisor.all_wait,
            experiment.max_epochs,
            shares.resources_of,
        )
        recorder = Recorder(
            ledger,
            searcher,
            self.objective,
            experiment,
            supervisor,
            self._retention(ledger),
            self.watcher,
        )
        newcomers = Newcomers(experiment, self.layout.place, self._fit, recorder.refuse)
        self.slots.looked = [newcomers.look, self._ask]
        budget_s = experiment.time_budget_s
        left_s = None if budget_s is None else budget_s - earlier_s - self._waited_s
        halt = StopRule(
            recorder,
            ledger,
            self.interruption,
            None if left_s is None else time.monotonic() + left_s,
        )
        trials = Trials(
            adapter,
            lambda create: replay(
                ledger, adapter, supervisor, searcher, self.objective, create, self.watcher
            ),
            supervisor.paused,
        )
        # tune.run and not Tuner: a Tuner pickles all of this into the run's directory.
        with newcomers, keep_signals():
            ray_tune.run(
                self._trainable(),
                name=self.layout.engine.name,
                storage_path=str(self.layout.root.resolve()),
                search_alg=trials,
                scheduler=supervisor,
                num_samples=-1,
                callbacks=[recorder, NoOutput()],
                stop=halt,
                # the third death without an epoch between (`recorder`) ends a trial
                max_failures=2,
                raise_on_failed_trial=False,
                # A GPU's memory is given back by a process that ends; TensorFlow is imported once a
                # worker elsewhere.
                reuse_actors=experiment.gpu_share == 0,
                checkpoint_config=ray_tune.CheckpointConfig(
                    checkpoint_frequency=0, checkpoint_at_end=False
                ),
                trial_dirname_creator=lambda trial: trial.trial_id,
                trial_name_creator=lambda trial: trial.trial_id,
                verbose=0,
            )
        return recorder.fatal, adapter.exhausted

    def _trainable(self) -> Any:
        """What trains in a worker.

        `benchmarks/overhead.py` puts something without Keras in its place.
        """
        from ray.tune import with_parameters

        from pipeline.engine.messages import Setting
        from pipeline.engine.trials.trainable import KerasTrial

        return with_parameters(
            KerasTrial, setting=Setting(with_code(self.search_space), [self.data])
        )

    def _conclude(self, ledger: Ledger, earlier_s: float, exhausted: bool) -> dict[str, Any]:
        """Write the tables, measure the best model once, and write the summary last.

        Who finds it finds the rest.
        """
        best = find_best(ledger.trials, ledger.reports, self.objective)
        write_tables(self.layout, self.objective, ledger)
        measured = None
        if best is not None:
            self.watcher.preparing("measuring the best model")
            measured = self._evaluated(best)
        facts = {
            "exhausted": exhausted,
            "interrupted": self.interruption.signal is not None,
            "objective": str(self.objective),
            "validation": measured and measured["validation"],
            "wall_clock_s": round(earlier_s + time.time() - self.began, 1),
            "concurrent": self.slots(),
            "examples": self.examples,
            "versions": _versions() | self.call(self.helper.versions),
            "device": self._device(),
            "sources": {t.component: {"name": t.name, "sha256": t.sha256} for t in self.targets},
        }
        shutil.rmtree(self.layout.engine, ignore_errors=True)
        self._retention(ledger).conclude(ledger.trials.values())
        return write_summary(
            self.layout,
            best=best,
            test=measured and measured["test"],
            trials=ledger.trials,
            epochs=len(ledger.reports),
            **facts,
        )

    def _device(self) -> dict[str, Any]:
        """What a trial had, and the machine that searched."""
        share = {
            "cpus_per_trial": self.experiment.cpus_per_trial,
            "gpus_per_trial": self.experiment.gpu_share,
        }
        return {**share, "machine": platform.machine(), "processor": processor()}

    def _evaluated(self, best: Best) -> dict[str, Any]:
        # The helper has no GPU.
        job = replace(
            self._job(best.trial, best.hyperparameters), max_epochs=max(best.epoch, 1), devices=1
        )
        return dict(
            self.call(
                self.helper.evaluate,
                job,
                self.data,
                None if best.final else best.epoch,
                self.layout,
            )
        )

    def _job(self, trial: str, configuration: dict[str, Any]) -> Any:
        from pipeline.engine.schedulers.registry import rungs
        from pipeline.engine.trials.ask_tell import number_of
        from pipeline.search import SEARCHERS
        from pipeline.worker.session import Job

        experiment = self.experiment
        fill = SEARCHERS[experiment.searcher].fill_of(number_of(trial), len(self.first))
        return Job(
            trial,
            configuration,
            experiment.seed,
            experiment.max_epochs,
            self.objective,
            self.layout.checkpoints(trial),
            fill,
            experiment.executions_per_trial,
            retries=experiment.max_retries_per_trial,
            fit_plan=experiment.fit_plan,
            devices=devices_a_trial(experiment),
            keep_spare=experiment.scheduler == "pbt",
            rungs=(*rungs(experiment), experiment.max_epochs),
        )

    def _weights(self, job: Any) -> int:
        """How many a trial's model has."""
        return int(self.call.follow(self.helper.weights, job, self.data))

    def _retention(self, ledger: Ledger) -> Retention:
        remotely = None if self.mirror is None else self.mirror.remove
        retention = Retention(self.layout, self.objective, self.experiment.keep_models, remotely)
        retention.remember(ledger.trials.values(), ledger.reports)
        return retention

    def _trace(self, proposal: Any, fill: Any) -> Requested:
        return list(self.call.follow(self.helper.trace, self.data, proposal, fill))


def _versions() -> dict[str, str]:
    packages = ("kerasweep", "ray", "hyperopt", "numpy", "pandas")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except Exception:
            from pipeline import __version__

            found[package] = __version__
    return found


def _raise_all_failed(ledger: Ledger) -> None:
    record = next(r for r in ledger.trials.values() if r.status == "failed")
    raise ProgramError(
        f"No trial reported a finite objective; the first failed so: {record.error}",
        record.traceback or "",
    )
