"""A call of `fit`."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

# The arguments of Keras's `fit`, in their order.
NAMES = list(inspect.signature(keras.Model.fit).parameters)[1:]


@dataclass(frozen=True)
class FitCall:
    """The arguments of one `fit`, by Keras's names; what was not given has Keras's default.

    Each step of carrying it out returns another call, and leaves this one as it was.
    """

    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "FitCall":
        """A call by position and by name."""
        return cls({**kwargs, **dict(zip(NAMES, args, strict=False))})

    def get(self, name: str) -> Any:
        """An argument; None where it was not given."""
        return self.arguments.get(name)

    @property
    def batch_size(self) -> int:
        """Examples a step, if it trains on arrays."""
        return self.get("batch_size") or 32

    @property
    def epochs(self) -> int:
        """The epoch that it trains up to."""
        return int(self.arguments.get("epochs", 1))

    @property
    def callbacks(self) -> list[Any]:
        """Those that were given, one or several."""
        given = self.get("callbacks") or []
        return list(given) if isinstance(given, list | tuple) else [given]

    def changed(self, **arguments: Any) -> "FitCall":
        """The same call with other arguments."""
        return FitCall({**self.arguments, **arguments})

    def without(self, *names: str) -> "FitCall":
        """The same call without arguments of these names."""
        return FitCall({n: value for n, value in self.arguments.items() if n not in names})
