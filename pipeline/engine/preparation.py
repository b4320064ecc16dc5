"""All that a search finds out before its first trial."""

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pipeline.engine.cluster.autoscaler import check_place
from pipeline.engine.cluster.capacity import (
    FreePlaces,
    concurrent,
    devices_a_trial,
    live_nodes,
    packing_warning,
)
from pipeline.engine.cluster.growth import Growth
from pipeline.engine.helper.space import FollowedSpace
from pipeline.engine.imports import import_quickly
from pipeline.experiment import Experiment
from pipeline.objective import Objective
from pipeline.records.entries.trial_ids import id_of
from pipeline.records.layout import Layout
from pipeline.search.searcher import searcher_class
from pipeline.space.configuration import Configuration, configuration_of
from pipeline.space.starts import Starts
from pipeline.watch import Interruption, SearchPlan
from pipeline.worker.devices.parallel import check_devices
from pipeline.worker.session import Checked

# A dry run looks for conditional hyperparameters at most so long: `mlp` takes a few seconds, large
# models more.
SURVEY_S = 6.0


@dataclass(frozen=True)
class Prepared:
    """What is known before the first trial.

    `experiment` has the share of a GPU that was found out; `data` says what the dataset is; `first`
    are configurations to be tried first, `earlier` another run's observations.
    """

    experiment: Experiment
    objective: Objective
    space: FollowedSpace
    checked: Checked
    data: dict[str, Any]
    places: FreePlaces
    first: list[Configuration]
    earlier: list[Any]


def prepare(
    experiment: Experiment,
    space: Callable[[], FollowedSpace],
    layout: Layout,
    growth: Growth,
    starts: Starts | None,
    preparing: Callable[[str], None],
    await_place: Callable[[], None] | None,
) -> tuple[Prepared, SearchPlan]:
    """Check the nodes, load the data, try the search space, and find out what shares a GPU.

    Args:
        experiment: what is asked for.
        space: starts the helper.
        layout: where the run is, or will be.
        growth: the nodes.
        starts: what the search is started from.
        preparing: is told of each step.
        await_place: waits for a node that holds a trial; None where nothing is waited for.
    """
    check_place(experiment)
    growth.check()
    preparing("loading data, checking the search space")
    followed = space()
    # These imports take the driver seconds in which it otherwise only waits for the data.
    slow = ["ray.tune", *searcher_class(experiment.searcher).requires]
    threading.Thread(target=import_quickly, args=[slow], daemon=True).start()
    facts = followed.describe()
    objective = Objective.of(experiment.objective, facts["task"])
    if (devices := devices_a_trial(experiment)) > 1:
        check_devices(followed.versions()["backend"], devices)
    checked = followed.check(objective, experiment.class_weight)
    measured = ""
    if experiment.gpus_per_trial == "auto":
        share, measured = share_of_a_gpu(
            experiment, followed, objective, layout, preparing, await_place
        )
        if share is not None:
            experiment = growth.experiment = experiment.changed(gpus_per_trial=share)
    first: list[Configuration] = []
    earlier: list[Any] = []
    if starts is not None:
        from pipeline.search import starts as searched

        earlier = searched.observations(starts, objective)
        first = searched.settled(starts, checked.requested, followed.trace)
    places = FreePlaces(experiment)
    warning = packing_warning(experiment)
    plan = SearchPlan(
        experiment,
        objective,
        facts,
        checked.requested,
        checked.weights,
        min(places(), experiment.trials),
        (*facts.get("notes", ()), *checked.warnings, *([warning] if warning else [])),
        layout.place,
        measured=measured,
        printed=checked.printed,
    )
    prepared = Prepared(experiment, objective, followed, checked, facts, places, first, earlier)
    return prepared, plan


def share_of_a_gpu(
    experiment: Experiment,
    space: FollowedSpace,
    objective: Objective,
    layout: Layout,
    preparing: Callable[[str], None],
    await_place: Callable[[], None] | None,
) -> tuple[float | None, str]:
    """How much of a GPU a trial needs, measured on the default model, and a line on why.

    None where no node holds a trial on a GPU, and none is waited for.
    """
    from pipeline.engine.helper.gpu_share import measured_share
    from pipeline.engine.trials.jobs import Jobs

    if await_place is None and not concurrent(experiment, live_nodes()):
        return None, "measured once the cluster has a node that holds a trial on a GPU"
    if await_place is not None:
        await_place()
    preparing("measuring the default model's memory on a GPU")
    job = Jobs(experiment, objective, layout)(id_of(0), {})
    return measured_share(experiment, space.source, space.data, job)


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
