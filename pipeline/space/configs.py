"""A space and its values in the form of KerasTuner's `get_config`, for exchange with it."""

from collections.abc import Mapping
from typing import Any

from pipeline.space.specs import KINDS, Hyperparameter

CLASSES = {kind.__name__: kind for kind in KINDS.values()}


def to_config(spec: Hyperparameter) -> dict[str, Any]:
    """A hyperparameter as KerasTuner's `from_config` reads it."""
    return {"class_name": type(spec).__name__, "config": spec.get_config()}


def from_config(config: Mapping[str, Any]) -> Hyperparameter:
    """The inverse; reads what KerasTuner wrote too."""
    kind = CLASSES[config["class_name"]]
    fields = {argument: name for name, argument in kind.arguments.items()}
    own = {fields.get(name, name): value for name, value in config["config"].items()}
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in own.items()}
    parents = (parent["config"] for parent in config["config"]["conditions"])
    return kind(
        **own
        | {"conditions": tuple((parent["name"], tuple(parent["values"])) for parent in parents)}
    )
