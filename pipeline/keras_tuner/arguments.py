"""KerasTuner's arguments: what they mean here, and what is not honoured."""

import inspect
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.digest import label
from pipeline.errors import RequestError, unknown
from pipeline.keras_tuner.left_behind import left_behind
from pipeline.objective import MultiObjective, Objective
from pipeline.space.hyperparameters import HyperParameters

# In the order of Keras's `fit`: `search` takes them by position too.
FIT_ARGUMENTS = (
    "x",
    "y",
    "batch_size",
    "epochs",
    "verbose",
    "callbacks",
    "validation_split",
    "validation_data",
    "shuffle",
    "class_weight",
    "sample_weight",
    "initial_epoch",
    "steps_per_epoch",
    "validation_steps",
    "validation_batch_size",
    "validation_freq",
)
# For a callback that cannot be sent.
OPENED_LATER = (
    "Make what it holds (an open file, a lock, a writer) in on_train_begin, which each trial calls."
)
DEFAULT_OBJECTIVE = "default_objective"  # of a `fit` that returns a number, which is minimised


NOT_HONOURED = {
    "distribution_strategy": "give gpus_per_trial",
    "logger": "the records are in the project's folder",
    "tuner_id": "workers are Ray's; give address",
}

OF_YOUR_OWN = (
    "A searcher of your own is a class of pipeline.search.searcher, given as "
    "Experiment(searcher=…)."
)
# Parts of KerasTuner that are not offered, and what takes their place.
NOT_OFFERED = {
    "Oracle": f"Those of kt.oracles are. {OF_YOUR_OWN}",
    "synchronized": f"It is for oracles of one's own. {OF_YOUR_OWN}",
}
IN_A_HYPERMODEL = "put what it does into a HyperModel's build and fit"
NOT_CALLED = {
    "_build_and_fit_model": IN_A_HYPERMODEL,
    "pre_create_trial": IN_A_HYPERMODEL,
    "on_trial_begin": "give search a Keras callback with on_train_begin",
}


def as_objective(given: Any) -> Objective:
    """An objective as KerasTuner takes it; None minimises the number that `fit` returns.

    Of several the sum is minimised, in which those to be maximised count negatively.
    """
    if given is None:
        return Objective(DEFAULT_OBJECTIVE, "min")
    if isinstance(given, str):
        return Objective.parse(given)
    parts = getattr(given, "objectives", given)
    if isinstance(parts, list | tuple) and len(parts) == 1:
        return as_objective(parts[0])
    if isinstance(parts, list | tuple) and parts:
        return MultiObjective(objectives=tuple(as_objective(part) for part in parts))
    if not hasattr(given, "name") or getattr(given, "direction", None) not in ("min", "max"):
        raise RequestError(
            "objective must be a metric's name or an Objective(name, 'min' or 'max'); got "
            f"{given!r}."
        )
    return Objective(given.name, given.direction)


def as_hyperparameters(given: Any) -> HyperParameters:
    """KerasTuner's own serve too."""
    if given is None or isinstance(given, HyperParameters):
        return given or HyperParameters()
    if not hasattr(given, "get_config"):
        raise RequestError(f"hyperparameters must be a HyperParameters; got {given!r}.")
    return HyperParameters.from_config(given.get_config())


def not_offered(name: str) -> None:
    """Refuse a part of KerasTuner that is known and not offered.

    It is no AttributeError: `from … import` would not show its line.
    """
    if name in NOT_OFFERED:
        raise RequestError(f"KerasTuner's {name} is not offered here. {NOT_OFFERED[name]}")


def refuse(others: Mapping[str, Any], known: Iterable[str] = ()) -> None:
    """Refuse what is not honoured, whatever its value but None; KerasTuner's variables too.

    `known` are the arguments that are.
    """
    variables = sorted(name for name in os.environ if name.startswith("KERASTUNER_"))
    if variables:
        raise RequestError(
            f"{', '.join(variables)} must not be set: KerasTuner starts the same script on each "
            "worker. Here one script searches on all hosts of a Ray cluster: give the tuner "
            "address='auto' or HOST:PORT, and unset the variables."
        )
    given = {name: value for name, value in others.items() if value is not None}
    for name in given:
        if name not in NOT_HONOURED:
            raise RequestError(unknown("argument of a tuner", name, known))
    if given:
        reasons = "; ".join(
            f"{name} is not honoured: {NOT_HONOURED[name]}" for name in sorted(given)
        )
        raise RequestError(f"{reasons}.")


