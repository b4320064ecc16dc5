"""A trial's two checkpoints: the last state, to go on from, and the best epoch's weights.

Each is one file of plain arrays with its state as JSON among them (`archive`). When they are
written follows from what they cost. A trial whose checkpoint is damaged comes to the same again
from its start; one that took over another's weights does not, so it keeps both twice.

Without Keras until a model is handed in: the driver reads states.
"""

import json
import time
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pipeline.records.entries.reports import EpochReport
from pipeline.records.layout import BEST, LAST, PAUSES_S, patiently
from pipeline.records.store.remote import RemotePath
from pipeline.worker.training import archive
from pipeline.worker.training.optimizers import (
    optimizer_variables,
    restore_optimizers,
    trained_weights,
)

# A save may cost one part in so many of the time since the one before (3 %), or more where a minute
# would be lost else.
SAVE_COST_RATIO = 33
MOST_SECONDS = 60.0


@dataclass(frozen=True)
class State:
    """What the last checkpoint knows of its training, beside the model's own arrays.

    A file of an earlier version may lack anything but the epoch, which then is as it was there.
    """

    epoch: int
    # when the state was saved a callback, such as EarlyStopping, had ended training, or `fit`
    ended: bool = False
    # of each callback its class, and what it remembers (`remembered`)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    configuration: dict[str, Any] | None = None  # what `build` asked for; None: not known
    calls: int = 1  # of `model.fit`
    report: EpochReport | None = None  # the last, and the best
    best: EpochReport | None = None
    history: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # each epoch's logs
    returned: bool = False  # whether `fit` had, and what it returned was reported
    build: dict[str, Any] | None = None  # the shapes that a subclassed model is built with again
    # of each optimizer that the model holds beside that of `compile`: which weights it trains
    optimizers: dict[str, list[int]] = field(default_factory=dict)
    # lists of arrays that callbacks hold, by name; read without a model they are left out
    lists: dict[str, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, plain: dict[str, Any], arrays: Any = None) -> "State":
        """As a file has it, with its lists where it is open.

        Raises:
            TypeError: what it holds is no state.
        """
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in plain.items() if name in known}
        for name in ("report", "best"):
            if values.get(name) is not None:
                values[name] = EpochReport(**{"seconds": 0.0, **values[name]})
        lengths = values.pop("lists", {})
        if arrays is not None:
            values["lists"] = {
                name: [arrays[f"{name}.{i}"] for i in range(length)]
                for name, length in lengths.items()
            }
        values["history"] = [(epoch, logs) for epoch, logs in values.get("history", [])]
        return cls(**values)

    def plain(self) -> dict[str, Any]:
        """As a file has it: how long each list is, and not its arrays."""
        lengths = {name: len(arrays) for name, arrays in self.lists.items()}
        plain = asdict(replace(self, lists={}))
        del plain["lists"]
        return plain | ({"lists": lengths} if lengths else {})


@dataclass(frozen=True)
class BestState:
    """Which epoch the best weights are of, and its value."""

    epoch: int
    objective: float
    build: dict[str, Any] | None = None  # as of `State`
    batch_size: int | None = None  # examples a batch that it was validated in, as the user has it
    incomparable: str = ""  # why measuring the model again says nothing of its value
    # why there is no such model: `fit` trained others; the weights are of the one that `build` made
    no_model: str = ""


@dataclass
class BestWeights:
    """The best epoch so far, its weights held in memory until the next save.

    The rest is as of `BestState`.
    """

    epoch: int
    value: float
    weights: list[Any]
    batch_size: int | None = None
    incomparable: str = ""
    no_model: str = ""
    saved: bool = False

    def state(self, shapes: dict[str, Any] | None) -> BestState:
        """What stands beside the weights."""
        return BestState(
            self.epoch, self.value, shapes, self.batch_size, self.incomparable, self.no_model
        )


