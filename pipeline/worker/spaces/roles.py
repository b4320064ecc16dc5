"""What a hyperparameter decides: the model itself, or only how it is trained.

Found by building, not from its name.

A hyperparameter is of the model's role where another of its values changes the shape of a weight or
of an optimizer's variable, what comes out of a layer, or a setting of a layer that is no number:
its class, its activation. All others, and what only `fit` asks for, are of the algorithm's role:
weights trained under one value go on under another.
"""

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import keras

from pipeline.data.fit_data import Data
from pipeline.space.hyperparameters import HyperParameters
from pipeline.space.specs import Float, Hyperparameter, Int, Value
from pipeline.worker.session import SearchSpace
from pipeline.worker.training.optimizers import optimizer_of
from pipeline.worker.training.trial import build, with_weights

Role = Literal["model", "algorithm"]

# Layers that change nothing once a model is trained: a rate of zero may leave them out.
_AUGMENTATION = "keras.src.layers.preprocessing.image_preprocessing."
TRAINING_ONLY = (
    "keras.src.layers.regularization.",
    *(
        _AUGMENTATION + layer
        for layer in ("random_", "rand_augment", "aug_mix", "cut_mix", "mix_up")
    ),
)
# What `compile` puts into a model, and the name, which counts the layers before.
NOT_OF_A_LAYER = {"name", "loss", "run_eagerly", "jit_compile", "auto_scale_loss"}
# Of a nested model: which of its layers are the first and the last, by names that count.
BY_NAME = {"name", "build_config", "layers", "input_layers", "output_layers"}


def roles(
    space: SearchSpace, data: Data, configuration: Mapping[str, Value], known: Collection[str] = ()
) -> dict[str, Role]:
    """The role of each hyperparameter that `build` requests, but for those `known`.

    One that cannot be built under another value is of the model's role.
    """
    few = data.sample()
    hp = HyperParameters(configuration)
    start = _signature(space, few, hp)
    asked = [spec for spec, _ in hp.requested if spec.name not in known]
    return {spec.name: _role(space, few, configuration, spec, start) for spec in asked}


def fits(
    space: SearchSpace, data: Data, configuration: Mapping[str, Value], other: Mapping[str, Value]
) -> bool:
    """Whether a model of `other` can go on with the weights of one of `configuration`.

    Roles are found by changing one value at a time, and not all of them.
    """
    few = data.sample()
    try:
        return bool(
            _signature(space, few, HyperParameters(configuration))
            == _signature(space, few, HyperParameters(other))
        )
    except Exception:  # not to be built
        return False


def _role(
    space: SearchSpace,
    data: Data,
    configuration: Mapping[str, Value],
    spec: Hyperparameter,
    start: Any,
) -> Role:
    for value in _others(spec, configuration[spec.name]):
        try:
            changed = _signature(space, data, HyperParameters({**configuration, spec.name: value}))
        except Exception:  # not to be built: a trial will show why
            return "model"
        if changed != start:
            return "model"
    return "algorithm"


def _others(spec: Hyperparameter, value: Value) -> list[Value]:
    """Values to compare with: both ends of a range, and zero, which may leave something out.

    All of a choice.
    """
    if isinstance(spec, Int | Float):
        possible = [spec.from_unit(0.0), spec.from_unit(1 - 1e-12)]
        possible += [
            zero for zero in (0, 0.0) if type(zero) is type(possible[0]) and spec.contains(zero)
        ]
    else:
        possible = list(spec.values() or ())
    return [v for v in dict.fromkeys(possible) if v != value]


def _signature(space: SearchSpace, data: Data, hp: HyperParameters) -> Any:
    """What one model has in common with another that its weights fit into."""
    try:
        model = with_weights(build(space, hp, data), data)
        layers = [_layer(layer) for layer in model._flatten_layers()]
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
    operations = [
        type(o).__name__ for o in getattr(layer, "operations", ()) if not isinstance(o, keras.Layer)
    ]
    return (
        type(layer).__name__,
        settings,
        _own(layer),
        operations,
        outputs,
        [tuple(w.shape) for w in layer.weights],
    )


def _own(layer: Any) -> dict[str, Any]:
    """What a layer or a model of the user's own class holds that is no number.

    It need not have a `get_config`.
    """
    if type(layer).__module__.startswith("keras."):
        return {}
    held = {
        n: v for n, v in vars(layer).items() if not n.startswith("_") and n not in NOT_OF_A_LAYER
    }
    return {
        n: getattr(v, "__name__", v)
        for n, v in held.items()
        if isinstance(v, str | bool) or inspect.isroutine(v)
    }


def _without_numbers(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        kept = {
            k: str(v) if k == "dtype" else _without_numbers(v)
            for k, v in settings.items()
            if k not in BY_NAME
        }
        return {k: v for k, v in kept.items() if v is not None}
    if isinstance(settings, Sequence) and not isinstance(settings, str):
        return [v for v in map(_without_numbers, settings) if v is not None]
    return settings if isinstance(settings, str | bool) else None
