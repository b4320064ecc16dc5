"""What a hyperparameter decides: the model itself, or only how it is trained. Found by building, not from its name.

A hyperparameter is of the model's kind where another of its values changes the shape of a weight or of an optimizer's
variable, what comes out of a layer, or a setting of a layer that is no number: its class, its activation. All others,
and what only `fit` asks for, are of the algorithm's kind: weights trained under one value go on under another.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import keras

from pipeline.fit_data import Data
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Hyperparameter, Value
from pipeline.worker.checkpoints import optimizer_of
from pipeline.worker.modules import SearchSpace
from pipeline.worker.trial import build, built

Kind = Literal["model", "algorithm"]

# Layers that change nothing once a model is trained: a rate of zero may leave them out.
TRAINING_ONLY = ("keras.src.layers.regularization.", "keras.src.layers.preprocessing.image_preprocessing.random_")


def kinds(
    space: SearchSpace, data: Data, configuration: Mapping[str, Value], asked: Iterable[Hyperparameter]
) -> dict[str, Kind]:
    """The kind of each hyperparameter in `asked`, which `build` requests under `configuration`.

    One that cannot be built under any other value is of the model's kind.
    """
    few = data.few()
    start = _signature(space, few, configuration)
    return {spec.name: _kind(space, few, configuration, spec, start) for spec in asked}


def _kind(space: SearchSpace, data: Data, configuration: Mapping[str, Value], spec: Hyperparameter, start: Any) -> Kind:
    others = _others(spec, configuration.get(spec.name))
    for value in others:
        try:
            changed = _signature(space, data, {**configuration, spec.name: value})
        except Exception:  # not to be built: a trial will show why
            return "model"
        if changed != start:
            return "model"
    return "algorithm"


def _others(spec: Hyperparameter, value: Value) -> list[Value]:
    """Values to compare with: both ends of a range, all of a choice."""
    grid = [v for v in spec.grid() if v != value]
    return grid if not spec.ordered else list(dict.fromkeys([*grid[:1], *grid[-1:]]))


def _signature(space: SearchSpace, data: Data, configuration: Mapping[str, Value]) -> Any:
    """What one model has in common with another that its weights fit into."""
    try:
        model = built(build(space, HyperParameters(configuration), data), data)
        layers = [_layer(layer) for layer in model._flatten_layers(include_self=False)]
        optimizer = optimizer_of(model)
        if optimizer is not None:
            optimizer.build(model.trainable_variables)
            layers.append((type(optimizer).__name__, [tuple(v.shape) for v in optimizer.variables]))
        return [layer for layer in layers if layer is not None]
    finally:
        keras.utils.clear_session(free_memory=False)


def _layer(layer: Any) -> Any:
    if type(layer).__module__.startswith(TRAINING_ONLY):
        return None
    try:
        settings = _without_numbers(layer.get_config())
    except NotImplementedError:  # of a layer of the user's own
        settings = None
    try:
        outputs = [tuple(t.shape) for t in keras.tree.flatten(layer.output)]
    except (AttributeError, ValueError):  # it was called several times, or is part of no graph
        outputs = None
    return type(layer).__name__, settings, outputs, [tuple(w.shape) for w in layer.weights]


def _without_numbers(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        kept = {k: _without_numbers(v) for k, v in settings.items() if k not in ("name", "build_config", "layers")}
        return {k: v for k, v in kept.items() if v is not None}
    if isinstance(settings, Sequence) and not isinstance(settings, str):
        return [v for v in map(_without_numbers, settings) if v is not None]
    return settings if isinstance(settings, str | bool) else None
