"""What Keras's callbacks remember of a training, as plain values that a checkpoint holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.worker.fitting.arrays import are_arrays

_NOT_PLAIN = object()


class CallbackStates:
    """The state of each callback of a `fit`, and the lists of arrays that it holds.

    Patience counted, best seen, cooldown left; of EarlyStopping the weights that it would restore.
    """

    def __init__(
        self,
        states: Sequence[dict[str, Any]] = (),
        lists: Mapping[str, list[Any]] | None = None,
    ) -> None:
        self.states = list(states)  # {"class": its name, "state": {attribute: value}}
        self.lists = dict(lists or {})  # "<place among the callbacks>.<attribute>" -> arrays

    @classmethod
    def of(cls, callbacks: Sequence[Any]) -> "CallbackStates":
        """As they are now."""
        states = [{"class": type(c).__name__, "state": _plain_state(c)} for c in callbacks]
        lists = {
            f"{place}.{attribute}": value
            for place, callback in enumerate(callbacks)
            for attribute, value in vars(callback).items()
            if _are_weights(value)
        }
        return cls(states, lists)

    def give_back(self, callbacks: Sequence[Any]) -> None:
        """Let each callback of the same place and class go on from its state."""
        for place, (callback, saved) in enumerate(zip(callbacks, self.states, strict=False)):
            if type(callback).__name__ != saved["class"]:
                continue
            lists = {
                name.split(".", 1)[1]: arrays
                for name, arrays in self.lists.items()
                if name.split(".", 1)[0] == str(place)
            }
            vars(callback).update(saved["state"] | lists)


class EpochLogs:
    """The logs of each epoch, for a `fit` of one's own that looks at Keras's history at its end."""

    def __init__(self, logs: Sequence[tuple[int, dict[str, Any]]] = ()) -> None:
        self.all = list(logs)
        self._earlier = list(logs)  # those of before a restart

    def note(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep what is plain of an epoch's."""
        plain = {name: as_json(value) for name, value in logs.items()}
        self.all.append(
            (epoch, {n: value for n, value in plain.items() if value is not _NOT_PLAIN})
        )

    def give_back(self, history: Any) -> None:
        """Let Keras's history begin with those of before a restart, once."""
        for epoch, logs in self._earlier:
            history.on_epoch_end(epoch, logs)
        self._earlier = []


def as_json(value: Any) -> Any:
    """`value` as JSON keeps it, or `_NOT_PLAIN`."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or type(value) in (bool, int, str, float):
        return value
    if type(value) is list:
        parts = [as_json(part) for part in value]
        return _NOT_PLAIN if _NOT_PLAIN in parts else parts
    if type(value) is dict and all(type(key) is str for key in value):
        plain = {key: as_json(part) for key, part in value.items()}
        return _NOT_PLAIN if _NOT_PLAIN in plain.values() else plain
    return _NOT_PLAIN


def _plain_state(callback: Any) -> dict[str, Any]:
    not_state = {"params"}  # of this `fit`
    if hasattr(callback, "monitor_op"):
        not_state.add("min_delta")  # Keras turns its sign when it first compares, and would again
    own = {name: as_json(value) for name, value in vars(callback).items() if name not in not_state}
    return {name: value for name, value in own.items() if value is not _NOT_PLAIN}


def _are_weights(value: Any) -> bool:
    weights = type(value) is list and bool(value) and are_arrays(value)
    return weights and all(part.dtype.kind not in "OSUMm" for part in value)
