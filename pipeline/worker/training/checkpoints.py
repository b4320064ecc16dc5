"""A trial's two checkpoints: the last state, to go on from.

The best epoch's weights, which are its model.

Each is one `.npz` of plain arrays with its state as JSON among them, written whole or not at all,
and read without unpickling. When they are written follows from what they cost. A trial whose
checkpoint is damaged comes to the same again from its start; one that took over another's weights
does not, so it keeps both twice.
"""

import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import StorageError
from pipeline.records.layout import BEST, LAST, PAUSES_S, SPARE, patiently, write_whole
from pipeline.records.store.remote import RemotePath

T = TypeVar("T")

# A save may cost one part in so many of the time since the one before (3 %), or more where a minute
# would be lost else.
COST_RATIO = 33
MOST_SECONDS = 60.0


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
        return passed >= COST_RATIO * self._cost_s or passed + epoch_s > MOST_SECONDS

    def save(
        self,
        model: Any,
        state: dict[str, Any],
        best: "Best | None",
        lists: Mapping[str, list[Any]] | None = None,
    ) -> None:
        """Write the best weights, if they are new, and then the last state: what it names is there.

        `lists` of arrays, by name, are kept beside the state: `restore` hands them back under
        "lists".

        Raises:
            OSError: storage fails; the files are as they were.
        """
        start = time.monotonic()
        state = state | {"build": _shapes(model)}
        if lists:
            state["lists"] = {name: len(arrays) for name, arrays in lists.items()}
        try:
            if best is not None and not best.saved:
                weights = {f"w{i}": _array(w) for i, w in enumerate(best.weights)}
                _write(
                    self.best,
                    weights,
                    best.state() | {"build": state["build"]},
                    keep_spare=self._keep_spare,
                )
                best.saved = True
            arrays = {f"w{i}": _array(v) for i, v in enumerate(model.weights)}
            arrays |= {f"o{i}": _array(v) for i, v in enumerate(_optimizer_variables(model))}
            arrays |= {
                f"{name}.{i}": _array(a)
                for name, held in (lists or {}).items()
                for i, a in enumerate(held)
            }
            _write(self.last, arrays, state, keep_spare=self._keep_spare)
        finally:
            self._saved_at = time.monotonic()
            self._cost_s = self._saved_at - start

    def restore(self, model: Any, configuration: dict[str, Any]) -> dict[str, Any] | None:
        """Put the last state into a freshly built model.

        Its JSON state, or None where there is none.

        A state that was saved under another configuration (in population based training a trial
        takes over another's) keeps its learning rate for itself: the model's own is the one that it
        was built with.
        """
        source = _source(self.last)
        if source is None:
            return None
        with np.load(source, allow_pickle=False) as arrays:
            state = dict(json.loads(str(arrays["state"])))
            _assign(model.weights, arrays, "w")
            optimizer = optimizer_of(model)
            if optimizer is not None:
                optimizer.build(model.trainable_variables)
                # Of float16's: the one within has the rate.
                rate: Any = getattr(
                    getattr(optimizer, "inner_optimizer", optimizer), "_learning_rate", None
                )
                own = _array(rate) if hasattr(rate, "assign") else None
                _assign(_optimizer_variables(model), arrays, "o")
                if own is not None and state.get("configuration", configuration) != configuration:
                    rate.assign(own)
            if "lists" in state:
                state["lists"] = {
                    n: [arrays[f"{n}.{i}"] for i in range(k)] for n, k in state["lists"].items()
                }
            return state

    def restore_best(self, model: Any) -> dict[str, Any]:
        """Put the best epoch's weights into a freshly built model; which epoch that is."""
        source = _source(self.best)
        if source is None:
            raise FileNotFoundError(str(self.best))
        with np.load(source, allow_pickle=False) as arrays:
            _assign(model.weights, arrays, "w")
            return dict(json.loads(str(arrays["state"])))

    def best_state(self) -> dict[str, Any] | None:
        """Which epoch the best weights are of, and its value.

        None where there are none to be read.
        """
        return _state(self.best)

    def last_state(self) -> dict[str, Any] | None:
        """The state of the last checkpoint, without its arrays.

        None where there is none to be read.
        """
        return _state(self.last)

    def mend(self) -> str:
        """Put its spare in place of one that is damaged or gone; where there is none remove both.

        Either is said.

        The last state relies on the best weights, if it knows of a best epoch; these are no state
        that a trial could go on from. An object store has checksums of its own.
        """
        said = ""
        for path in (self.last, self.best):
            if not isinstance(path, Path) or _is_whole(path):
                continue
            spare = _spare(path)
            if not path.exists() and not spare.exists():  # nothing was saved, or see below
                continue
            state = "damaged" if path.exists() else "missing"
            if not _is_whole(spare):
                self.remove()
                return f"{path} is {state}; trained again from the start"
            _make_room(path)
            write_whole(path, spare.read_bytes())
            said = f"{path} was {state}; its spare took its place"
        if not _is_there(self.best) and (self.last_state() or {}).get("best") is not None:
            patiently(self.remove, PAUSES_S)
            return f"{self.best} is missing; trained again from the start"
        return said

    def remove(self) -> None:
        """Remove both."""
        for path in (self.last, self.best):
            if isinstance(path, Path):  # the spare first: it would be put back
                _make_room(_spare(path))
            _make_room(path)


