"""Known-good starts.

Configurations to be tried first, checked against the space and completed by its defaults.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import LISTED, LONGEST, RequestError, all_unknown, one_line, quoted
from pipeline.objective import Objective
from pipeline.search.bookkeeping import Observation
from pipeline.search.known import Trace
from pipeline.search.survey import survey
from pipeline.space.configuration import Configuration, identity
from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Hyperparameter, Value
from pipeline.space.starts import Starts


def settled(starts: Starts, requested: Requested, trace: Trace) -> list[Configuration]:
    """The starts as trials will request them, in order, each once.

    A name that is known but that a start's own model does not ask for is left out: KerasTuner keeps
    such beside the others. What a start leaves out takes its default.

    Args:
        starts: as given.
        requested: what the default model and its `fit` asked for.
        trace: follows `build`.

    Raises:
        RequestError: a name that the space does not know, or a value that is not possible; all of
            them in one line.
    """
    default = {spec.name for spec, _ in trace({}, "default")}
    by_fit = [spec for spec, _ in requested if spec.name not in default]
    followed = [trace(start, "default") for start in starts.configurations]
    known = {spec.name: spec for each in (requested, *followed) for spec, _ in each}
    wanted = {name for start in starts.configurations for name in start}
    more = survey(known, trace)  # where a start's own configuration does not show its names
    while not wanted <= known.keys() and (shown := next(more, None)) is not None:
        known.update({spec.name: spec for spec, _ in shown if spec.name not in known})
    surplus = sorted(wanted - known.keys())
    faults = [all_unknown("hyperparameter", surplus, known)] if surplus else []
    found: dict[str, Configuration] = {}
    for number, (start, by_build) in enumerate(
        zip(starts.configurations, followed, strict=True), start=1
    ):
        configuration: Configuration = {}
        asked = [spec for spec, _ in by_build]
        for spec in asked + by_fit:
            if spec.name in configuration or (
                spec not in asked and not _active(spec, configuration)
            ):
                continue
            value = start.get(spec.name, spec.default)
            if spec.name in start and not _may_be(spec, value):
                faults.append(
                    f"Configuration {number}: {spec.name!r} must be {possible(spec)}; got "
                    f"{quoted(value)}."
                )
            elif spec.kind == "float" and isinstance(value, int):
                value = float(value)  # of 1 and 1.0 the records keep the one that trials request
            configuration[spec.name] = value
        found.setdefault(identity(configuration), configuration)
    if faults := list(dict.fromkeys(faults)):
        rest = f" And {len(faults) - LISTED} more." if len(faults) > LISTED else ""
        raise RequestError(f"{starts.source}: {' '.join(faults[:LISTED])}{rest}")
    return list(found.values())


def _active(spec: Hyperparameter, values: Mapping[str, Value]) -> bool:
    return all(
        parent in values and values[parent] in possible for parent, possible in spec.conditions
    )


def _may_be(spec: Hyperparameter, value: Value) -> bool:
    """Whether a trial would take it; KerasTuner allows a default that is off its own steps."""
    return spec.contains(value) or (value == spec.default and type(value) is type(spec.default))


def possible(spec: Hyperparameter) -> str:
    """What a hyperparameter may be, in words."""
    values = spec.values()
    if values is not None and len(values) <= LISTED:
        return f"one of {', '.join(map(repr, values))}"
    plain: dict[str, Any] = spec.to_dict()
    if "min_value" not in plain:
        return f"one of {', '.join(map(repr, list(values or ())[:LISTED]))}, …"
    what = "an integer" if spec.kind == "int" else "a number"
    step = "" if plain.get("step") in (None, 1) else f" in steps of {plain['step']:g}"
    return f"{what} from {plain['min_value']:g} to {plain['max_value']:g}{step}"


def observations(starts: Starts, objective: Objective) -> list[Observation]:
    """An earlier run's trials, as a searcher learns from them.

    Raises:
        RequestError: that run had another objective, so that its results say nothing of this one's.
    """
    if starts.objective not in (None, str(objective)):
        raise RequestError(
            f"A run to start from must have the same objective; {starts.source} has "
            f"{one_line(starts.objective, LONGEST)}, and this "
            f"search {objective}."
        )
    return [
        Observation(
            trial.configuration,
            {
                epoch: objective.worst if value is None else value
                for epoch, value in trial.curve.items()
            },
            ended=True,
            failed=trial.failed,
            told=True,
        )
        for trial in starts.trials
    ]
