"""All that a search finds out before its first trial."""

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.engine.cluster.autoscaler import check_place
from pipeline.engine.cluster.capacity import (
    FreePlaces,
    concurrent,
    devices_a_trial,
    left_idle,
    live_nodes,
    packing_warning,
)
from pipeline.engine.cluster.growth import Growth
from pipeline.engine.cluster.seats import may_share, seats_of
from pipeline.engine.helper.space import FollowedSpace
from pipeline.engine.imports import import_quickly
from pipeline.errors import NodesError
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.trial_ids import id_of
from pipeline.records.layout import Layout
from pipeline.search.searcher import searcher_class
from pipeline.space.configuration import Configuration, configuration_of
from pipeline.space.starts import Starts
from pipeline.watch import Interruption, SearchPlan
from pipeline.worker.devices.parallel import check_devices
from pipeline.worker.session import Checked, Job

if TYPE_CHECKING:
    from pipeline.engine.gpus.measuring import OnGpu

# A dry run looks for conditional hyperparameters at most so long: `mlp` takes a few seconds, large
# models more.
SURVEY_S = 6.0


@dataclass(frozen=True)
class Prepared:
    """What is known before the first trial.

    `experiment` has the share of a GPU that was found out, and `gpu_plan` is the fit plan that is
    fastest on it, "" where none was measured; `data` says what the dataset is; `first` are
    configurations to be tried first, `earlier` another run's observations; `seats` says how many
    trials share a process.
    """

    experiment: Experiment
    objective: Objective
    space: FollowedSpace
    checked: Checked
    data: dict[str, Any]
    places: FreePlaces
    first: list[Configuration]
    earlier: list[Any]
    gpu_plan: str = ""
    seats: int = 1


def prepare(
    space: Callable[[], FollowedSpace],
    layout: Layout,
    growth: Growth,
    starts: Starts | None,
    preparing: Callable[[str], None],
    await_place: Callable[[], None] | None,
    start_processes: Callable[[Experiment, int], None] | None = None,
) -> tuple[Prepared, SearchPlan]:
    """Check the nodes, load the data, try the search space, and find out what shares a GPU.

    Args:
        space: starts the helper.
        layout: where the run is, or will be.
        growth: the nodes, and what is asked for.
        starts: what the search is started from.
        preparing: is told of each step.
        await_place: waits for a node that holds a trial; None where nothing is waited for.
        start_processes: starts those that trials lack, if so many share one; called when the helper
            has its own, while another core would be idle.
    """
    check_place(growth.settle_gpus())
    said = check_nodes(growth)
    experiment = growth.experiment
    with contextlib.ExitStack() as entered:
        on_gpu = None
        if experiment.gpus_per_trial == "auto" and concurrent(experiment, live_nodes()):
            # its process starts while the data are loaded
            on_gpu = entered.enter_context(started_on_gpu(growth))
        preparing("loading data, checking the search space")
        followed = space()
        # These imports take the driver long, and now it only waits for the data.
        slow = searcher_class(experiment.searcher).requires
        threading.Thread(target=import_quickly, args=[slow], daemon=True).start()
        if start_processes is not None and not may_share(experiment):
            followed.await_start()
            start_processes(experiment, 1)
        facts = followed.describe()
        objective = Objective.of(experiment.objective, facts["task"])
        if (devices := devices_a_trial(experiment)) > 1:
            check_devices(followed.versions()["backend"], devices)
        checked = followed.check(objective, experiment.class_weight)
        gpu_plan = ""
        if experiment.gpus_per_trial == "auto" and on_gpu is None and await_place is not None:
            await_place()
            on_gpu = entered.enter_context(started_on_gpu(growth))
        if on_gpu is not None:
            job = default_job(experiment, objective, layout)
            choice = on_gpu.choose(followed.source, followed.data, job, facts, preparing)
            said, gpu_plan = choice.why, choice.plan
            experiment = growth.experiment = experiment.changed(gpus_per_trial=choice.share)
        elif experiment.gpus_per_trial == "auto":
            said = "measured once the cluster has a node that holds a trial on a GPU"
    first: list[Configuration] = []
    earlier: list[Any] = []
    if starts is not None:
        from pipeline.search import starts as searched

        earlier = searched.observations(starts, objective)
        first = searched.settled(starts, checked.requested, followed.trace)
    seats, apart = seats_of(
        experiment, checked, facts["counts"].get("train") or math.inf, followed.roles
    )
    if start_processes is not None and may_share(experiment):
        start_processes(experiment, seats)
    growth.seats = seats
    places = FreePlaces(experiment, seats)
    warning = packing_warning(experiment)
    plan = SearchPlan(
        experiment,
        objective,
        facts,
        checked.requested,
        checked.weights,
        min(places(), experiment.trials),
        (*facts.get("notes", ()), *checked.warnings, *filter(None, [warning, apart])),
        layout.place,
        on_gpus=said,
        left_idle=left_idle(experiment, live_nodes()) if experiment.gpu_share else "",
        printed=checked.printed,
        seats=seats,
    )
    prepared = Prepared(
        experiment, objective, followed, checked, facts, places, first, earlier, gpu_plan, seats
    )
    return prepared, plan


def import_tune() -> None:
    """Import what takes the driver long, for when it only waits for Ray to start."""
    with contextlib.suppress(ImportError):  # who needs it says what is wrong
        import_quickly(["ray.tune"])


def check_nodes(growth: Growth) -> str:
    """Ask the nodes whether they are fit for trials.

    Where one is not, and GPUs are used only because they are there, trials keep to CPUs if all
    nodes are fit for that.

    Returns:
        A line on why GPUs are not used; "" where nothing speaks against it.

    Raises:
        NodesError: a node is not as it must be.
    """
    try:
        growth.check()
    except NodesError as error:
        if not growth.gpus_left_open or not growth.experiment.gpu_share:
            raise
        growth.experiment = growth.experiment.changed(gpus_per_trial=0)
        growth.check()
        node, fault, _ = error.rows[0]
        return f"not used, trials keep to CPUs: {node}: {fault}"
    return ""


@contextlib.contextmanager
def started_on_gpu(growth: Growth) -> "Iterator[OnGpu]":
    """A process that has a GPU, for as long as it is entered."""
    from pipeline.engine.gpus.measuring import OnGpu

    on_gpu = OnGpu(growth.experiment, left_open=growth.gpus_left_open)
    try:
        yield on_gpu
    finally:
        on_gpu.end()


def default_job(experiment: Experiment, objective: Objective, layout: Layout) -> Job:
    """A trial of the default configuration."""
    from pipeline.engine.trials.jobs import Jobs

    return Jobs(experiment, objective, layout)(id_of(0), {})


def surveyed(plan: SearchPlan, space: FollowedSpace, interruption: Interruption) -> SearchPlan:
    """The plan, with what other configurations request and the role of everything."""
    from pipeline.search.survey import survey

    until = time.monotonic() + SURVEY_S
    met = {spec.name: spec for spec, _ in plan.requested}
    roles: dict[str, str] = {}
    for requested in itertools.chain([plan.requested], survey(met, space.trace)):
        met |= {spec.name: spec for spec, _ in requested if spec.name not in met}
        configuration = configuration_of(requested)
        if not configuration.keys() <= roles.keys():
            # it cannot be built: the next that requests the same perhaps can
            with suppress(Exception):
                roles |= space.roles(configuration)
        if time.monotonic() > until or interruption.signal is not None:
            break
    return replace(plan, conditional=tuple(met.values())[len(plan.requested) :], roles=roles)
