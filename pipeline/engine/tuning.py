"""One search from its experiment to its best model: what is done, in order."""

import contextlib
import functools
import importlib
import inspect
import itertools
import os
import platform
import shutil
import sys
import threading
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import names
from pipeline.engine.cluster import check_resources, cluster, let_trials_inherit, packing_warning, resources_of, slots
from pipeline.engine.preflight import check_local, check_writable, directory_of, processor
from pipeline.engine.resume import (
    check_budget_left,
    check_same_search,
    earlier_seconds,
    epochs_before,
    is_complete,
    mend,
    with_lasting_names,
)
from pipeline.engine.watch import Interruption, Plan, Watcher
from pipeline.errors import Interrupted, KerasweepError, ProgramError, RequestError
from pipeline.experiment import Experiment, label
from pipeline.names import Target
from pipeline.objective import Objective
from pipeline.records.layout import Layout, storage_of
from pipeline.records.ledger import Ledger, write_experiment
from pipeline.records.results import Best, Results, find_best, write_summary, write_tables
from pipeline.records.retention import Retention
from pipeline.records.starts import Starts, read_starts, recorded_starts, write_starts
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter

# A dry run looks for conditional hyperparameters at most so long: `mlp` takes a few seconds, large models more.
SURVEY_S = 6.0


class Run(Results):
    """A run that ended: `best`, `trials` and `history` (data frames), `summary`, and the best model."""

    def best_model(self) -> Any:
        """Load `best/model.keras`; imports Keras."""
        from pipeline.worker.evaluate import load_model

        return load_model(self.layout.best_model)


def tune(
    experiment: Experiment,
    *,
    resume: str | Path | None = None,
    watcher: Watcher | None = None,
    interruption: Interruption | None = None,
) -> Run:
    """Search, and hand back the best model.

    Args:
        experiment: what to search for.
        resume: the directory of an earlier run to go on with, under `experiment`'s settings: see `resume.resumed`.
        watcher: is told how it goes.
        interruption: ends the search early once it is set; the best so far is kept and written.

    Raises:
        RequestError: something that was asked for cannot be right; nothing was written.
        ProgramError: user code failed in the same way in trial after trial; what was recorded is kept.
        StorageError: the run's directory could not be written to; what was recorded can be gone on with.
    """
    watcher = watcher or Watcher()
    interruption = interruption or Interruption()
    if resume is not None:
        check_same_search(experiment, Layout(resume))
        with storage_of(Layout(resume)):
            mend(Layout(resume), watcher.warned)
        if is_complete(experiment, Layout(resume)):
            return Run(resume)
        check_budget_left(experiment, Layout(resume))
    search = _Search(experiment, Layout(resume) if resume else None, watcher, interruption)
    with cluster(experiment, search.targets, warm=True) as inherited, search, storage_of(search.layout):
        return search.run(inherited)


def dry_run(experiment: Experiment, watcher: Watcher | None = None) -> Plan:
    """All that `tune` checks and finds out before the first trial; nothing is written."""
    search = _Search(experiment, None, watcher or Watcher(), Interruption())
    with cluster(experiment, search.targets), search:
        return search.survey(search.prepare())


def met_by_default(experiment: Experiment) -> list[Hyperparameter]:
    """What the default model of an experiment meets, found in a process that sees no GPU; nothing is written."""
    search_space = names.resolve("search space", experiment.search_space)
    with cluster(experiment, [search_space] if isinstance(search_space, Target) else []):
        import ray

        search_space = _portable(search_space)
        check_sendable("search space", search_space)
        task: Any = ray.remote(num_cpus=0)(_met_by_default)
        try:
            return list(ray.get(task.remote(search_space, _portable(experiment.dataset))))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None


def _met_by_default(search_space: Any, data: Any) -> list[Hyperparameter]:
    from pipeline.worker import devices

    devices.claim(1, gpus=0)
    from pipeline.worker import reveal
    from pipeline.worker.modules import load_search_space

    return reveal.met(load_search_space(search_space), data)


def check_sendable(what: str, thing: Any) -> None:
    """Refuse what cannot be sent to another process.

    Raises:
        RequestError: in one line, what it is and why.
    """
    from ray import cloudpickle

    try:
        cloudpickle.dumps(thing)
    except Exception as error:  # each kind of thing has its own
        line = " ".join(str(error).split())[:300]
        raise RequestError(
            f"The {what} must be something that can be sent to another process; {label(thing)} is not: {line}"
        ) from error


