"""One search: where its run is, and what is done, in order."""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import names
from pipeline.data.files.data_file import DataFile
from pipeline.engine.cluster.capacity import check_local
from pipeline.engine.cluster.connect import address_of, start_processes
from pipeline.engine.cluster.growth import Growth
from pipeline.engine.conclusion import Circumstances, conclude, raise_if_all_failed
from pipeline.engine.directory import check_writable, directory_of
from pipeline.engine.helper.caller import settings_here
from pipeline.engine.helper.space import FollowedSpace
from pipeline.engine.imports import quick_imports
from pipeline.engine.internals.ray_process import EACH_EPOCH, RAYS_LOGGERS, let_trials_inherit
from pipeline.engine.past import Past
from pipeline.engine.preparation import Prepared, prepare, surveyed
from pipeline.engine.run import Run
from pipeline.engine.same_search import with_lasting_names
from pipeline.errors import Interrupted
from pipeline.experiment import Experiment
from pipeline.logs import written_to
from pipeline.names import Source
from pipeline.objective import Objective
from pipeline.records.data_files import write_data_files
from pipeline.records.entries.trials import COUNTED
from pipeline.records.keras_settings import write_keras_settings
from pipeline.records.layout import Layout, new_directory
from pipeline.records.ledger import Ledger
from pipeline.records.retention import Retention
from pipeline.records.settings import write_experiment
from pipeline.records.starts import read_starts, write_starts
from pipeline.records.store.mirror import Mirror
from pipeline.records.store.remote import RemotePath
from pipeline.records.store.scratch import new_folder
from pipeline.search.searcher import searcher_class
from pipeline.space.starts import Starts
from pipeline.watch import Conclusion, Interruption, SearchPlan, Watcher