class Checkpoints:
    """Reads and writes one trial's checkpoints in `directory`, perhaps in an object store."""

    def __init__(self, directory: Path | RemotePath, *, keep_spare: bool = False) -> None:
        self.last = directory / LAST
        self.best = directory / BEST
        self._keep_spare = keep_spare
        self._saved_at = time.monotonic()
        self._cost_s = 0.0

    def due(self, epoch_s: float) -> bool:
        """Whether a save is worth its time now, with the next chance `epoch_s` seconds away."""
        passed = time.monotonic() - self._saved_at
        return passed >= SAVE_COST_RATIO * self._cost_s or passed + epoch_s > MOST_SECONDS

    def save(self, model: Any, state: State, best: BestWeights | None) -> None:
        """Write the best weights, if they are new, and then the last state: what it names is there.

        The shapes that the model was built with are kept with both.

        Raises:
            OSError: storage fails; the files are as they were.
        """
        start = time.monotonic()
        shapes = _shapes(model)
        try:
            if best is not None and not best.saved:
                weights = {f"w{i}": _array(w) for i, w in enumerate(best.weights)}
                of_best = asdict(best.state(shapes))
                archive.write(self.best, weights, of_best, keep_spare=self._keep_spare)
                best.saved = True
            arrays = {f"w{i}": _array(v) for i, v in enumerate(model.weights)}
            trained = trained_weights(model)
            known = optimizer_variables(model, trained)
            arrays |= {name: _array(variable) for name, variable in known.items()}
            arrays |= {
                f"{name}.{i}": _array(a)
                for name, held in state.lists.items()
                for i, a in enumerate(held)
            }
            plain = replace(state, build=shapes, optimizers=trained).plain()
            archive.write(self.last, arrays, plain, keep_spare=self._keep_spare)
        finally:
            self._saved_at = time.monotonic()
            self._cost_s = self._saved_at - start

    def take_over(self, source: "Checkpoints") -> None:
        """Put another trial's last state in place of this one's, and of its spare.

        Raises:
            OSError: storage fails.
        """
        archive.put(self.last, source.last.read_bytes(), keep_spare=True)

    def restore(self, model: Any, configuration: dict[str, Any]) -> State | None:
        """Put the last state into a freshly built model; None where there is none.

        A state that was saved under another configuration (in population based training a trial
        takes over another's) keeps its learning rates for itself: the model's own are those that
        it was built with.
        """
        with archive.reading(self.last) as arrays:
            if arrays is None:
                return None
            state = State.of(archive.plain_of(arrays), arrays)
            _assign(model.weights, arrays, "w")
            restore_optimizers(
                model,
                state.optimizers,
                lambda variables, prefix: _assign(variables, arrays, prefix),
                keep_rates=state.configuration not in (None, configuration),
            )
            return state

    def restore_best(self, model: Any) -> BestState:
        """Put the best epoch's weights into a freshly built model; which epoch that is.

        Raises:
            FileNotFoundError: there are none.
        """
        with archive.reading(self.best) as arrays:
            if arrays is None:
                raise FileNotFoundError(str(self.best))
            _assign(model.weights, arrays, "w")
            return BestState(**archive.plain_of(arrays))

    def best_state(self) -> BestState | None:
        """Which epoch the best weights are of; None where there are none to be read."""
        plain = archive.plain(self.best)
        return None if plain is None else BestState(**plain)

    def last_state(self) -> State | None:
        """The state of the last checkpoint, without its lists.

        None where there is none to be read.
        """
        plain = archive.plain(self.last)
        return None if plain is None else State.of(plain)

    def mend(self) -> str:
        """Put its spare in place of one that is damaged or gone; where there is none remove both.

        Either is said.

        The last state relies on the best weights, if it knows of a best epoch; these are no state
        that a trial could go on from. An object store has checksums of its own.
        """
        said = ""
        for path in (self.last, self.best):
            if not isinstance(path, Path) or archive.is_whole(path):
                continue
            spare = archive.spare(path)
            if not path.exists() and not spare.exists():  # nothing was saved, or see below
                continue
            state = "damaged" if path.exists() else "missing"
            if not archive.is_whole(spare):
                self.remove()
                return f"{path} is {state}; trained again from the start"
            archive.make_room(path)
            archive.put(path, spare.read_bytes())
            said = f"{path} was {state}; its spare took its place"
        if not archive.exists(self.best):
            last = self.last_state()
            if last is not None and last.best is not None:
                patiently(self.remove, PAUSES_S)
                return f"{self.best} is missing; trained again from the start"
        return said

    def remove(self) -> None:
        """Remove both."""
        for path in (self.last, self.best):
            if isinstance(path, Path):  # the spare first: it would be put back
                archive.make_room(archive.spare(path))
            archive.make_room(path)


def _shapes(model: Any) -> dict[str, Any] | None:
    """What a subclassed model is to be built with again, as far as Keras knows."""
    try:
        return dict(json.loads(json.dumps(model.get_build_config())))
    except (TypeError, ValueError, AttributeError):
        return None


def _array(variable: Any) -> Any:
    import keras

    array = keras.ops.convert_to_numpy(variable)
    # NumPy cannot store bfloat16 and its like; float32 holds every one of their values.
    return (
        array.astype("float32")
        if array.dtype.kind == "V" or array.dtype.name == "bfloat16"
        else array
    )


def _assign(variables: list[Any], arrays: Any, prefix: str) -> None:
    for i, variable in enumerate(variables):
        variable.assign(arrays[f"{prefix}{i}"])