class Best:
    """The best epoch so far, its weights held in memory until the next save."""

    def __init__(
        self, epoch: int, value: float, weights: list[Any], *, saved: bool = False
    ) -> None:
        self.epoch = epoch
        self.value = value
        self.weights = weights
        self.saved = saved

    def state(self) -> dict[str, Any]:
        """As kept beside the weights."""
        return {"epoch": self.epoch, "objective": self.value}


def _shapes(model: Any) -> dict[str, Any] | None:
    """What a subclassed model is to be built with again, as far as Keras knows."""
    try:
        return dict(json.loads(json.dumps(model.get_build_config())))
    except (TypeError, ValueError, AttributeError):
        return None


def optimizer_of(model: Any) -> Any:
    """The model's optimizer, or None.

    A `fit` of one's own may use one that the model does not know.
    """
    return getattr(model, "optimizer", None)


def _optimizer_variables(model: Any) -> list[Any]:
    return [] if optimizer_of(model) is None else list(optimizer_of(model).variables)


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


def _state(path: Path | RemotePath) -> dict[str, Any] | None:
    source = _source(path)
    if source is None:
        return None
    try:
        # Opened here: NumPy leaves a file open that is no archive.
        file = source.open("rb") if isinstance(source, Path) else source
        with file, np.load(file, allow_pickle=False) as arrays:
            return dict(json.loads(str(arrays["state"])))
    except Exception:  # each kind of damage has its own; `remove_damaged` deals with it
        return None


def _source(path: Path | RemotePath) -> Path | io.BytesIO | None:
    """What a checkpoint is read from; None where there is none."""
    if isinstance(path, Path):
        return path if path.exists() else None
    data = _asked(path, lambda: _data(path))
    return None if data is None else io.BytesIO(data)


def _is_there(path: Path | RemotePath) -> bool:
    return path.exists() if isinstance(path, Path) else _asked(path, path.written) is not None


def _asked(path: RemotePath, question: Callable[[], T]) -> T:
    """The answer of an object store.

    One that fails must not pass for a damaged checkpoint, nor for a fault of the user's program. It
    is waited for, longer than by who writes the records: that one ends the search.

    Raises:
        StorageError: it does not get better.
    """
    pauses_s = (*PAUSES_S, *PAUSES_S)
    try:
        return patiently(question, pauses_s)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(
            f"{path} could not be read for {sum(pauses_s):.0f} s: {reason}."
        ) from error


def _data(path: RemotePath) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _spare(path: Path) -> Path:
    return path.with_name(SPARE[path.name])


def _make_room(path: Path | RemotePath) -> None:
    """Remove what stands there, if anything does."""
    if isinstance(path, Path) and path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Whether all of it is as it was written: an archive has a checksum of each of its parts."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and _state(path) is not None
    except Exception:  # each kind of damage has its own
        return False


def _write(
    path: Path | RemotePath,
    arrays: dict[str, Any],
    state: dict[str, Any],
    *,
    keep_spare: bool = False,
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, state=np.array(json.dumps(state)), **arrays)
    write_whole(path, buffer.getvalue())
    if keep_spare and isinstance(path, Path):
        write_whole(_spare(path), buffer.getvalue())
