"""Which models are alike but for numbers that they may differ by.

Models are built one by one, each with its own numbers. Two are alike where all layers, variables,
optimizer, loss and metrics are the same but for the settings that `MAY_DIFFER` names.
"""

import inspect
import math
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.backend import without_other_backends
from pipeline.worker.fused.numbers import MAY_DIFFER

_OVERRIDDEN = ("call", "compute_loss", "compute_metrics", "train_step", "test_step")


class NotAlike(Exception):
    """It is not known what a model is, so that it is like no other."""


@dataclass(frozen=True)
class Place:
    """Where one number of a model stands: an attribute, or an item of a list that is one."""

    owner: Any
    attribute: str
    index: int | None = None

    def get(self) -> Any:
        """The number."""
        value = getattr(self.owner, self.attribute)
        return value if self.index is None else value[self.index].loss_weights

    def set(self, value: Any) -> None:
        """Put another in its place."""
        if self.index is None:
            object.__setattr__(self.owner, self.attribute, value)
        else:
            losses = getattr(self.owner, self.attribute)
            losses[self.index] = losses[self.index]._replace(loss_weights=value)


@dataclass(frozen=True)
class Likeness:
    """What a compiled model is.

    Models with the same `key` are alike but for their `numbers`, which stand at `places`.
    """

    key: Hashable
    numbers: tuple[float, ...]
    places: tuple[Place, ...]

    @contextmanager
    def with_numbers(self, values: dict[int, Any]) -> Iterator[None]:
        """Have other values in some of the places, by their indices."""
        before = {index: self.places[index].get() for index in values}
        try:
            for index, value in values.items():
                self.places[index].set(value)
            yield
        finally:
            for index, value in before.items():
                self.places[index].set(value)


def likeness(model: Any) -> Likeness:
    """What a model is that is compiled and built, its optimizer and its metrics as well.

    Raises:
        NotAlike: something of it cannot be compared.
    """
    with without_other_backends():  # Keras would, to serialise a layer's settings
        return _Reader(model).read()


