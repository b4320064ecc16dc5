"""The engine's door: tune, check, look ahead without training."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline import names
from pipeline.console.display import display
from pipeline.data.files.data_file import DataFile
from pipeline.engine.cluster.backend import backend_of
from pipeline.engine.cluster.connect import cluster
from pipeline.engine.cluster.shipping import check_sendable, with_code
from pipeline.engine.helper.caller import settings_here, with_settings
from pipeline.engine.logged import Logged
from pipeline.engine.past import Past
from pipeline.engine.preparation import import_tune
from pipeline.engine.run import Run
from pipeline.engine.search import Search
from pipeline.experiment import Experiment
from pipeline.logs import held
from pipeline.names import Source
from pipeline.records.data_files import check_data_files
from pipeline.records.keras_settings import check_keras_settings
from pipeline.records.layout import Layout, at_home, named_by_home, storage_of
from pipeline.records.store.mirror import Mirror
from pipeline.records.store.remote import RemotePath, location
from pipeline.records.store.scratch import new_folder
from pipeline.space.specs import Hyperparameter
from pipeline.tracking.trackers import make_trackers
from pipeline.watch import Interruption, SearchPlan, Watcher, Watchers


def tune(
    experiment: Experiment,
    *,
    resume: str | Path | None = None,
    quiet: bool = False,
    watchers: Sequence[Watcher] = (),
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> Run:
    """Search, show how it goes, and hand back the best model.

    Args:
        experiment: what to search for.
        resume: the directory of an earlier run to go on with, under `experiment`'s settings: see
            `same_search.resumed`.
        quiet: show warnings alone.
        watchers: are told how it goes, beside what shows it. What one of them raises is a warning
            to the others.
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
    heard, interruption = _heard(watchers, quiet), interruption or Interruption()
    with held():
        if resume is None:
            return _carried_out(experiment, None, None, heard, interruption, insecure)
        _check_place(experiment, resume)
        with _reopened(resume, heard) as (past, mirror):
            past.check_same_search(experiment)
            return _carried_out(experiment, past, mirror, heard, interruption, insecure)


def go_on(
    directory: str | Path,
    settings: Mapping[str, Any] = MappingProxyType({}),
    *,
    quiet: bool = False,
    watchers: Sequence[Watcher] = (),
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> Run:
    """Go on with a run as it was asked for, but for `settings` that a resume may change.

    The other arguments and what is raised are those of `tune`.
    """
    heard, interruption = _heard(watchers, quiet), interruption or Interruption()
    with held(), _reopened(directory, heard) as (past, mirror):
        experiment = past.experiment(**settings)
        _check_place(experiment, directory)
        return _carried_out(experiment, past, mirror, heard, interruption, insecure)


def _heard(watchers: Sequence[Watcher], quiet: bool) -> Watchers:
    return Watchers([Logged(), display(quiet=quiet), *watchers])


def _check_place(experiment: Experiment, directory: str | Path) -> None:
    """Refuse what may not be in an object store, where a run is in one."""
    place = location(directory)
    if isinstance(place, RemotePath):
        experiment.changed(storage=str(place))


@contextlib.contextmanager
def _reopened(directory: str | Path, watcher: Watcher) -> Iterator[tuple[Past, Mirror | None]]:
    """A run to go on with, held by this process; one in an object store is brought here."""

    def warned(text: str) -> None:
        watcher.warned(at_home(layout, text))

    place = location(directory)
    if isinstance(place, Path):
        layout = Layout(place)
        with Past(layout, warned) as past:
            yield past, None
        return
    with Mirror(place, new_folder()) as mirror, named_by_home(mirror.layout):
        layout = mirror.layout
        mirror.check_there()
        mirror.acquire(watcher.preparing)
        watcher.preparing(f"bringing back the records of {place}")
        mirror.bring_back()
        with Past(layout, warned) as past:
            yield past, mirror


def _carried_out(
    experiment: Experiment,
    past: Past | None,
    mirror: Mirror | None,
    watcher: Watchers,
    interruption: Interruption,
    insecure: bool,
) -> Run:
    if past is not None:
        if experiment.gpus_per_trial is None:  # what its trials have is not to change by itself
            experiment = experiment.changed(gpus_per_trial=past.gpus_per_trial)
        with storage_of(past.layout):
            past.read()
        if past.is_complete(experiment):
            return Run(past.layout.place, past.summary)
        past.check_budget_left(experiment)
        with storage_of(past.layout), named_by_home(past.layout):
            check_keras_settings(past.layout, settings_here(), watcher.warned)
            dataset = experiment.resolved_dataset()
            if isinstance(dataset, DataFile):
                check_data_files(past.layout, dataset.checksums(), watcher.warned)
    searches: list[Search] = []

    def layout() -> Layout | None:
        return searches[0].layout if searches else past.layout if past else None

    watcher.add(make_trackers(experiment, layout, watcher.warned))
    with backend_of(experiment, watcher.preparing) as experiment:
        search = Search(experiment, past, watcher, interruption, mirror)
        searches.append(search)
        ray = cluster(
            experiment, search.sources, warm=True, meanwhile=import_tune, insecure=insecure
        )
        with ray as inherited, search, storage_of(search.layout):
            return search.run(inherited)


def check(experiment: Experiment) -> None:
    """Refuse what can be known to be impossible before Ray is started; nothing is written.

    Raises:
        RequestError: as `tune` would raise it.
    """
    with Search(experiment, None, Watcher(), Interruption()):
        pass


def dry_run(
    experiment: Experiment,
    *,
    quiet: bool = False,
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> SearchPlan:
    """All that `tune` checks and finds out before the first trial; nothing is written."""
    watcher = Watchers([display(quiet=quiet)])
    with backend_of(experiment, watcher.preparing) as experiment:
        search = Search(experiment, None, watcher, interruption or Interruption())
        ray = cluster(experiment, search.sources, meanwhile=import_tune, insecure=insecure)
        with ray, search:
            return search.plan()


def met_by_default(experiment: Experiment) -> list[Hyperparameter]:
    """What the default model of an experiment meets, found in a process that sees no GPU.

    Nothing is written.
    """
    search_space = names.resolve("search space", experiment.search_space)
    with cluster(experiment, [search_space] if isinstance(search_space, Source) else []):
        import ray

        from pipeline.engine.internals.ray_errors import ours

        check_sendable("search space", with_code(search_space))
        search_space = with_settings(search_space, Watcher().warned)
        task: Any = ray.remote(num_cpus=0)(_met_by_default)
        with ours("the process that follows the search space"):
            return list(ray.get(task.remote(search_space, with_code(experiment.dataset))))


def _met_by_default(search_space: Any, data: Any) -> list[Hyperparameter]:
    from pipeline.worker.devices import machine

    machine.claim(1, gpus=0)
    from pipeline.worker.spaces import reveal
    from pipeline.worker.spaces.loading import load_search_space

    return reveal.met(load_search_space(search_space), data)
