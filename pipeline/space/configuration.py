"""A configuration: what one trial requests, and when two are the same."""

import json
from collections.abc import Mapping
from typing import Literal

from pipeline.space.hyperparameters import Requested
from pipeline.space.specs import Value

Configuration = dict[str, Value]


def identity(configuration: Mapping[str, Value]) -> str:
    """Equal for configurations that request the same values."""
    return json.dumps(configuration, sort_keys=True)


def configuration_of(requested: Requested) -> Configuration:
    """The configuration of what was requested: name to value."""
    return {spec.name: value for spec, value in requested}


# What settles a hyperparameter that a proposal leaves open: a draw with this seed, its default, its
# grid's first.
Fill = int | Literal["default", "first"]
