"""How many trials share a process, so that those whose models are alike are trained together."""

import math
from collections.abc import Callable, Mapping

from pipeline.engine.cluster.capacity import concurrent, live_nodes
from pipeline.experiment import Experiment
from pipeline.schedulers.scheduler import scheduler_class
from pipeline.search.searcher import searcher_class
from pipeline.space.configuration import Configuration, configuration_of
from pipeline.space.hyperparameters import Requested
from pipeline.worker.backends.known import asked_for
from pipeline.worker.session import Checked

# Each is a thread, a model and a part of what Ray counts; what eight models share of a step's cost
# is most of what more would.
MOST_SEATS = 16

# Operations, additions and products of forward and backward pass, that one core carries out in the
# seconds that a second process takes to import what it trains with and to compile the same program.
SHORT = 2e10
# What a step costs beside its products, some 0.1 ms, in the same measure; and how many examples it
# has, as far as is known here: Keras's default.
A_STEP, EXAMPLES_A_STEP = 4e5, 32

Roles = Callable[[Configuration], Mapping[str, str]]


def seats_of(
    experiment: Experiment, checked: Checked, examples: float, roles: Roles
) -> tuple[int, str]:
    """How many trials share a process; a line on why each trains apart, where that was not asked.

    Trials share one where their models are small, where a search begins many of them without
    waiting for what others come to, and where several have models of the same shapes.

    Args:
        experiment: what is asked for.
        checked: what came of the default model.
        examples: that are trained on, an epoch.
        roles: says of each hyperparameter of a configuration whether it decides the model.
    """
    short = _is_short(experiment, checked, examples)
    hosts = 1 if short else concurrent(experiment, live_nodes())
    if apart := _why_apart(experiment, checked, short, roles):
        asked = experiment.fit_plan == "fused" and experiment.repeats == 1
        return 1, f"fit plan fused: each trial trains apart: {apart}" if asked else ""
    return max(1, min(MOST_SEATS, math.ceil(experiment.at_once / max(1, hosts)))), ""


def trains_together(experiment: Experiment) -> bool:
    """Whether several trainings of a search may go on together, as far as it was asked for."""
    return _is_asked(experiment) and (experiment.repeats > 1 or _begins_many(experiment))


def may_share(experiment: Experiment) -> bool:
    """Whether trials may come to share processes, by what is known before there are models."""
    able = "fused" in asked_for().plans
    return able and _is_asked(experiment) and _begins_many(experiment)


def _is_asked(experiment: Experiment) -> bool:
    return experiment.fit_plan in ("auto", "fused")


def _begins_many(experiment: Experiment) -> bool:
    """Whether trials are begun without waiting for what others come to."""
    learns = searcher_class(experiment.searcher).learns
    return not learns or scheduler_class(experiment.scheduler).begins_all


def _is_short(experiment: Experiment, checked: Checked, examples: float) -> bool:
    """Whether all trainings are done before a second process would be of use."""
    an_example = 3 * 2 * checked.weights + A_STEP / EXAMPLES_A_STEP
    return an_example * examples * experiment.epochs_in_all < SHORT


def _why_apart(experiment: Experiment, checked: Checked, short: bool, roles: Roles) -> str:
    if not _is_asked(experiment):
        return f"{experiment.fit_plan} was asked for"
    if not _begins_many(experiment):
        return f"{experiment.searcher} proposes by what earlier trials came to"
    if checked.apart and experiment.fit_plan == "auto":
        return checked.apart
    if not short and not asked_for().trains_several and experiment.fit_plan == "auto":
        return "its models would take turns"
    if experiment.trials < 2 * _models(checked.requested, roles):
        return "too few of its trials have models of the same shapes"
    return ""


def _models(requested: Requested, roles: Roles) -> float:
    """How many models of other shapes a search space has."""
    found = roles(configuration_of(requested))
    of_model = [spec for spec, _ in requested if found.get(spec.name) == "model"]
    return math.prod(len(spec.values() or ()) or math.inf for spec in of_model)
