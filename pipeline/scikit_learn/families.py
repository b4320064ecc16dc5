"""How a user's `build` is called: `build(hp)`, `build(hp, data)` or with keyword arguments."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import names
from pipeline.errors import EstimatorError, quoted, unknown
from pipeline.space.hyperparameters import HyperParameters

# Parameters that are for `fit`, and reach a function too if it has them.
FOR_FIT = ("batch_size", "epochs")


def takes_keywords(build: Any) -> bool:
    """Whether `build` is a plain function of keyword arguments, and not one of `hp`.

    Raises:
        EstimatorError: it is nothing that builds a model.
    """
    if isinstance(build, str) or callable(getattr(build, "build", None)):
        return False
    if not callable(build):
        raise EstimatorError(
            "build must be a function of hp or of keyword arguments that returns a compiled "
            f"model, or the name of a search space; got {quoted(build)}."
        )
    parameters = list(inspect.signature(build).parameters)
    return not parameters or parameters[0] != "hp"


def check_keywords(build: Any, given: Iterable[str]) -> None:
    """Refuse parameters that a function does not have.

    Raises:
        EstimatorError: with the nearest that it has.
    """
    parameters = inspect.signature(build).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in given:
        if name not in parameters and name not in FOR_FIT:
            called = getattr(build, "__name__", "build")
            raise EstimatorError(unknown(f"parameter of {called}", name, {*parameters, *FOR_FIT}))


def keywords(build: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the parameters that the function is called with."""
    own = inspect.signature(build).parameters
    return {n: value for n, value in parameters.items() if n not in FOR_FIT or n in own}


def family_of(build: Any) -> Any:
    """A `build` of `hp` with the `fit` that may come with it, as trials have it; imports Keras."""
    from pipeline.worker.spaces.loading import load_search_space

    return load_search_space(names.resolve("search space", build))


def is_scikit_learns(made: Any) -> bool:
    """Whether what `build` returned is an estimator of scikit-learn's kind, and no Keras model."""
    return callable(getattr(made, "get_params", None)) and callable(getattr(made, "fit", None))


def built(build: Any, parameters: Mapping[str, Any], data: Any) -> tuple[Any, Any, HyperParameters]:
    """The model or estimator of a configuration, the `fit` that comes with it or None, and `hp`."""
    hp = HyperParameters(parameters)
    if takes_keywords(build):
        return build(**keywords(build, parameters)), None, hp
    family = family_of(build)
    return family.build(hp, data), family.fit, hp