def warn_of_process(num_initial_points: int | None, alpha: float, beta: float) -> None:
    """Warn of what steers KerasTuner's Gaussian process alone, where it is not the default."""
    given = {"num_initial_points": num_initial_points, "alpha": alpha, "beta": beta}
    usual = {"num_initial_points": None, "alpha": 1e-4, "beta": 2.6}
    changed = ", ".join(name for name, value in given.items() if value != usual[name])
    if changed:
        warnings.warn(
            f"{changed}: this steers KerasTuner's Gaussian process and changes nothing here. The "
            "search is by TPE, which begins with a quarter of the trials at random, 5 to 20.",
            stacklevel=3,
        )


def warn_of_left_behind(callback: Any) -> None:
    """Warn of what a callback changes of the script: each trial changes a copy."""
    for name, what in left_behind(callback).items():
        warnings.warn(
            f"The callback {label(callback)} changes {name}, {what} of your script: each trial "
            "does so in a process of its own, and here it stays as it is. Let it write to a file, "
            "or read tuner.oracle and the project's history.csv.",
            stacklevel=3,
        )


def warn_of_whole_trials(scheduler: str, own: str) -> None:
    """Say that trials of a `run_trial`, or another method, of one's `own` are not stopped early."""
    if scheduler != "none":
        warnings.warn(
            f"{own} is your own, so each trial is carried out whole: {scheduler} stops none early.",
            stacklevel=3,
        )


def refuse_hooks(tuner: type) -> None:
    """Refuse a tuner with methods of its own that KerasTuner would call, and we do not."""
    reasons = [
        f"{name} is not called here: {instead}"
        for name, instead in NOT_CALLED.items()
        if hasattr(tuner, name)
    ]
    if reasons:
        raise RequestError(
            f"A tuner's methods must be those that it comes with; {tuner.__name__}'s "
            f"{'; '.join(reasons)}."
        )


def of_search(
    receiver: Sequence[inspect.Parameter] | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What `search` was given, by name; and which of x and y were given so.

    `receiver` are the parameters of the user's own code that it goes to; None for Keras's `fit`.
    """
    names = FIT_ARGUMENTS if receiver is None else _names(receiver)
    named = dict(zip(names, args, strict=False))
    twice = sorted(named.keys() & kwargs.keys())
    if twice:
        raise RequestError(
            f"search takes the arguments of Keras's fit, each once; got {', '.join(twice)} twice."
        )
    if len(args) > len(names):
        raise RequestError(f"search takes {len(names)} arguments by position; got {len(args)}.")
    given = named | kwargs
    new = given.keys() - set(FIT_ARGUMENTS)
    if receiver is not None:
        return given, tuple(name for name in ("x", "y") if name in kwargs)
    if new:
        raise RequestError(unknown("argument of search", min(new), FIT_ARGUMENTS))
    for name, only in (("initial_epoch", 0), ("validation_freq", 1)):
        if given.pop(name, only) != only:
            raise RequestError(
                f"{name} of search must be {only}: each epoch of a trial is validated and counted."
            )
    return given, ()


def _names(receiver: Sequence[inspect.Parameter]) -> tuple[str, ...]:
    """The names of `search`'s arguments by position, where the user's own code takes them.

    It may call data as it likes: what it takes first is x, and next y.
    """
    own = [p.name for p in receiver if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = FIT_ARGUMENTS[len(own) :] if any(p.kind is p.VAR_POSITIONAL for p in receiver) else ()
    if own:
        own[0] = "x"
    if len(own) > 1 and own[1] not in FIT_ARGUMENTS[2:]:
        own[1] = "y"
    return (*own, *rest)
