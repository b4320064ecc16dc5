"""The optimizers of a model, with what a checkpoint keeps of them.

That of `compile` trains all weights. A model with a `train_step` of its own may hold others, such
as a GAN's two: each is known by its attribute, and by which of the weights it trains.

Without Keras until a model is handed in.
"""

from collections.abc import Callable, Mapping
from typing import Any

COMPILED = "optimizer"  # the attribute of that of `compile`


def optimizer_of(model: Any) -> Any:
    """The model's optimizer, or None.

    A `fit` of one's own may use one that the model does not know.
    """
    return getattr(model, COMPILED, None)


def trained_weights(model: Any) -> dict[str, list[int]]:
    """The places of the weights that each optimizer has trained, by its attribute.

    That of `compile` has trained all of them; it is named only where it has trained none, since a
    `train_step` never used it.
    """
    places = {id(v): place for place, v in enumerate(model.trainable_variables)}
    trained = {name: _variables_of(optimizer) for name, optimizer in _own(model).items()}
    if optimizer_of(model) is not None and not optimizer_of(model).built:
        trained[COMPILED] = []
    return {
        name: [places[id(v)] for v in variables]
        for name, variables in trained.items()
        if all(id(v) in places for v in variables)
    }


def optimizer_variables(model: Any, trained: Mapping[str, list[int]]) -> dict[str, Any]:
    """What the optimizers know, by its name in a checkpoint."""
    return {
        f"{_prefix(name)}{i}": variable
        for name, optimizer in _held(model, trained).items()
        for i, variable in enumerate(optimizer.variables)
    }


def restore_optimizers(
    model: Any,
    trained: Mapping[str, list[int]],
    assign: Callable[[list[Any], str], None],
    *,
    keep_rates: bool,
) -> None:
    """Put back what the optimizers of a freshly built model knew.

    Args:
        model: with its weights.
        trained: of each optimizer of its own, what `trained_weights` said of it.
        assign: gives variables their values, which have names with this prefix.
        keep_rates: leave the learning rates as the model was built with them.
    """
    weights = model.trainable_variables
    for name, optimizer in _held(model, trained).items():
        optimizer.build([weights[place] for place in trained.get(name, range(len(weights)))])
        # Of float16's: the one within has the rate.
        rate: Any = getattr(_inner(optimizer), "_learning_rate", None)
        own = float(rate) if keep_rates and hasattr(rate, "assign") else None
        assign(list(optimizer.variables), _prefix(name))
        if own is not None:
            rate.assign(own)


def _held(model: Any, trained: Mapping[str, list[int]]) -> dict[str, Any]:
    """The optimizers that have trained something."""
    own = {name: optimizer for name, optimizer in _own(model).items() if trained.get(name)}
    compiled = optimizer_of(model)
    return own if compiled is None or COMPILED in trained else {COMPILED: compiled, **own}


def _prefix(name: str) -> str:
    return "o" if name == COMPILED else f"{name}."


def _own(model: Any) -> dict[str, Any]:
    import keras

    optimizer = keras.optimizers.Optimizer
    return {n: v for n, v in vars(model).items() if isinstance(v, optimizer) and n != COMPILED}


def _variables_of(optimizer: Any) -> list[Any]:
    return list(getattr(_inner(optimizer), "_trainable_variables", None) or ())


def _inner(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)
