"""The engine's door: tune, check, look ahead without training."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline import names
from pipeline.engine.cluster.connect import cluster
from pipeline.engine.cluster.shipping import check_sendable, with_code
from pipeline.engine.logged import Logged
from pipeline.engine.past import (
    check_budget_left,
    check_same_search,
    is_complete,
    mend,
)
from pipeline.engine.run import Run
from pipeline.engine.search import Search
from pipeline.experiment import Experiment
from pipeline.logs import held
from pipeline.names import Source
from pipeline.records.layout import Layout, storage_of
from pipeline.records.mirror import Mirror, at_home, named_by_home
from pipeline.records.remote import RemotePath, location
from pipeline.records.scratch import new_folder
from pipeline.space.specs import Hyperparameter
from pipeline.tracking.trackers import make_trackers
from pipeline.watch import Interruption, SearchPlan, Watcher, Watchers


def tune(
    experiment: Experiment,
    *,
    resume: str | Path | None = None,
    watchers: Sequence[Watcher] = (),
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> Run:
    """Search, and hand back the best model.

    Args:
        experiment: what to search for.
        resume: the directory of an earlier run to go on with, under `experiment`'s settings: see
            `past.resumed`.
        watchers: are told how it goes. What one of them raises is a warning to the others.
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
    watcher = Watchers([Logged(), *watchers])
    interruption = interruption or Interruption()
    with held(), _held(experiment, resume, watcher) as (past, mirror):
        if past is not None:
            check_same_search(experiment, past)
            with storage_of(past):
                mend(past, lambda text: watcher.warned(at_home(past, text)))
            if is_complete(experiment, past):
                return Run(past.place)
            check_budget_left(experiment, past)
        watcher.add(make_trackers(experiment, lambda: search.layout, watcher.warned))
        search = Search(experiment, past, watcher, interruption, mirror)
        ray = cluster(experiment, search.sources, warm=True, insecure=insecure)
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
    with Search(experiment, None, Watcher(), Interruption()):
        pass


def dry_run(
    experiment: Experiment,
    watchers: Sequence[Watcher] = (),
    *,
    interruption: Interruption | None = None,
    insecure: bool = False,
) -> SearchPlan:
    """All that `tune` checks and finds out before the first trial; nothing is written."""
    search = Search(experiment, None, Watchers(watchers), interruption or Interruption())
    with cluster(experiment, search.sources, insecure=insecure), search:
        return search.plan()


def met_by_default(experiment: Experiment) -> list[Hyperparameter]:
    """What the default model of an experiment meets, found in a process that sees no GPU.

    Nothing is written.
    """
    search_space = names.resolve("search space", experiment.search_space)
    with cluster(experiment, [search_space] if isinstance(search_space, Source) else []):
        import ray

        from pipeline.engine.internals.ray_errors import ours

        search_space = with_code(search_space)
        check_sendable("search space", search_space)
        task: Any = ray.remote(num_cpus=0)(_met_by_default)
        with ours("the process that follows the search space"):
            return list(ray.get(task.remote(search_space, with_code(experiment.dataset))))


def _met_by_default(search_space: Any, data: Any) -> list[Hyperparameter]:
    from pipeline.worker.devices import machine

    machine.claim(1, gpus=0)
    from pipeline.worker.spaces import reveal
    from pipeline.worker.spaces.loading import load_search_space

    return reveal.met(load_search_space(search_space), data)