class _Reader:
    """Reads one model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layers = list(model._flatten_layers())
        # Keras numbers names through, so that no two models have the same.
        self._names = {layer.name: f"layer {i}" for i, layer in enumerate(self._layers)}
        self._places: list[Place] = []
        self._numbers: list[float] = []

    def read(self) -> Likeness:
        model = self._model
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        key = (
            tuple(map(self._layer, self._layers)),
            tuple(map(_variable, model.variables)),
            type(model.optimizer),
            self._optimizer(optimizer),
            tuple(map(_variable, model.optimizer.variables)),
            self._compiling(),
            keras.config.floatx(),
        )
        return Likeness(key, tuple(self._numbers), tuple(self._places))

    def _layer(self, layer: Any) -> Any:
        if any(name in vars(layer) for name in _OVERRIDDEN):
            raise NotAlike(f"layer {layer.name!r} has a method of its own")
        if isinstance(layer, keras.layers.Lambda):
            raise NotAlike(f"layer {layer.name!r} is a Lambda")
        graph = isinstance(layer, FUNCTIONAL)
        if isinstance(layer, keras.Sequential):
            return type(layer)
        own = not type(layer).__module__.startswith("keras.")
        if graph and not own:
            return (type(layer), self._graph(layer))
        if isinstance(layer, keras.Model):
            return (type(layer), self._attributes(layer))
        try:
            config = layer.get_config()
        except NotImplementedError:
            raise NotAlike(f"layer {layer.name!r} has no get_config") from None
        kept = {n: v for n, v in config.items() if n != "name" and not n.endswith("initializer")}
        settings = self._settings(layer, kept)
        return (type(layer), settings, self._attributes(layer) if own else self._adapted(layer))

    def _adapted(self, layer: Any) -> Hashable:
        """What a layer of Keras's was adapted to: tensors that are no variables."""
        if not hasattr(type(layer), "adapt"):
            return None
        if not isinstance(layer, keras.layers.Normalization):
            raise NotAlike(f"layer {layer.name!r} is adapted to data")
        held = [(name, getattr(layer, name, None)) for name in ("mean", "variance")]
        arrays = [(n, None if v is None else keras.ops.convert_to_numpy(v)) for n, v in held]
        return tuple((name, self._plain(array, layer.name)) for name, array in arrays)

    def _graph(self, model: Any) -> Hashable:
        """How the layers of a functional model are called."""
        nodes = []
        for operation in model.operations:
            for node in operation._inbound_nodes:
                arguments = [node.arguments.args, node.arguments.kwargs]
                inputs = keras.tree.map_structure(self._tensor, arguments)
                nodes.append((self._names.get(operation.name), self._plain(inputs, operation.name)))
        ends = [[self._tensor(t) for t in tensors] for tensors in (model.inputs, model.outputs)]
        kinds = tuple(
            type(o) if isinstance(o, keras.layers.Layer) else (type(o), self._attributes(o))
            for o in model.operations
        )
        return (kinds, self._plain(nodes, model.name), self._plain(ends, model.name))

    def _tensor(self, value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        operation, node, place = value._keras_history
        named = self._names.get(operation.name) or type(operation)
        return (named, node, place, tuple(value.shape), str(value.dtype))

    def _settings(self, owner: Any, config: dict[str, Any]) -> Hashable:
        """The settings of an object of Keras's, numbers that may differ left out."""
        may_differ = MAY_DIFFER.get(type(owner), ())
        found: list[Hashable] = []
        for name, value in sorted(config.items()):
            held = getattr(owner, name, None)
            if name in may_differ and _is_number(value):
                found.append((name, self._number(Place(owner, name), value)))
            elif isinstance(held, keras.regularizers.Regularizer):
                found.append((name, type(held), self._settings(held, held.get_config())))
            else:
                found.append((name, self._plain(value, f"{type(owner).__name__}.{name}")))
        return tuple(found)

    def _attributes(self, layer: Any) -> Hashable:
        """What a layer of the user's own holds: plain values, and what is compared by itself."""
        found: list[Hashable] = []
        for name, value in sorted(vars(layer).items()):
            if name in _kerass():
                continue
            parts = keras.tree.flatten(value)
            if all(isinstance(part, _COMPARED) for part in parts):
                found.append((name, len(parts)))
            else:
                found.append((name, self._plain(value, f"{type(layer).__name__}.{name}")))
        return tuple(found)

    def _optimizer(self, optimizer: Any) -> Hashable:
        rate = getattr(optimizer, "_learning_rate", None)
        if not isinstance(rate, keras.Variable | keras.optimizers.schedules.LearningRateSchedule):
            raise NotAlike("its learning rate is a function")
        config = optimizer.get_config()
        settings = {n: v for n, v in config.items() if n not in ("name", "learning_rate")}
        schedule = None
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            of_schedule = {n: v for n, v in rate.get_config().items() if n != "name"}
            schedule = (type(rate), self._settings(rate, of_schedule))
        return (type(optimizer), self._settings(optimizer, settings), schedule)

    def _compiling(self) -> Hashable:
        model = self._model
        given = dict(model._compile_config.config)
        for name in ("optimizer", "loss_weights"):
            given.pop(name, None)
        found = [(n, self._plain(v, f"compile({n}=…)")) for n, v in sorted(given.items())]
        losses = model._compile_loss._flat_losses if model._compile_loss is not None else []
        weights: list[Hashable] = []
        for index, loss in enumerate(losses):
            place = Place(model._compile_loss, "_flat_losses", index)
            weight = loss.loss_weights
            weights.append(self._number(place, weight) if _is_number(weight) else weight)
        return (tuple(found), tuple(weights))

    def _number(self, place: Place, value: Any) -> Hashable:
        """Leave a number out, but for whether it is 0 or 1, which Keras looks at in Python."""
        self._places.append(place)
        self._numbers.append(float(value))
        return ("number", value == 0, value == 1)

    def _plain(self, value: Any, where: str) -> Any:
        """A value as it can be compared."""
        value = self._tensor(value)
        if value is None or isinstance(value, bool | int | float | type | slice):
            return (type(value), repr(value)) if isinstance(value, float | slice) else value
        if isinstance(value, str):
            return self._names.get(value, value)
        if isinstance(value, dict):
            if "registered_name" in value and "class_name" in value:
                value = {n: v for n, v in value.items() if n != "build_config"}
            parts = [(str(n), self._plain(v, where)) for n, v in value.items() if n != "name"]
            return tuple(sorted(parts, key=lambda part: part[0]))
        if isinstance(value, list | tuple):
            return tuple(self._plain(part, where) for part in value)
        if isinstance(value, np.ndarray | np.generic):
            return (str(value.dtype), value.shape, value.tobytes())
        if isinstance(value, keras.losses.Loss | keras.metrics.Metric):
            if not type(value).__module__.startswith("keras."):
                return (type(value), self._attributes(value))
            # Some losses leave what they pass to their function out of their config (3.15).
            passed = getattr(value, "_fn_kwargs", None)
            return (type(value), self._plain([value.get_config(), passed], where))
        if isinstance(value, keras.DTypePolicy):
            return value.name
        if inspect.isroutine(value):
            return value
        raise NotAlike(f"{where} is a {type(value).__name__}")


@cache
def _kerass() -> frozenset[str]:
    """The attributes that Keras gives its objects, beside the settings of their classes."""
    layer = keras.layers.Identity()
    layer(np.zeros((1, 1), "float32"))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    batch = np.zeros((1, 1), "float32")
    model._symbolic_build(data_batch=(batch, batch))
    objects = [layer, model, keras.losses.Loss(), keras.metrics.Metric(), model.inputs[0]]
    return frozenset(name for each in objects for name in vars(each))


FUNCTIONAL = type(keras.Model(*[keras.Input((1,))] * 2))
# What a layer may hold that is compared by itself, or by its variables.
_COMPARED = (keras.layers.Layer, keras.Variable, keras.random.SeedGenerator)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _variable(variable: Any) -> Hashable:
    return (tuple(variable.shape), str(variable.dtype), bool(variable.trainable))


def differing(members: Sequence[Likeness]) -> frozenset[int]:
    """The indices of the numbers that are not the same in all models of a group."""
    first = members[0].numbers
    return frozenset(
        index
        for index, value in enumerate(first)
        if any(member.numbers[index] != value for member in members)
    )
