"""Which models are alike but for numbers that they may differ by.

Models are built one by one, each with its own numbers. Two are alike where all layers, variables,
optimizer, loss and metrics are the same but for the settings that `MAY_DIFFER` names.

Only what is Keras's own is compared. A class or a function of the user's may hold, close over or
look up whatever it likes, so that a model with one is like no other.
"""

import inspect
import math
from collections.abc import Hashable
from typing import Any

import keras
import numpy as np

from pipeline.errors import one_line
from pipeline.worker.backends.backend import without_other_backends
from pipeline.worker.fused.likeness import Likeness, NotAlike, Place
from pipeline.worker.fused.numbers import MAY_DIFFER

_OVERRIDDEN = ("call", "compute_loss", "compute_metrics", "train_step", "test_step")


def likeness(model: Any) -> Likeness:
    """What a model is that is compiled and built, its optimizer and its metrics as well.

    Raises:
        NotAlike: something of it cannot be compared.
    """
    try:
        with without_other_backends():  # Keras would, to serialise a layer's settings
            return _Reader(model).read()
    except NotAlike:
        raise
    except Exception as error:  # such as a setting that Keras cannot serialise
        raise NotAlike(f"what it is cannot be read: {one_line(str(error))}") from error


class _Reader:
    """Reads one model."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._layers = list(model._flatten_layers())
        self._places: list[Place] = []
        self._numbers: list[float] = []
        self._operations: dict[int, int] = {}  # of the functional model that is read
        # Beside 16 bits a traced number is wider than the constant that Keras would have.
        self._narrow = any(layer.compute_dtype != "float32" for layer in self._layers)

    def read(self) -> Likeness:
        model = self._model
        key = (
            tuple(map(self._layer, self._layers)),
            tuple(map(_variable, model.variables)),
            self._optimizer(model.optimizer),
            tuple(map(_variable, model.optimizer.variables)),
            self._compiling(),
            tuple(metric.name for metric in model.metrics),
            tuple(getattr(model, "output_names", None) or ()),
            keras.config.floatx(),
        )
        return Likeness(key, tuple(self._numbers), tuple(self._places))

    def _layer(self, layer: Any) -> Any:
        where = f"layer {layer.name!r}"
        _check_kerass(layer, where)
        if any(name in vars(layer) for name in _OVERRIDDEN):
            raise NotAlike(f"{where} has a method of its own")
        if isinstance(layer, keras.layers.Lambda):
            raise NotAlike(f"{where} is a Lambda")
        if isinstance(layer, keras.Sequential):
            return type(layer)
        if isinstance(layer, keras.Model):
            return (type(layer), self._graph(layer))
        kept = {n: v for n, v in layer.get_config().items() if not n.endswith("initializer")}
        return (type(layer), self._settings(layer, kept, where), self._adapted(layer))

    def _adapted(self, layer: Any) -> Hashable:
        """What a layer was adapted to: tensors that are no variables."""
        if not hasattr(type(layer), "adapt"):
            return None
        if not isinstance(layer, keras.layers.Normalization):
            raise NotAlike(f"layer {layer.name!r} is adapted to data")
        held = [(name, getattr(layer, name, None)) for name in ("mean", "variance")]
        arrays = [(n, None if v is None else keras.ops.convert_to_numpy(v)) for n, v in held]
        return tuple((name, self._plain(array, layer.name)) for name, array in arrays)

    def _graph(self, model: Any) -> Hashable:
        """How the layers and operations of a functional model are called."""
        self._operations = {id(o): place for place, o in enumerate(model.operations)}
        nodes, kinds = [], []
        for operation in model.operations:
            of_layer = isinstance(operation, keras.layers.Layer)
            kinds.append(self._operation(operation) if not of_layer else type(operation))
            for node in operation._inbound_nodes:
                arguments = [node.arguments.args, node.arguments.kwargs]
                inputs = keras.tree.map_structure(self._tensor, arguments)
                place = self._operations[id(operation)]
                nodes.append((place, self._plain(inputs, operation.name)))
        ends = keras.tree.map_structure(self._tensor, [model.inputs, model.outputs])
        return (tuple(kinds), tuple(nodes), self._plain(ends, model.name))

    def _operation(self, operation: Any) -> Hashable:
        """An operation that is no layer, such as a sum."""
        where = f"operation {operation.name!r}"
        _check_kerass(operation, where)
        held = sorted(vars(operation).items())
        settings = [(n, v) for n, v in held if n != "name" and not n.startswith("_")]
        return (type(operation), self._plain(settings, where))

    def _tensor(self, value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        operation, node, place = value._keras_history
        which = self._operations.get(id(operation))
        return (which, node, place, tuple(value.shape), str(value.dtype))

    def _settings(self, owner: Any, config: dict[str, Any], where: str) -> Hashable:
        """The settings of an object of Keras's, numbers that may differ left out."""
        may_differ = MAY_DIFFER.get(type(owner), ())
        found: list[Hashable] = []
        for name, value in sorted(config.items()):
            held, at = getattr(owner, name, None), f"{name} of {where}"
            if name == "name":
                continue
            if name in may_differ and _is_number(value) and not self._narrow:
                found.append((name, self._number(Place(owner, name), value)))
            elif isinstance(held, keras.regularizers.Regularizer):
                _check_kerass(held, at)
                found.append((name, type(held), self._settings(held, held.get_config(), at)))
            elif callable(held) and not isinstance(held, type):
                # Keras writes a function down by its name alone.
                known = held if inspect.isfunction(held) else type(held)
                _check_kerass(held, at)
                found.append((name, known, self._plain(value, at)))
            else:
                found.append((name, self._plain(value, at)))
        return tuple(found)

    def _optimizer(self, optimizer: Any) -> Hashable:
        _check_kerass(optimizer, "its optimizer")
        inner = getattr(optimizer, "inner_optimizer", None)
        outer: Hashable = None
        if inner is not None:
            config = {n: v for n, v in optimizer.get_config().items() if n != "inner_optimizer"}
            outer = (type(optimizer), self._settings(optimizer, config, "its optimizer"))
            optimizer = inner
            _check_kerass(optimizer, "its optimizer")
        if any(getattr(optimizer, name, None) for name in _LEFT_OUT):
            raise NotAlike("its optimizer leaves weights out of weight decay")
        rate = getattr(optimizer, "_learning_rate", None)
        schedule = None
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            _check_kerass(rate, "its learning rate")
            schedule = (type(rate), self._settings(rate, rate.get_config(), "its learning rate"))
        elif not isinstance(rate, keras.Variable):
            raise NotAlike("its learning rate is a function")
        settings = {n: v for n, v in optimizer.get_config().items() if n != "learning_rate"}
        own = self._settings(optimizer, settings, "its optimizer")
        return (outer, type(optimizer), own, schedule)

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
            differs = _is_number(weight) and not self._narrow
            weights.append(self._number(place, weight) if differs else weight)
        return (tuple(found), tuple(weights))

    def _number(self, place: Place, value: Any) -> Hashable:
        """Leave a number out, but for whether it is 0 or 1, which Keras looks at in Python."""
        self._places.append(place)
        self._numbers.append(float(value))
        return ("number", value == 0, value == 1)

    def _plain(self, value: Any, where: str) -> Any:
        """A value as it can be compared."""
        value = self._tensor(value)
        if value is None or isinstance(value, bool | int | float | str | type | slice):
            return (type(value), repr(value)) if isinstance(value, float | slice) else value
        if isinstance(value, dict):
            # an object as Keras writes it down
            if "class_name" in value and not str(value.get("module")).startswith("keras"):
                raise NotAlike(f"{where} is your own")
            parts = [(str(n), self._plain(v, where)) for n, v in value.items() if n != "name"]
            return tuple(sorted(parts, key=lambda part: part[0]))
        if isinstance(value, list | tuple):
            return tuple(self._plain(part, where) for part in value)
        if isinstance(value, np.ndarray | np.generic):
            return (str(value.dtype), value.shape, value.tobytes())
        if isinstance(value, keras.losses.Loss | keras.metrics.Metric):
            _check_kerass(value, where)
            functions = [f for n in ("fn", "_fn") if (f := getattr(value, n, None)) is not None]
            for function in functions:
                _check_kerass(function, where)
            config = {n: v for n, v in value.get_config().items() if n != "fn"}
            # Some losses leave what they pass to their function out of their config (3.15).
            passed = getattr(value, "_fn_kwargs", None)
            return (type(value), value.name, *functions, self._plain([config, passed], where))
        if isinstance(value, keras.DTypePolicy):
            return value.name
        if callable(value):
            _check_kerass(value, where)
            return value
        raise NotAlike(f"{where} is a {type(value).__name__}")


# Of an optimizer: which weights, by what it was told.
_LEFT_OUT = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")


def _check_kerass(thing: Any, where: str) -> None:
    """Refuse what is not Keras's own: an object of another class, a function of another module.

    Raises:
        NotAlike: it is not.
    """
    known = thing if inspect.isfunction(thing) else type(thing)
    if not str(known.__module__).startswith("keras."):
        raise NotAlike(f"{where} is your own")


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _variable(variable: Any) -> Hashable:
    return (tuple(variable.shape), str(variable.dtype), bool(variable.trainable))