class _Search:
    """The state of `tune` while it runs."""

    def __init__(
        self, experiment: Experiment, past: Layout | None, watcher: Watcher, interruption: Interruption
    ) -> None:
        self.experiment = experiment = with_lasting_names(experiment)
        self.watcher, self.interruption = watcher, interruption
        self.began = time.time()
        self.past = past
        self.helper: Any = None
        self.checked: Any = None  # what the default model showed
        self._kinds: dict[str, str] = {}
        self.first: list[dict[str, Any]] = []  # configurations to be tried
        self.earlier: list[Any] = []  # observations of another run
        self.dataset = names.resolve("dataset", experiment.dataset)
        self.search_space = names.resolve("search space", experiment.search_space)
        self.targets = [t for t in (self.dataset, self.search_space) if isinstance(t, Target)]
        # Resolved: the helper and the trials may work in another folder.
        self.layout = Layout((past.root if past else directory_of(experiment)).resolve())
        self.starts: Starts | None = None
        if experiment.start_from is not None:
            self.starts = recorded_starts(self.layout) if past else read_starts(experiment.start_from)
        if past is None:
            check_writable(self.layout.root)
        if experiment.address is None and "RAY_ADDRESS" not in os.environ:
            check_local(experiment)

    def __enter__(self) -> "_Search":
        return self

    def __exit__(self, *_: object) -> None:
        """End the helper: in a cluster of the caller's it would live on."""
        if self.helper is not None:
            import ray

            ray.kill(self.helper)

    def prepare(self) -> Plan:
        """Everything before the first trial."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from pipeline.engine.helper import Helper, call

        check_resources(self.experiment)
        self.slots = slots(self.experiment)
        self.watcher.preparing("loading data, checking the search space")
        # On the driver's node: a user's dataset may read files that lie beside it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.call = call
        actor: Any = Helper  # Ray gives it `options`
        search_space = _portable(self.search_space)
        check_sendable("search space", search_space)
        self.helper = actor.options(scheduling_strategy=here).remote(search_space, 1, os.getcwd())
        self.data = self.helper.load.remote(_portable(self.dataset), self.experiment.seed)
        # These imports take the driver seconds in which it otherwise only waits for the data.
        slow = ["ray.tune", *(["hyperopt"] if self.experiment.searcher == "hyperopt" else [])]
        threading.Thread(target=lambda: [importlib.import_module(name) for name in slow], daemon=True).start()
        facts = call(self.helper.describe, self.data)
        self.objective = Objective.of(self.experiment.objective, facts["task"])
        checked = self.checked = call(self.helper.check, self.data, self.objective)
        if self.starts is not None:
            from pipeline.search import starts

            self.earlier = starts.observations(self.starts, self.objective)
            self.first = starts.settled(self.starts, checked.requested, self._trace)
        warning = packing_warning(self.experiment)
        return Plan(
            self.experiment, self.objective, facts, checked.requested, checked.weights,
            min(self.slots(), self.experiment.trials), (*checked.warnings, *([warning] if warning else [])),
            self.layout.root,
        )  # fmt: skip

    def kinds(self, configuration: dict[str, Any]) -> dict[str, str]:
        """Whether each hyperparameter decides the model or how it is trained; found out once for each name."""
        if not configuration.keys() <= self._kinds.keys():
            found = self.call(self.helper.kinds, self.data, configuration, list(self._kinds))
            # What `build` does not request is asked for by `fit` alone.
            self._kinds = dict.fromkeys(configuration, "algorithm") | found | self._kinds
        return {name: self._kinds[name] for name in configuration}

    def survey(self, plan: Plan) -> Plan:
        """The plan, with what other configurations request and the kind of everything."""
        from pipeline.search.configuration import configuration_of
        from pipeline.search.survey import survey

        until = time.monotonic() + SURVEY_S
        met = {spec.name: spec for spec, _ in plan.requested}
        kinds: dict[str, str] = {}
        for requested in itertools.chain([plan.requested], survey(met, self._trace)):
            met |= {spec.name: spec for spec, _ in requested if spec.name not in met}
            configuration = configuration_of(requested)
            if not configuration.keys() <= kinds.keys():
                with contextlib.suppress(Exception):  # it cannot be built: the next that requests the same perhaps can
                    kinds |= self.kinds(configuration)
            if time.monotonic() > until:
                break
        return replace(plan, conditional=tuple(met.values())[len(plan.requested) :], kinds=kinds)

    def fits(self, configuration: dict[str, Any], other: dict[str, Any]) -> bool:
        """Whether a model of `other` can go on with the weights of one of `configuration`."""
        return bool(self.call(self.helper.fits, self.data, configuration, other))

    def run(self, inherited: bool) -> Run:
        """Prepare, search, evaluate; `inherited` says whether Ray's processes have this one's environment."""
        plan = self.prepare()
        self.interruption.graceful = True
        if self.interruption.signal is not None:  # Ray's start-up may have swallowed what the handler raised
            raise Interrupted(self.interruption.signal)
        if self.past is None:
            plan = self._make_directory(plan)
            if self.starts is not None:
                write_starts(self.layout, self.starts)
        ledger = Ledger(self.layout)
        try:
            if self.past is not None and (before := epochs_before(self.layout)) < self.experiment.max_epochs:
                ledger.reopen(before)
            write_experiment(self.layout, self.experiment.to_yaml())
            self.watcher.planned(plan)
            self.watcher.remembered(list(ledger.trials.values()), ledger.reports)
            earlier_s = earlier_seconds(self.layout)
            with self.watcher.searching(), let_trials_inherit() if inherited else contextlib.nullcontext():
                fatal, exhausted = self._searched(ledger, earlier_s)
            summary = self._conclude(ledger, earlier_s, exhausted)
        finally:
            ledger.close()
        if fatal is not None:
            raise fatal
        if summary["best"] is None and self.interruption.signal is None and summary["trials"]["failed"]:
            _raise_all_failed(ledger)
        return Run(self.layout.root)

    def _make_directory(self, plan: Plan) -> Plan:
        """Make the run's directory; where another run took its name meanwhile, the next one that is free."""
        while True:
            try:
                self.layout.root.mkdir(parents=True)
                return replace(plan, directory=self.layout.root)
            except FileExistsError:
                self.layout = Layout(directory_of(self.experiment).resolve())

    def _searched(self, ledger: Ledger, earlier_s: float) -> tuple[KerasweepError | None, bool]:
        """Search; where a record could not be written, that is what is raised, whatever Tune makes of it."""
        try:
            return self._search(ledger, earlier_s)
        finally:
            if ledger.fault is not None:
                raise ledger.fault

    def _search(self, ledger: Ledger, earlier_s: float) -> tuple[KerasweepError | None, bool]:
        from ray import tune as ray_tune

        from pipeline.engine.ask_tell import AskTell, Trials
        from pipeline.engine.pbt import Turn
        from pipeline.engine.recorder import Recorder, tell_past
        from pipeline.engine.replay import replay
        from pipeline.engine.schedulers import make_scheduler
        from pipeline.engine.silent import Silent
        from pipeline.engine.stopping import Halt
        from pipeline.engine.supervisor import Supervisor
        from pipeline.search import SEARCHERS

        experiment = self.experiment
        searcher = SEARCHERS[experiment.searcher](
            seed=experiment.seed, objective=self.objective, trials=experiment.trials, trace=self._trace,
            starts=self.first, earlier=self.earlier,
        )  # fmt: skip
        # What `fit` asks for must not be known sooner where fewer trials run at once.
        searcher.meet(self.checked.requested, self.checked.built)
        tell_past(ledger, searcher, self.objective)
        turn = Turn(
            ledger, self.layout, self.objective, experiment.seed, experiment.executions_per_trial,
            self.kinds, self.fits, lambda *a: adapter.task(*a),
        )  # fmt: skip
        scheduler = make_scheduler(experiment, self.objective, turn, lambda: trials.complete, turn.saved)
        supervisor = Supervisor(scheduler, self.slots, searcher.tell_compared)
        adapter = AskTell(
            searcher, ledger, experiment.trials, self._job, supervisor.wanted, supervisor.all_wait,
            experiment.max_epochs,
        )  # fmt: skip
        recorder = Recorder(
            ledger, searcher, self.objective, experiment, supervisor, self._retention(ledger), self.watcher
        )
        left_s = None if experiment.time_budget_s is None else experiment.time_budget_s - earlier_s
        halt = Halt(recorder, ledger, self.interruption, None if left_s is None else time.monotonic() + left_s)
        trials = Trials(
            adapter,
            lambda create: replay(ledger, adapter, supervisor, searcher, self.objective, create, self.watcher),
            supervisor.paused,
        )
        # tune.run and not Tuner: a Tuner pickles all of this into the run's directory.
        ray_tune.run(
            self._trainable(),
            name=self.layout.engine.name,
            storage_path=str(self.layout.root.resolve()),
            search_alg=trials,
            scheduler=supervisor,
            num_samples=-1,
            resources_per_trial=ray_tune.PlacementGroupFactory([resources_of(experiment)]),
            callbacks=[recorder, Silent()],
            stop=halt,
            max_failures=2,  # the third death without an epoch between (`recorder`) ends a trial
            raise_on_failed_trial=False,
            # A GPU's memory is given back by a process that ends; TensorFlow is imported once a worker elsewhere.
            reuse_actors=experiment.gpus_per_trial == 0,
            checkpoint_config=ray_tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            trial_dirname_creator=lambda trial: trial.trial_id,
            trial_name_creator=lambda trial: trial.trial_id,
            verbose=0,
        )
        return recorder.fatal, adapter.exhausted

    def _trainable(self) -> Any:
        """What trains in a worker. `benchmarks/overhead.py` puts something without Keras in its place."""
        from ray.tune import with_parameters

        from pipeline.engine.trainable import KerasTrial, Setting

        share = (self.experiment.cpus_per_trial, self.experiment.gpus_per_trial)
        return with_parameters(KerasTrial, setting=Setting(_portable(self.search_space), [self.data], *share))

    def _conclude(self, ledger: Ledger, earlier_s: float, exhausted: bool) -> dict[str, Any]:
        """Write the tables, measure the best model once, and write the summary last: who finds it finds the rest."""
        best = find_best(ledger.trials, ledger.reports, self.objective)
        write_tables(self.layout, self.objective, ledger)
        measured = None
        if best is not None:
            self.watcher.preparing("measuring the best model")
            measured = self._measure(best)
        facts = {
            "exhausted": exhausted,
            "interrupted": self.interruption.signal is not None,
            "objective": str(self.objective),
            "validation": measured and measured["validation"],
            "wall_clock_s": round(earlier_s + time.time() - self.began, 1),
            "concurrent": self.slots(),
            "versions": _versions() | self.call(self.helper.versions),
            "device": self._device(),
            "sources": {t.kind: {"name": t.name, "sha256": t.sha256} for t in self.targets},
        }
        shutil.rmtree(self.layout.engine, ignore_errors=True)
        self._retention(ledger).conclude(ledger.trials.values())
        return write_summary(
            self.layout, best=best, test=measured and measured["test"], trials=ledger.trials,
            epochs=len(ledger.reports), **facts,
        )  # fmt: skip

    def _device(self) -> dict[str, Any]:
        """What a trial had, and the machine that searched."""
        share = {"cpus_per_trial": self.experiment.cpus_per_trial, "gpus_per_trial": self.experiment.gpus_per_trial}
        return {**share, "machine": platform.machine(), "processor": processor()}

    def _measure(self, best: Best) -> dict[str, Any]:
        job = replace(self._job(best.trial, best.hyperparameters), max_epochs=max(best.epoch, 1))
        return dict(self.call(self.helper.evaluate, job, self.data, None if best.final else best.epoch, self.layout))

    def _job(self, trial: str, configuration: dict[str, Any]) -> Any:
        from pipeline.engine.ask_tell import number_of
        from pipeline.search import SEARCHERS
        from pipeline.worker.session import Job

        experiment = self.experiment
        fill = SEARCHERS[experiment.searcher].fill_of(number_of(trial), len(self.first))
        return Job(
            trial, configuration, experiment.seed, experiment.max_epochs, self.objective,
            self.layout.trial(trial).resolve(), fill, experiment.executions_per_trial,
            retries=experiment.max_retries_per_trial,
            plan=experiment.execution,
        )  # fmt: skip

    def _retention(self, ledger: Ledger) -> Retention:
        retention = Retention(self.layout, self.objective, self.experiment.keep_models)
        retention.remember(ledger.trials.values(), ledger.reports)
        return retention

    def _trace(self, proposal: Any, fill: Any) -> Requested:
        return list(self.call(self.helper.trace, self.data, proposal, fill))


def _portable(thing: Any) -> Any:
    """Make Ray take the code of a user's function along, and not only its name: a worker may not have its module."""
    for part in (thing, *getattr(thing, "parts", ())):  # a user's within ours
        _by_value(part)
    return thing


def _by_value(thing: Any) -> None:
    from ray import cloudpickle

    if isinstance(thing, Target):
        return
    if isinstance(thing, functools.partial):
        for part in (thing.func, *thing.args, *thing.keywords.values()):
            _by_value(part)
        return
    kinds = () if inspect.isroutine(thing) else (thing if isinstance(thing, type) else type(thing)).__mro__
    own = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
    for name in {own, *(kind.__module__ for kind in kinds)}:
        module = sys.modules.get(name or "")
        file = getattr(module, "__file__", None) or "site-packages"
        if module is None or "site-packages" in file or file.startswith(str(names.HOME / "pipeline")):
            continue
        if module.__name__.partition(".")[0] not in sys.stdlib_module_names:
            cloudpickle.register_pickle_by_value(module)


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
        f"No trial reported a finite objective; the first failed so: {record.error}", record.traceback or ""
    )