class Search:
    """What `tune` and a dry run do; entered while Ray is there.

    Args:
        experiment: what is asked for.
        past: the run to go on with; None for a new one.
        watcher: is told how it goes.
        interruption: ends it early.
        mirror: of a past run in an object store.

    Raises:
        RequestError: something that was asked for cannot be right; nothing was written.
    """

    def __init__(
        self,
        experiment: Experiment,
        past: Past | None,
        watcher: Watcher,
        interruption: Interruption,
        mirror: Mirror | None = None,
    ) -> None:
        self.experiment = experiment = with_lasting_names(experiment)
        self.watcher, self.interruption = watcher, interruption
        self.past, self._mirror = past, mirror
        self._began = time.time()
        searcher_class(experiment.searcher)  # what cannot be loaded is refused
        self._dataset = experiment.resolved_dataset()
        self._search_space = names.resolve("search space", experiment.search_space)
        self.sources = [s for s in (self._dataset, self._search_space) if isinstance(s, Source)]
        place = past.layout.place if past else directory_of(experiment)
        self._starts: Starts | None = None
        if experiment.start_from is not None:
            self._starts = past.starts if past else read_starts(experiment.start_from)
        if past is None:
            check_writable(place)
        if address_of(experiment) is None:
            check_local(experiment)
        self.layout = self._layout_of(place)
        self._growth = Growth(experiment, self.layout.place, watcher, interruption)
        self._entered = contextlib.ExitStack()
        self._results: Run | None = None  # once they are written

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *_: object) -> None:
        """End the helper, and let the run go."""
        self._entered.close()
        if self._mirror is not None:
            self._mirror.close()

    def plan(self) -> SearchPlan:
        """What a search would do, without waiting for a cluster to grow; nothing is written."""
        prepared, plan = self._prepare(waits=False)
        return surveyed(plan, prepared.space, self.interruption)

    def run(self, inherited: bool) -> Run:
        """Prepare, search, evaluate.

        `inherited` says whether Ray's processes have this one's environment.
        """
        experiment = self._growth.settle_gpus()
        if not inherited:  # else it is this machine
            trials = experiment.trials if experiment.gpus_per_trial != "auto" else 1
            self._growth.trials = lambda: trials
            self._growth.ask()
        try:
            return self._run(inherited)
        finally:
            self._growth.end()

    def _run(self, inherited: bool) -> Run:
        prepared, plan = self._prepare(waits=True, local=inherited)
        self._await_place()
        self.interruption.graceful = True
        # Ray's start-up may have swallowed what the handler raised
        if self.interruption.signal is not None:
            raise Interrupted(self.interruption.signal)
        if self.past is None:
            plan = replace(plan, directory=self._make_directory(prepared.experiment))
        held: contextlib.AbstractContextManager[Ledger] = (
            contextlib.nullcontext(self.past.ledger)
            if self.past is not None
            else contextlib.closing(Ledger(self.layout))
        )
        with held as ledger, self._watched():
            return self._carry_out(prepared, plan, ledger, inherited)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Tell the watcher that the run's directory is there, and at the end how it ended."""
        self._entered.enter_context(written_to(self.layout.debug_log, RAYS_LOGGERS, EACH_EPOCH))
        self.watcher.directory(self.layout.place)
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            interrupted = isinstance(error, KeyboardInterrupt | Interrupted)
            self.watcher.concluded(
                Conclusion(
                    self.layout.place,
                    self._results,
                    interrupted or self.interruption.signal is not None,
                    error,
                )
            )

    def _carry_out(
        self, prepared: Prepared, plan: SearchPlan, ledger: Ledger, inherited: bool
    ) -> Run:
        """Search, in a directory that is there and held by this process."""
        if self._mirror is not None:
            self._mirror.start(ledger.fail)
        if self.past is not None:
            if self.past.epochs_before < self.experiment.max_epochs:
                ledger.reopen(self.past.epochs_before)
            write_experiment(self.layout, prepared.experiment.to_yaml())
        self.watcher.planned(plan)
        self.watcher.remembered(list(ledger.trials.values()), list(ledger.reports))
        if not inherited:
            self._growth.trials = lambda: _trials_left(prepared.experiment, ledger)
        with let_trials_inherit() if inherited else contextlib.nullcontext():
            fatal, summary = self._search(prepared, ledger)
        if self._mirror is not None:
            self._mirror.finish()
        self._results = run = Run(self.layout.place, summary)
        if fatal is not None:
            raise fatal
        if summary["best"] is None and self.interruption.signal is None:
            raise_if_all_failed(ledger)
        return run

    def _search(self, prepared: Prepared, ledger: Ledger) -> tuple[Any, dict[str, Any]]:
        """Train, and write what came of it."""
        with quick_imports():
            from pipeline.engine.trials.loop import run_trials

        earlier_s = self.past.earlier_seconds() if self.past is not None else 0.0
        budget_s = prepared.experiment.time_budget_s
        left_s = None if budget_s is None else budget_s - earlier_s - self._growth.waited_s
        retention = self._retention(prepared.objective, ledger)
        with self.watcher.searching():
            try:
                ended = run_trials(
                    prepared,
                    self.layout,
                    ledger,
                    retention,
                    self._growth,
                    self.watcher,
                    self.interruption,
                    left_s,
                )
            finally:  # where a record could not be written, that counts, whatever Tune makes of it
                if ledger.fault is not None:
                    raise ledger.fault
        circumstances = Circumstances(
            ended.exhausted,
            self.interruption.signal is not None,
            earlier_s + time.time() - self._began,
            self.sources,
        )
        summary = conclude(prepared, self.layout, ledger, retention, circumstances, self.watcher)
        return ended.fatal, summary

    def _prepare(self, *, waits: bool, local: bool = False) -> tuple[Prepared, SearchPlan]:
        # here, where it is seen how far it is; the helper finds it done
        if isinstance(self._dataset, DataFile):
            self._dataset.prepare(self.watcher.preparing)
        return prepare(
            self._start_helper,
            self.layout,
            self._growth,
            self._starts,
            self.watcher.preparing,
            self._await_place if waits else None,
            start_processes if local else None,
        )

    def _start_helper(self) -> FollowedSpace:
        space = FollowedSpace(
            self._search_space,
            self._dataset,
            self.experiment.seed,
            self.watcher.warned,
            self.experiment.folds,
        )
        self._entered.callback(space.end)
        return space

    def _await_place(self) -> None:
        """Wait for a node that holds a trial, in what is left of the time budget."""
        left_s = math.inf
        if self.experiment.time_budget_s is not None:
            left_s = self.experiment.time_budget_s
            left_s -= self.past.earlier_seconds() if self.past is not None else 0.0
        self._growth.await_place(left_s)

    def _layout_of(self, place: Path | RemotePath) -> Layout:
        """The run in a place.

        If that is in an object store, with a folder of this machine to work on it in.
        """
        if isinstance(place, Path):
            # the helper and the trials may work in another folder
            return Layout(place.resolve())
        if self._mirror is None or self._mirror.home != place:
            held = self._mirror.layout.root if self._mirror else new_folder()
            self._mirror = Mirror(place, held)
        return self._mirror.layout

    def _make_directory(self, experiment: Experiment) -> Path | RemotePath:
        """Make the run's directory.

        Where another run took its name meanwhile, the next one that is free.
        """
        while True:
            try:
                if self._mirror is not None:
                    self._mirror.acquire_new(self.watcher.preparing)
                    self._write_request(experiment, self.layout)
                    self._mirror.send()  # so that its name is taken
                else:
                    with new_directory(self.layout.root) as unfinished:
                        layout = Layout(unfinished)
                        layout.resumable = False
                        self._write_request(experiment, layout)
                return self.layout.place
            except FileExistsError:
                self.layout = self._layout_of(directory_of(experiment))
                self._growth.place = self.layout.place

    def _write_request(self, experiment: Experiment, layout: Layout) -> None:
        write_experiment(layout, experiment.to_yaml())
        write_keras_settings(layout, settings_here())
        if isinstance(self._dataset, DataFile):
            write_data_files(layout, self._dataset.checksums())
        if self._starts is not None:
            write_starts(layout, self._starts)

    def _retention(self, objective: Objective, ledger: Ledger) -> Retention:
        remotely = None if self._mirror is None else self._mirror.remove
        retention = Retention(self.layout, objective, self.experiment.keep_models, remotely)
        retention.remember(ledger.trials.values(), ledger.reports)
        return retention


def _trials_left(experiment: Experiment, ledger: Ledger) -> int:
    """How many trials may still run."""
    return experiment.trials - sum(record.status in COUNTED for record in ledger.trials.values())
